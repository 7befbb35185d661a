/**
 * Owns how many rows a page's statement asks for. They stand in its text: of a parameter PostgreSQL guesses a tenth of the
 * table, finds that a plan for the number itself would be cheaper, and then plans every call anew. They are one of few, so
 * that few texts are planned; whoever asked for fewer cuts the rest off.
 */

import { assert } from '#base/assert.ts';

const counts = [21, 51, 101, 201, 501, 1_001] as const;

/** Rows for a page of `limit` and one more, which says that there is a next page; at least so many. `limit` is at most 1,000. */
export function pageRows(limit: number): number {
  const rows = counts.find((count) => count > limit);
  assert(rows !== undefined && limit >= 0, `a page of ${limit} is none`);
  return rows;
}
