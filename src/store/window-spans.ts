/**
 * Owns the cutting of readings into windows, without I/O: which numbers of an epoch are in which window, exactly, whatever
 * a device's clock does. Bound: what the caller gives, and `maxWindows` of the taking.
 */

import { rangesOf, type Range, type RangeSet } from '#base/ranges.ts';
import { WINDOW_US, windowStartUs } from '#store/window-grid.ts';

/** Times of readings [firstSeq, firstSeq + n), device time in microseconds. */
export interface TimedReadings {
  readonly firstSeq: number;
  readonly n: number;
  readonly times: Float64Array;
}

export interface SpanTaking {
  /** Windows by their start, each with the numbers of its readings. */
  readonly windows: ReadonlyMap<number, RangeSet>;
  /** Behind the last reading that was taken. */
  readonly endSeq: number;
  readonly newestUs: number;
}

/** Takes readings of `range` in order of seq until `maxWindows` are touched. The blocks may reach over its ends. */
export function takeSpans(
  range: Range,
  blocks: readonly TimedReadings[],
  maxWindows = Number.POSITIVE_INFINITY,
): SpanTaking {
  const found = new Map<number, Range[]>();
  let endSeq = range.from;
  let newestUs = Number.NEGATIVE_INFINITY;
  const finish = (): SpanTaking => ({
    windows: new Map([...found].map(([startUs, ranges]) => [startUs, rangesOf(ranges)])),
    endSeq,
    newestUs,
  });
  for (const { firstSeq, n, times } of blocks) {
    const to = Math.min(n, range.to - firstSeq);
    for (let i = Math.max(0, range.from - firstSeq); i < to;) {
      const startUs = windowStartUs(times[i]!);
      const ranges = found.get(startUs) ?? [];
      if (ranges.length === 0) {
        if (found.size === maxWindows) return finish();
        found.set(startUs, ranges);
      }
      const from = i;
      // Consecutive readings of one window.
      for (; i < to && times[i]! >= startUs && times[i]! < startUs + WINDOW_US; i++)
        if (times[i]! > newestUs) newestUs = times[i]!;
      ranges.push({ from: firstSeq + from, to: firstSeq + i });
      endSeq = firstSeq + i;
    }
  }
  return finish();
}
