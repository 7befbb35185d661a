/**
 * Owns the choice of points that draw a trace: at most first, lowest, highest and last of each pixel column, which
 * gives the same picture as all readings (M4: Jugel, Jerzak, Hackenbroich, Markl, "M4: A Visualization-Oriented Time
 * Series Data Aggregation", VLDB 2014). No peak is hidden. Holes and breaks end a line. The point buffer is bounded
 * by four points a column.
 */

import type { ReadingRing } from '#web/live/reading-ring.ts';

/** Chosen readings of one axis, in order. Reused between calls: nothing is allocated per frame. */
export interface PointBuffer {
  count: number;
  /** Index of the reading in its ring. */
  readonly index: Float64Array;
  readonly timeMs: Float64Array;
  readonly value: Float32Array;
  /** 1 where no line leads here from the point before. */
  readonly isStart: Uint8Array;
}

/** Room for `columns` pixel columns, and one reading beyond on each side. */
export function createPointBuffer(columns: number): PointBuffer {
  const size = (columns + 2) * 4;
  return {
    count: 0,
    index: new Float64Array(size),
    timeMs: new Float64Array(size),
    value: new Float32Array(size),
    isStart: new Uint8Array(size),
  };
}

export interface PointQuery {
  readonly ring: ReadingRing;
  readonly axis: number;
  /** Readings [from, to). */
  readonly from: number;
  readonly to: number;
  readonly msPerColumn: number;
  /** True when no line may lead from reading `index - 1` to `index`, although both are there. */
  readonly isBreak: (index: number) => boolean;
}

/** Fills `out`. Readings without a finite value are holes. Stops when the buffer is full. */
export function choosePoints(query: PointQuery, out: PointBuffer): void {
  const { ring, from, to, msPerColumn } = query;
  const values = ring.values[query.axis]!;
  out.count = 0;
  let column = Number.NaN;
  let first = -1;
  let lowest = -1;
  let highest = -1;
  let last = -1;
  let startsLine = true;
  const flush = (): void => {
    if (first < 0) return;
    const early = Math.min(lowest, highest);
    const late = Math.max(lowest, highest);
    add(ring, values, first, startsLine, out);
    if (early > first) add(ring, values, early, false, out);
    if (late > early && late > first) add(ring, values, late, false, out);
    if (last > late && last > first) add(ring, values, last, false, out);
    startsLine = false;
    first = -1;
  };
  for (let i = from; i < to; i++) {
    const value = ring.has(i) ? values[ring.slotOf(i)]! : Number.NaN;
    if (!Number.isFinite(value)) {
      flush();
      startsLine = true;
      continue;
    }
    const at = Math.floor(ring.timeOf(i) / msPerColumn);
    const breaks = last >= 0 && query.isBreak(i);
    if (at !== column || breaks) {
      flush();
      if (breaks) startsLine = true;
      column = at;
    }
    if (first < 0) {
      first = i;
      lowest = i;
      highest = i;
    } else {
      if (value < values[ring.slotOf(lowest)]!) lowest = i;
      if (value > values[ring.slotOf(highest)]!) highest = i;
    }
    last = i;
  }
  flush();
}

function add(
  ring: ReadingRing,
  values: Float32Array,
  index: number,
  startsLine: boolean,
  out: PointBuffer,
): void {
  const at = out.count;
  if (at >= out.index.length) return;
  out.index[at] = index;
  out.timeMs[at] = ring.timeOf(index);
  out.value[at] = values[ring.slotOf(index)]!;
  out.isStart[at] = startsLine ? 1 : 0;
  out.count = at + 1;
}
