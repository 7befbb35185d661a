/**
 * Owns the coding of a sealed block's segments and explicit times (chunk-codec.ts) as columns. A segment starts where the
 * one before ends, so that its start costs nothing while the device's clock is steady; arrival is told by how it differs
 * from the segment before. 64-bit numbers are kept as two words and wrap around: any bit pattern survives. Pure.
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

/** u16 count, u16 zero, u32 period_ns, i64 first_us, i64 arrival_us. */
const SEGMENT_WORDS = 6;
export const SEGMENT_BYTES = SEGMENT_WORDS * 4;
/** Bytes of the columns of one segment: two of 4, the flag, two of 8. */
export const SEGMENT_PLANES = 25;

/** What an arrival is compared with: the lag of the segment before, the first lag, or the arrival before. */
export type ArrivalMethod = 0 | 1 | 2;
const arrivalMethods: readonly ArrivalMethod[] = [0, 1, 2];

export interface PlainTimes {
  readonly n: number;
  /** SEGMENT_WORDS a segment. */
  readonly segments: Int32Array;
  /** A byte a segment: 1 when its times are explicit. */
  readonly isExplicit: Uint8Array;
  /** One a reading, or null when no segment is explicit; those of even segments are what their period says. */
  readonly deltas: Uint32Array | null;
}

export interface TimesMethod {
  readonly arrival: ArrivalMethod;
  readonly deltaOrder: DifferenceOrder;
}

/** Adds the columns of the times and says how they were coded. */
export function encodeTimes(times: PlainTimes, out: PlaneWriter): TimesMethod {
  const { segments } = times;
  const count = segments.length / SEGMENT_WORDS;
  out.add(difference(columnOf(segments, 0), 4, 1), 4);
  out.add(difference(columnOf(segments, 1), 4, 1), 4);
  out.add(Uint32Array.from(times.isExplicit), 1);
  let deltaOrder: DifferenceOrder = 0;
  if (times.deltas !== null) {
    const rest = evenDeltas(times);
    for (let i = 0; i < rest.length; i++) rest[i] = times.deltas[i]! - rest[i]!;
    const best = bestDifference(rest, 4);
    deltaOrder = best.order;
    out.add(best.coded, 4);
  }
  const starts = createLongs(count);
  forEachStart(times, (i, low, high) => {
    subtract(starts, i, {
      low: segments[i * SEGMENT_WORDS + 2]!,
      high: segments[i * SEGMENT_WORDS + 3]!,
      minusLow: low,
      minusHigh: high,
    });
  });
  addLongs(starts, out);
  let arrival: ArrivalMethod = 0;
  let best = codeArrivals(segments, 0);
  for (const method of arrivalMethods.slice(1)) {
    const coded = codeArrivals(segments, method);
    if (costOf(coded) < costOf(best)) [best, arrival] = [coded, method];
  }
  addLongs(best, out);
  return { arrival, deltaOrder };
}

/** Reads what `encodeTimes` added. Null when the segments do not hold `n` readings. */
export function decodeTimes(
  planes: PlaneReader,
  shape: { n: number; segmentCount: number; hasExplicit: boolean },
  method: TimesMethod,
): PlainTimes | null {
  const { n, segmentCount, hasExplicit } = shape;
  const segments = new Int32Array(segmentCount * SEGMENT_WORDS);
  const counts = accumulate(planes.next(segmentCount, 4), 4, 1);
  const periods = accumulate(planes.next(segmentCount, 4), 4, 1);
  const isExplicit = Uint8Array.from(planes.next(segmentCount, 1));
  let readings = 0;
  for (let i = 0; i < segmentCount; i++) {
    segments[i * SEGMENT_WORDS] = counts[i]!;
    segments[i * SEGMENT_WORDS + 1] = periods[i]!;
    readings += counts[i]! & 0xffff;
  }
  if (readings !== n) return null;
  let deltas: Uint32Array | null = null;
  if (hasExplicit) {
    const rest = accumulate(planes.next(n, 4), 4, method.deltaOrder);
    deltas = evenDeltas({ n, segments, isExplicit, deltas: null });
    for (let i = 0; i < n; i++) deltas[i] = deltas[i]! + rest[i]!;
  }
  const times = { n, segments, isExplicit, deltas };
  const starts = nextLongs(planes, segmentCount);
  forEachStart(times, (i, low, high) => {
    const at = i * SEGMENT_WORDS + 2;
    addTo(segments, at, { low, high, plusLow: starts.low[i]!, plusHigh: starts.high[i]! });
  });
  restoreArrivals(segments, nextLongs(planes, segmentCount), method.arrival);
  return times;
}

/** The time of each reading after its segment's start as the period says (chunk-codec.ts), whatever is explicit. */
function evenDeltas({ n, segments }: PlainTimes): Uint32Array {
  const out = new Uint32Array(n);
  let i = 0;
  for (let at = 0; at < segments.length; at += SEGMENT_WORDS) {
    const count = segments[at]! & 0xffff;
    const periodNs = segments[at + 1]! >>> 0;
    for (let k = 0; k < count; k++, i++) out[i] = Math.floor((k * periodNs + 500) / 1000);
  }
  return out;
}

/**
 * Calls back with where each segment would start if the clock were steady: at the end of the one before, which must have
 * its start already. The first would start at zero.
 */
function forEachStart(times: PlainTimes, use: (i: number, low: number, high: number) => void): void {
  const { segments, isExplicit, deltas } = times;
  let readings = 0;
  for (let i = 0, at = 0; at < segments.length; i++, at += SEGMENT_WORDS) {
    if (i === 0) {
      use(0, 0, 0);
      continue;
    }
    const before = at - SEGMENT_WORDS;
    const count = segments[before]! & 0xffff;
    readings += count;
    let lengthUs = Math.floor((count * (segments[before + 1]! >>> 0) + 500) / 1000);
    if (isExplicit[i - 1] === 1 && deltas !== null && count > 1) {
      const lastUs = deltas[readings - 1]!;
      lengthUs = lastUs + Math.round(lastUs / (count - 1));
    }
    const low = (segments[before + 2]! >>> 0) + (lengthUs >>> 0);
    const high = segments[before + 3]! + Math.floor(lengthUs / 4294967296) + (low >= 4294967296 ? 1 : 0);
    use(i, low | 0, high | 0);
  }
}

function codeArrivals(segments: Int32Array, method: ArrivalMethod): Longs {
  const count = segments.length / SEGMENT_WORDS;
  const out = createLongs(count);
  const lags = createLongs(count);
  for (let i = 0, at = 0; i < count; i++, at += SEGMENT_WORDS) {
    const [low, high] = [segments[at + 4]!, segments[at + 5]!];
    if (method === 2) {
      const before = at - SEGMENT_WORDS;
      const [minusLow, minusHigh] = i === 0 ? [0, 0] : [segments[before + 4]!, segments[before + 5]!];
      subtract(out, i, { low, high, minusLow, minusHigh });
      continue;
    }
    subtract(lags, i, { low, high, minusLow: segments[at + 2]!, minusHigh: segments[at + 3]! });
    const base = method === 0 ? i - 1 : 0;
    const [minusLow, minusHigh] = i === 0 ? [0, 0] : [lags.low[base]! | 0, lags.high[base]! | 0];
    subtract(out, i, { low: lags.low[i]! | 0, high: lags.high[i]! | 0, minusLow, minusHigh });
  }
  return out;
}

function restoreArrivals(segments: Int32Array, coded: Longs, method: ArrivalMethod): void {
  const lag = new Int32Array(2);
  const first = new Int32Array(2);
  for (let i = 0, at = 0; i < coded.low.length; i++, at += SEGMENT_WORDS) {
    const [plusLow, plusHigh] = [coded.low[i]!, coded.high[i]!];
    if (method === 2) {
      const before = at - SEGMENT_WORDS;
      const [low, high] = i === 0 ? [0, 0] : [segments[before + 4]!, segments[before + 5]!];
      addTo(segments, at + 4, { low, high, plusLow, plusHigh });
      continue;
    }
    const base = method === 0 ? lag : first;
    addTo(lag, 0, { low: base[0]!, high: base[1]!, plusLow, plusHigh });
    if (i === 0) first.set(lag);
    addTo(segments, at + 4, {
      low: segments[at + 2]!,
      high: segments[at + 3]!,
      plusLow: lag[0]!,
      plusHigh: lag[1]!,
    });
  }
}

/** 64-bit numbers as two words each. */
interface Longs {
  readonly low: Uint32Array;
  readonly high: Uint32Array;
}

function createLongs(count: number): Longs {
  return { low: new Uint32Array(count), high: new Uint32Array(count) };
}

function subtract(
  out: Longs,
  i: number,
  { low, high, minusLow, minusHigh }: { low: number; high: number; minusLow: number; minusHigh: number },
): void {
  const borrow = low >>> 0 < minusLow >>> 0 ? 1 : 0;
  out.low[i] = low - minusLow;
  out.high[i] = high - minusHigh - borrow;
}

function addTo(
  words: Int32Array,
  at: number,
  { low, high, plusLow, plusHigh }: { low: number; high: number; plusLow: number; plusHigh: number },
): void {
  const sum = (low >>> 0) + (plusLow >>> 0);
  words[at] = sum;
  words[at + 1] = high + plusHigh + (sum >= 4294967296 ? 1 : 0);
}

/** Small numbers of either sign become small ones. */
function foldSigns({ low, high }: Longs): Longs {
  const out = createLongs(low.length);
  for (let i = 0; i < low.length; i++) {
    const sign = high[i]! >> 31;
    out.low[i] = (low[i]! << 1) ^ sign;
    out.high[i] = ((high[i]! << 1) | (low[i]! >>> 31)) ^ sign;
  }
  return out;
}

function costOf(longs: Longs): number {
  const folded = foldSigns(longs);
  return estimateBytes(folded.low, 4) + estimateBytes(folded.high, 4);
}

function addLongs(longs: Longs, out: PlaneWriter): void {
  const folded = foldSigns(longs);
  out.add(folded.low, 4);
  out.add(folded.high, 4);
}

function nextLongs(planes: PlaneReader, count: number): Longs {
  const low = planes.next(count, 4);
  const high = planes.next(count, 4);
  for (let i = 0; i < count; i++) {
    const sign = -(low[i]! & 1);
    low[i] = ((low[i]! >>> 1) | (high[i]! << 31)) ^ sign;
    high[i] = (high[i]! >>> 1) ^ sign;
  }
  return { low, high };
}

function columnOf(words: Int32Array, word: number): Uint32Array {
  const column = new Uint32Array(words.length / SEGMENT_WORDS);
  for (let i = 0; i < column.length; i++) column[i] = words[i * SEGMENT_WORDS + word]!;
  return column;
}
