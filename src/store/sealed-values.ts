/**
 * Owns the coding of one axis of a sealed block. Numbers are brought into integers that have their order; sensors measure
 * in steps, so an axis often has few different values, and then these are listed once and each reading says which one it
 * is. Either is told by how it differs from the readings before. The cheapest by estimate is taken; any bit pattern
 * survives. Pure. Bound: the values of one block.
 */

import {
  accumulate,
  bestDifference,
  difference,
  estimateBytes,
  type DifferenceOrder,
  type PlaneReader,
  type PlaneWriter,
} from '#store/byte-planes.ts';

/** Bytes of a value: int16 or float32. */
export type ValueWidth = 2 | 4;

export interface AxisMethod {
  readonly order: DifferenceOrder;
  /** How many different values are listed; 0: the values are coded themselves. */
  readonly listed: number;
}

/** Places in the list have two bytes, and their differences wrap around in them. */
export const maxListed = 65_535;
/** A list with more than this share of the readings is not worth a try. */
const LISTED_SHARE = 0.6;
const SAMPLE = 512;
/** With a list of 0.6 n values, all equally frequent, a sample of 512 out of 16,384 has 2 % of doubles. */
const SAMPLE_SHARE = 0.99;

/** Adds the planes of an axis, whose values are the bits of int16 or float32, and says how they were coded. */
export function encodeAxis(bits: Uint32Array, width: ValueWidth, out: PlaneWriter): AxisMethod {
  const ordered = toOrdered(bits, width);
  const plain = bestDifference(ordered, width);
  const list = mayRepeat(ordered) ? listValues(ordered, width) : ordered;
  if (list.length <= Math.min(maxListed, ordered.length * LISTED_SHARE)) {
    const places = bestDifference(placesIn(list, ordered, width), 2);
    const codedList = difference(list, width, 1);
    if (places.bytes + estimateBytes(codedList, width) < plain.bytes) {
      out.add(codedList, width);
      out.add(places.coded, 2);
      return { order: places.order, listed: list.length };
    }
  }
  out.add(plain.coded, width);
  return { order: plain.order, listed: 0 };
}

/** Where the values of an axis go: every `stride`-th word from `axis` on, a reading each. */
export interface RowColumn {
  readonly rows: Uint32Array | Uint16Array;
  readonly axis: number;
  readonly stride: number;
}

/** Puts what `encodeAxis` was given into its rows. False when a reading names a value that is not listed. */
export function decodeAxis(
  planes: PlaneReader,
  { width, order, listed }: AxisMethod & { readonly width: ValueWidth },
  column: RowColumn,
): boolean {
  const n = column.rows.length / column.stride;
  if (listed > 0) {
    const list = fromOrdered(accumulate(planes.next(listed, width), width, 1), width);
    return putListed(list, accumulate(planes.next(n, 2), 2, order), column);
  }
  if (width === 4 && order > 0) putDifferences(planes.skip(n * 4), order, column);
  else putAll(fromOrdered(accumulate(planes.next(n, width), width, order), width), column);
  return true;
}

/**
 * Planes of four bytes to rows in one pass, which takes half the time of the steps that it joins: `next`, `accumulate`,
 * `fromOrdered` and `putAll`.
 */
function putDifferences(bytes: Uint8Array, order: DifferenceOrder, { rows, axis, stride }: RowColumn): void {
  const n = bytes.length / 4;
  const second = n;
  const third = 2 * n;
  const fourth = 3 * n;
  const slopeMask = order === 2 ? -1 : 0;
  let before = 0;
  let slope = 0;
  for (let i = 0, at = axis; i < n; i++, at += stride) {
    const coded =
      bytes[i]! | (bytes[second + i]! << 8) | (bytes[third + i]! << 16) | (bytes[fourth + i]! << 24);
    const step = (((coded >>> 1) ^ -(coded & 1)) + slope) | 0;
    before = (before + step) | 0;
    rows[at] = before ^ (~(before >> 31) | 0x80000000);
    slope = step & slopeMask;
  }
}

function putListed(list: Uint32Array, places: Uint32Array, { rows, axis, stride }: RowColumn): boolean {
  for (let i = 0, at = axis; i < places.length; i++, at += stride) {
    const place = places[i]!;
    if (place >= list.length) return false;
    rows[at] = list[place]!;
  }
  return true;
}

function putAll(bits: Uint32Array, { rows, axis, stride }: RowColumn): void {
  for (let i = 0, at = axis; i < bits.length; i++, at += stride) rows[at] = bits[i]!;
}

/** Bytes of the planes of an axis. */
export function axisPlanes(shape: { n: number; width: ValueWidth }, { listed }: AxisMethod): number {
  return listed === 0 ? shape.n * shape.width : shape.n * 2 + listed * shape.width;
}

/** Unsigned integers in the order of the numbers: negative floats have their bits turned, others the sign bit. */
function toOrdered(bits: Uint32Array, width: ValueWidth): Uint32Array {
  const out = new Uint32Array(bits.length);
  if (width === 2) for (let i = 0; i < out.length; i++) out[i] = bits[i]! ^ 0x8000;
  else for (let i = 0; i < out.length; i++) out[i] = bits[i]! ^ ((bits[i]! >> 31) | 0x80000000);
  return out;
}

/** Undoes `toOrdered`, in place. */
function fromOrdered(ordered: Uint32Array, width: ValueWidth): Uint32Array {
  if (width === 2) for (let i = 0; i < ordered.length; i++) ordered[i] = ordered[i]! ^ 0x8000;
  else
    for (let i = 0; i < ordered.length; i++) ordered[i] = ordered[i]! ^ (~(ordered[i]! >> 31) | 0x80000000);
  return ordered;
}

/** False when hardly one of some values spread over the block comes twice: sorting them all would be for nothing. */
function mayRepeat(ordered: Uint32Array): boolean {
  const stride = Math.max(1, Math.floor(ordered.length / SAMPLE));
  const sample = new Set<number>();
  let taken = 0;
  for (let i = 0; i < ordered.length; i += stride, taken++) sample.add(ordered[i]!);
  return sample.size < taken * SAMPLE_SHARE;
}

/** Of 16-bit numbers a table is quicker than sorting. Both functions below run to their end at once, so one is enough. */
const table = new Uint16Array(65_536);

/** The different values in ascending order. */
function listValues(ordered: Uint32Array, width: ValueWidth): Uint32Array {
  let count = 0;
  if (width === 2) {
    table.fill(0);
    for (let i = 0; i < ordered.length; i++) table[ordered[i]!] = 1;
    const list = new Uint32Array(Math.min(table.length, ordered.length));
    for (let value = 0; value < table.length; value++) if (table[value] === 1) list[count++] = value;
    return list.subarray(0, count);
  }
  const sorted = ordered.toSorted();
  for (let i = 0; i < sorted.length; i++)
    if (i === 0 || sorted[i] !== sorted[i - 1]) sorted[count++] = sorted[i]!;
  return sorted.subarray(0, count);
}

function placesIn(list: Uint32Array, ordered: Uint32Array, width: ValueWidth): Uint32Array {
  const places = new Uint32Array(ordered.length);
  if (width === 2) {
    for (let place = 0; place < list.length; place++) table[list[place]!] = place;
    for (let i = 0; i < places.length; i++) places[i] = table[ordered[i]!]!;
    return places;
  }
  for (let i = 0; i < places.length; i++) {
    const value = ordered[i]!;
    let low = 0;
    let high = list.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (list[middle]! < value) low = middle + 1;
      else high = middle;
    }
    places[i] = low;
  }
  return places;
}
