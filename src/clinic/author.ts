/** Owns how a record says who wrote it: the kind and id of whoever asked, never a name. */

import type { Principal } from '#contract/principal.ts';

export function authorOf({ kind, subject }: Principal): string {
  return `${kind}:${subject}`;
}
