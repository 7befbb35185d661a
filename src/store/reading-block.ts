/**
 * Owns readings as numbers: a stored chunk unpacked into device times, lags and values, once, for roll-ups and curves.
 * What is not a finite number stays as it is, and is left out where values are folded.
 */

import { assert } from '#base/assert.ts';
import { readSafeInt } from '#protocol/integers.ts';
import { decodeTimes, decodeValues, type PackedLayout } from '#store/chunk-codec.ts';
import type { StoredChunk } from '#store/chunk-reader.ts';

const SEGMENT_BYTES = 24;

/** Readings [firstSeq, firstSeq + n). */
export interface ReadingBlock {
  readonly firstSeq: number;
  readonly n: number;
  /** Device time, microseconds. At least `n`. */
  readonly times: Float64Array;
  /** Arrival minus device time, microseconds. */
  readonly lags: Float64Array;
  /** At least `n * axisCount`, row by row. */
  readonly values: Float64Array;
}

/** Of finite values: entry `entry * axisCount + axis`. */
export interface ValueStatistics {
  readonly axisCount: number;
  /** How many. */
  readonly finites: Float64Array;
  /** NaN where there are none. */
  readonly mins: Float64Array;
  readonly maxs: Float64Array;
  /** In the order in which they were folded; 0 where there are none. */
  readonly sums: Float64Array;
}

/** Folds the values of readings [from, to) of a block into an entry. Sums depend on the order of calls, bit for bit. */
export function foldValues(
  into: ValueStatistics,
  entry: number,
  block: ReadingBlock,
  run: { readonly from: number; readonly to: number },
): void {
  const { axisCount, finites, mins, maxs, sums } = into;
  for (let axis = 0; axis < axisCount; axis++) {
    const at = entry * axisCount + axis;
    let [finite, min, max, sum] = [finites[at]!, mins[at]!, maxs[at]!, sums[at]!];
    for (let i = run.from * axisCount + axis; i < run.to * axisCount; i += axisCount) {
      const value = block.values[i]!;
      // Neither NaN nor an infinity: their difference to themselves is NaN.
      if (value - value !== 0) continue;
      finite++;
      // Written so that the NaN of an empty entry gives way.
      if (!(value >= min)) min = value;
      if (!(value <= max)) max = value;
      sum += value;
    }
    finites[at] = finite;
    mins[at] = min;
    maxs[at] = max;
    sums[at] = sum;
  }
}

type Arrays = Pick<ReadingBlock, 'times' | 'lags' | 'values'>;

function decodeBlock(chunk: StoredChunk, layout: PackedLayout, arrays: Arrays): ReadingBlock {
  const { n, segments, firstSeq } = chunk;
  const { times, lags, values } = arrays;
  decodeTimes(chunk, times);
  const view = new DataView(segments.buffer, segments.byteOffset, segments.byteLength);
  let i = 0;
  for (let at = 0; at < view.byteLength; at += SEGMENT_BYTES) {
    const arrivalUs = readSafeInt(view, at + 16);
    assert(arrivalUs !== null, 'the arrival of a segment is a time');
    for (const end = i + view.getUint16(at, true); i < end; i++) lags[i] = arrivalUs - times[i]!;
  }
  decodeValues(chunk, layout, values);
  return { firstSeq, n, times, lags, values };
}

/** Blocks of chunks in order of seq: those that follow each other become one. */
export function decodeBlocks(chunks: readonly StoredChunk[], layout: PackedLayout): ReadingBlock[] {
  const blocks: ReadingBlock[] = [];
  for (let from = 0; from < chunks.length;) {
    let n = chunks[from]!.n;
    let to = from + 1;
    for (; to < chunks.length && chunks[to]!.firstSeq === chunks[from]!.firstSeq + n; to++)
      n += chunks[to]!.n;
    const arrays = arraysFor(n, layout);
    let at = 0;
    for (const chunk of chunks.slice(from, to)) {
      decodeBlock(chunk, layout, {
        times: arrays.times.subarray(at),
        lags: arrays.lags.subarray(at),
        values: arrays.values.subarray(at * layout.axisCount),
      });
      at += chunk.n;
    }
    blocks.push({ firstSeq: chunks[from]!.firstSeq, n, ...arrays });
    from = to;
  }
  return blocks;
}

/** Decodes chunk after chunk into the same arrays: a block is valid until the next one. */
export function createBlockDecoder(layout: PackedLayout): (chunk: StoredChunk) => ReadingBlock {
  let arrays = arraysFor(0, layout);
  return (chunk) => {
    if (chunk.n > arrays.times.length) arrays = arraysFor(2 ** Math.ceil(Math.log2(chunk.n)), layout);
    return decodeBlock(chunk, layout, arrays);
  };
}

function arraysFor(n: number, { axisCount }: PackedLayout): Arrays {
  return {
    times: new Float64Array(n),
    lags: new Float64Array(n),
    values: new Float64Array(n * axisCount),
  };
}
