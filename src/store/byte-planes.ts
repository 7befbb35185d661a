/**
 * Owns columns of integers as byte planes: byte k of every value, one after the other, least significant plane first.
 * Neighbouring readings share their upper bytes, so that upper planes are long runs and the lower ones hold the noise;
 * an entropy coder then treats each by itself. Differences wrap around, so that every bit pattern survives. Pure.
 */

/** Bytes of a value; 2 for what is below 2^16. */
export type PlaneWidth = 1 | 2 | 4;
/** 0: as it is; 1: difference to the value before; 2: difference to the line through the two before. */
export type DifferenceOrder = 0 | 1 | 2;
export const differenceOrders: readonly DifferenceOrder[] = [0, 1, 2];

export interface PlaneWriter {
  /** Adds the planes of a column. */
  add(values: Uint32Array, width: PlaneWidth): void;
  readonly planes: readonly Uint8Array[];
}

export interface PlaneReader {
  /** The next column of `count` values of `width` bytes. The caller has checked that the planes hold them. */
  next(count: number, width: PlaneWidth): Uint32Array;
  /** The next `size` bytes, still as planes. */
  skip(size: number): Uint8Array;
}

export function createPlaneWriter(): PlaneWriter {
  const planes: Uint8Array[] = [];
  return {
    planes,
    add(values, width) {
      for (let shift = 0; shift < width * 8; shift += 8) {
        const plane = new Uint8Array(values.length);
        for (let i = 0; i < plane.length; i++) plane[i] = values[i]! >>> shift;
        planes.push(plane);
      }
    },
  };
}

export function createPlaneReader(bytes: Uint8Array): PlaneReader {
  let at = 0;
  return {
    skip(size) {
      at += size;
      return bytes.subarray(at - size, at);
    },
    next(count, width) {
      const values = new Uint32Array(count);
      if (width === 4) {
        const second = at + count;
        const third = second + count;
        const fourth = third + count;
        for (let i = 0; i < count; i++)
          values[i] =
            bytes[at + i]! |
            (bytes[second + i]! << 8) |
            (bytes[third + i]! << 16) |
            (bytes[fourth + i]! << 24);
      } else if (width === 2) {
        for (let i = 0; i < count; i++) values[i] = bytes[at + i]! | (bytes[at + count + i]! << 8);
      } else {
        for (let i = 0; i < count; i++) values[i] = bytes[at + i]!;
      }
      at += count * width;
      return values;
    },
  };
}

/** Differences of `order`, small ones of either sign becoming small numbers; order 0 gives the values as they are. */
export function difference(values: Uint32Array, width: PlaneWidth, order: DifferenceOrder): Uint32Array {
  if (order === 0) return values;
  const out = new Uint32Array(values.length);
  const spare = 32 - width * 8;
  const mask = 0xffffffff >>> spare;
  let before = 0;
  let slope = 0;
  for (let i = 0; i < values.length; i++) {
    const step = values[i]! - before;
    // The shifts extend the sign from the width to 32 bits.
    const rest = ((step - slope) << spare) >> spare;
    out[i] = ((rest << 1) ^ (rest >> 31)) & mask;
    before = values[i]!;
    if (order === 2) slope = step;
  }
  return out;
}

/** Undoes `difference`, in place. */
export function accumulate(values: Uint32Array, width: PlaneWidth, order: DifferenceOrder): Uint32Array {
  if (order === 0) return values;
  const mask = 0xffffffff >>> (32 - width * 8);
  let before = 0;
  let slope = 0;
  for (let i = 0; i < values.length; i++) {
    const coded = values[i]!;
    const step = (((coded >>> 1) ^ -(coded & 1)) + slope) | 0;
    before = (before + step) & mask;
    values[i] = before;
    if (order === 2) slope = step;
  }
  return values;
}

const histogram = new Uint32Array(4 * 256);

/** About how many bytes an entropy coder needs for the planes of a column, each by itself (Shannon, order 0). */
export function estimateBytes(values: Uint32Array, width: PlaneWidth): number {
  histogram.fill(0);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    histogram[value & 255]!++;
    histogram[256 | ((value >>> 8) & 255)]!++;
    histogram[512 | ((value >>> 16) & 255)]!++;
    histogram[768 | (value >>> 24)]!++;
  }
  let bits = 0;
  for (let bin = 0; bin < width * 256; bin++) {
    const count = histogram[bin]!;
    if (count > 0) bits -= count * Math.log2(count / values.length);
  }
  return bits / 8;
}

/** The order of difference with the smallest estimate, and its coded column. */
export function bestDifference(
  values: Uint32Array,
  width: PlaneWidth,
): { order: DifferenceOrder; coded: Uint32Array; bytes: number } {
  let best = { order: 0 as DifferenceOrder, coded: values, bytes: estimateBytes(values, width) };
  for (const order of differenceOrders.slice(1)) {
    const coded = difference(values, width, order);
    const bytes = estimateBytes(coded, width);
    if (bytes < best.bytes) best = { order, coded, bytes };
  }
  return best;
}
