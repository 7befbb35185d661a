/**
 * Owns the values of torture readings. A reading carries its own identity (its number and the life of the process that
 * made it) and bits that follow from seed, stream and identity, so that a checker makes them again instead of keeping
 * them, and recognises any reading by its bytes alone. Bound: 2^24 readings a stream and life, 23 hours at 200 Hz.
 */

export const readingAxes = ['number', 'life', 'a', 'b', 'c', 'd'].map((name) => ({ name, unit: '1' }));
export const READING_BYTES = readingAxes.length * 4;
export const RATE_HZ = 200;
export const PERIOD_US = 1e6 / RATE_HZ;

/** Readings `firstNumber` and on of one life of one stream; `key` is streamKey's. */
export interface ReadingRun {
  readonly key: number;
  readonly life: number;
  readonly firstNumber: number;
  readonly count: number;
}

/** FNV-1a (Fowler, Noll, Vo) of the stream's id, begun from the seed. */
export function streamKey(seed: number, streamId: string): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < streamId.length; i++) hash = Math.imul(hash ^ streamId.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** The readings of a run, row by row: number, life, then four values of 31 random bits, all finite. */
export function readingValues({ key, life, firstNumber, count }: ReadingRun): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count * readingAxes.length);
  const bits = new Uint32Array(values.buffer);
  const start = mixed(key ^ mixed(life));
  for (let i = 0, at = 0; i < count; i++, at += readingAxes.length) {
    values[at] = firstNumber + i;
    values[at + 1] = life;
    const ofReading = mixed(start + firstNumber + i);
    // Without the highest bit of the exponent it is neither infinite nor NaN.
    for (let axis = 2; axis < readingAxes.length; axis++)
      bits[at + axis] = mixed(ofReading + axis) & 0xbfff_ffff;
  }
  return values;
}

/** The finaliser of MurmurHash3 (Austin Appleby): every bit of the result depends on every bit given. */
function mixed(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
