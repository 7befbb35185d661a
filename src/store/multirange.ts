/**
 * Owns the text form of int8multirange, as PostgreSQL prints it: `{[0,100),[150,200)}`. Discrete ranges are printed
 * canonically, half-open, ascending and disjoint, so parsing yields a RangeSet as it is.
 */

import { assert } from '#base/assert.ts';
import type { RangeSet } from '#base/ranges.ts';

/** The set of a multirange's text. Asserts finite bounds of at most 2^53: the guard never stores others. */
export function parseMultirange(text: string): RangeSet {
  assert(text.startsWith('{') && text.endsWith('}'), 'a multirange is printed in braces');
  if (text === '{}') return [];
  return text.slice(2, -2).split('),[').map(parseBounds);
}

/** The text of a set, to be given to PostgreSQL as `$n::int8multirange`. */
export function formatMultirange(set: RangeSet): string {
  return `{${set.map((range) => `[${range.from},${range.to})`).join(',')}}`;
}

function parseBounds(text: string): { from: number; to: number } {
  const comma = text.indexOf(',');
  const from = Number(text.slice(0, comma));
  const to = Number(text.slice(comma + 1));
  assert(
    comma > 0 && Number.isSafeInteger(from) && Number.isSafeInteger(to - 1) && from < to,
    'a range of the guard has two finite bounds',
  );
  return { from, to };
}
