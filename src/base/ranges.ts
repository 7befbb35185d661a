/**
 * Owns sets of sequence numbers as sorted, disjoint, non-touching half-open ranges [from, to). Pure and immutable:
 * every operation returns a new array, so a set can be shared between a machine and what observes it.
 * Cost is linear in the number of ranges, which callers bound (MAX_FRAGMENTS in protocol/limits.ts).
 */

export interface Range {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

export type RangeSet = readonly Range[];

export const emptyRanges: RangeSet = [];

/** Any ranges, in any order, overlapping or empty, as a set. */
export function rangesOf(ranges: Iterable<Range>): RangeSet {
  const sorted = [...ranges].filter((r) => r.to > r.from).sort((a, b) => a.from - b.from);
  const out: { from: number; to: number }[] = [];
  for (const range of sorted) {
    const last = out.at(-1);
    if (last !== undefined && range.from <= last.to) last.to = Math.max(last.to, range.to);
    else out.push({ from: range.from, to: range.to });
  }
  return out;
}

/** The same of pairs [from, to), as messages and files write them. */
export function rangesOfPairs(pairs: readonly (readonly [number, number])[]): RangeSet {
  return rangesOf(pairs.map(([from, to]) => ({ from, to })));
}

export function union(a: RangeSet, b: RangeSet): RangeSet {
  if (b.length === 0) return a;
  const last = a.at(-1);
  const only = b[0];
  // The common case, one range appended at the end, must not sort.
  if (b.length === 1 && last !== undefined && only !== undefined && only.from >= last.from) {
    if (only.from > last.to) return [...a, only];
    return [...a.slice(0, -1), { from: last.from, to: Math.max(last.to, only.to) }];
  }
  return rangesOf([...a, ...b]);
}

/** What is in `a` and not in `b`. */
export function subtract(a: RangeSet, b: RangeSet): RangeSet {
  const out: Range[] = [];
  let i = 0;
  for (const range of a) {
    let from = range.from;
    while (i < b.length && b[i]!.to <= from) i++;
    for (let j = i; j < b.length && b[j]!.from < range.to; j++) {
      const hole = b[j]!;
      if (hole.from > from) out.push({ from, to: hole.from });
      from = Math.max(from, hole.to);
    }
    if (from < range.to) out.push({ from, to: range.to });
  }
  return out;
}

export function intersect(a: RangeSet, b: RangeSet): RangeSet {
  return subtract(a, subtract(a, b));
}

export function contains(set: RangeSet, value: number): boolean {
  return set.some((r) => r.from <= value && value < r.to);
}

/** True when every number of `range` is in the set. An empty range always is. */
export function covers(set: RangeSet, range: Range): boolean {
  return range.to <= range.from || set.some((r) => r.from <= range.from && range.to <= r.to);
}

/** True when both hold the same numbers: a set has one form only. */
export function isEqual(a: RangeSet, b: RangeSet): boolean {
  return a.length === b.length && a.every(({ from, to }, i) => from === b[i]!.from && to === b[i]!.to);
}

/** How many numbers the set holds. */
export function sizeOf(set: RangeSet): number {
  let size = 0;
  for (const range of set) size += range.to - range.from;
  return size;
}

/** The lowest number from 0 on that is not in the set. */
export function firstMissing(set: RangeSet): number {
  const first = set[0];
  return first === undefined || first.from > 0 ? 0 : first.to;
}

/** The numbers below the highest one of the set that are not in it. */
export function gapsOf(set: RangeSet): RangeSet {
  const last = set.at(-1);
  return last === undefined ? [] : subtract([{ from: 0, to: last.to }], set);
}
