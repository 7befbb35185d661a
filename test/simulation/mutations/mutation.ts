/**
 * Owns what a deliberate bug is: a change of source text that breaks one promise. It is applied to the text that the
 * loader gives the program, never to a file. Invariant, tested: what it looks for is in its file exactly once.
 */

import { assert } from '#base/assert.ts';
import type { ProfileName } from '#test/simulation/scenario.ts';

/** A profile of devices and servers, or the channels' own world (channels/channel-history.ts). */
export type MutationProfile = ProfileName | 'channels';

export interface Edit {
  /** From the root of the repository. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutation {
  /** Kebab-case. */
  readonly name: string;
  /** Which promise it breaks. */
  readonly what: string;
  readonly edits: readonly Edit[];
  /** Of histories that meet it soon; default `short`. */
  readonly profile?: MutationProfile;
  /** A seed from which on it is found soon; default 1. */
  readonly from?: number;
}

/** The text with the edits of `mutation` to `file`. */
export function mutatedText(text: string, mutation: Mutation, file: string): string {
  let out = text;
  for (const edit of mutation.edits) {
    if (edit.file !== file) continue;
    assert(occurrences(out, edit.find) === 1, `${mutation.name}: what it looks for is in ${file} once`);
    // A function, so that a dollar sign in the text means itself.
    out = out.replace(edit.find, () => edit.replace);
  }
  return out;
}

export function occurrences(text: string, find: string): number {
  return text.split(find).length - 1;
}
