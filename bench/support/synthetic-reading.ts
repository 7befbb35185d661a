/**
 * Owns the content of every benchmark reading: a pure function of (seed, stream, seq, axis), so that the checker can
 * recompute each stored byte and the generator needs no memory of what it sent. Values are finite float32 in
 * (-2, -1] and [1, 2) with 24 random bits: nothing that a database or a network could compress away.
 */

import { assert } from '#base/assert.ts';

/** Accelerometer, gyroscope and magnetometer. */
export const BENCH_AXES = [
  { name: 'acc-x', unit: 'm/s2' },
  { name: 'acc-y', unit: 'm/s2' },
  { name: 'acc-z', unit: 'm/s2' },
  { name: 'gyr-x', unit: 'rad/s' },
  { name: 'gyr-y', unit: 'rad/s' },
  { name: 'gyr-z', unit: 'rad/s' },
  { name: 'mag-x', unit: 'uT' },
  { name: 'mag-y', unit: 'uT' },
  { name: 'mag-z', unit: 'uT' },
] as const;
export const AXES = BENCH_AXES.length;
export const READING_BYTES = AXES * 4;

/** The start value of a stream's readings. `stream` counts the streams of a run from 0. */
export function streamSeed(seed: number, stream: number): number {
  return mix((seed ^ Math.imul(stream + 1, 0x9e3779b1)) >>> 0);
}

/**
 * Writes readings [firstSeq, firstSeq + count) as float32 bit patterns, each xored with `maskWord`, into `words` from
 * `at` on. A mask of 0 writes the plain bits; a WebSocket client passes its masking key and saves a second pass.
 */
export function writeReadings(
  words: Uint32Array,
  at: number,
  readings: { readonly seed: number; readonly firstSeq: number; readonly count: number },
  maskWord = 0,
): void {
  assert(at + readings.count * AXES <= words.length, 'the readings fit the buffer');
  for (let i = 0; i < readings.count; i++) {
    let state = mix((readings.seed + Math.imul(readings.firstSeq + i, 0x85ebca6b)) | 0);
    const row = at + i * AXES;
    for (let axis = 0; axis < AXES; axis++) {
      // xorshift32 (Marsaglia 2003): one draw an axis, cheap and without short cycles; 0 is its only fixed point.
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[row + axis] = ((state & 0x807fffff) | 0x3f800000) ^ maskWord;
    }
  }
}

/** Device time of reading `seq`, microseconds: exact for every rate, so that the checker finds the same number. */
export function sampleTimeUs(startUs: number, rateHz: number, seq: number): number {
  return startUs + Math.floor((seq * 1_000_000) / rateHz);
}

/** murmur3's 32-bit finaliser (Appleby): every input bit changes half of the output bits. Never returns 0. */
function mix(value: number): number {
  let h = value | 0;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h === 0 ? 0x9e3779b9 : h;
}
