/**
 * Owns the newest rows of joint angles, from which the curves of a stride are taken over 0 to 100 % of it. Bounded: `keptS`
 * seconds of rows.
 */

import type { Side } from '#motion/body-model.ts';
import { CYCLE_POINTS, type Cycle } from '#motion/results.ts';
import type { StatePart } from '#motion/session/state.ts';

export interface CycleRecorder extends StatePart {
  /** The row of `angleNames` at a time of the grid. */
  add(timeUs: number, row: Float32Array): void;
  /** Null when the rows do not reach over the stride. */
  cycle(stride: { readonly side: Side; readonly startUs: number; readonly endUs: number }): Cycle | null;
}

type CurveColumn = readonly [name: string, column: number];

/** Where the curves of a side are: its own joints, and those of the middle. */
export function curveColumns(angleNames: readonly string[], side: Side): CurveColumn[] {
  const other = side === 'left' ? 'right-' : 'left-';
  return angleNames.flatMap((name, column): CurveColumn[] =>
    name.startsWith(other)
      ? []
      : [[name.startsWith(`${side}-`) ? name.slice(side.length + 1) : name, column]],
  );
}

export function createCycleRecorder(
  angleNames: readonly string[],
  { stepUs, keptS }: { readonly stepUs: number; readonly keptS: number },
): CycleRecorder {
  const width = angleNames.length;
  const capacity = Math.ceil((keptS * 1e6) / stepUs);
  const rows = new Float32Array(capacity * width);
  const times = new Float64Array(capacity);
  let count = 0;
  const columns = { left: curveColumns(angleNames, 'left'), right: curveColumns(angleNames, 'right') };

  /** Index of the newest row at or before the time; -1 when it is not kept. */
  const rowBefore = (timeUs: number): number => {
    let low = Math.max(0, count - capacity);
    let high = count - 1;
    if (count === 0 || times[low % capacity]! > timeUs) return -1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle % capacity]! <= timeUs) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  /** Writes point `i` of every curve: on the straight line between the rows around the time; over a hole in the grid NaN. */
  const writePoint = (
    timeUs: number,
    i: number,
    own: readonly CurveColumn[],
    curves: readonly Float32Array[],
  ): void => {
    const index = rowBefore(timeUs);
    const at = index % capacity;
    const next = (index + 1) % capacity;
    const isOn = times[at] === timeUs;
    const isBetween = index + 1 < count && times[next]! - times[at]! <= 1.5 * stepUs;
    const share = isOn ? 0 : (timeUs - times[at]!) / stepUs;
    for (let c = 0; c < own.length; c++) {
      const column = own[c]![1];
      const value = rows[at * width + column]!;
      if (isOn) curves[c]![i] = value;
      else if (isBetween) curves[c]![i] = value + share * (rows[next * width + column]! - value);
      else curves[c]![i] = Number.NaN;
    }
  };
  return {
    add(timeUs, row) {
      const at = count % capacity;
      times[at] = timeUs;
      for (let i = 0; i < width; i++) rows[at * width + i] = row[i]!;
      count++;
    },
    cycle({ side, startUs, endUs }) {
      if (rowBefore(startUs) === -1 || count === 0 || times[(count - 1) % capacity]! < endUs) return null;
      const own = columns[side];
      const all = own.map(() => new Float32Array(CYCLE_POINTS));
      for (let i = 0; i < CYCLE_POINTS; i++)
        writePoint(startUs + ((endUs - startUs) * i) / (CYCLE_POINTS - 1), i, own, all);
      const curves: Record<string, Float32Array> = {};
      for (const [c, [name]] of own.entries())
        if (all[c]!.some((value) => !Number.isNaN(value))) curves[name] = all[c]!;
      return Object.keys(curves).length === 0 ? null : { side, startUs, endUs, curves };
    },
    save() {
      const kept = Math.min(count, capacity);
      const state = new Float64Array(1 + kept * (1 + width));
      state[0] = kept;
      for (let i = 0; i < kept; i++) {
        const at = (count - kept + i) % capacity;
        state[1 + i * (1 + width)] = times[at]!;
        state.set(rows.subarray(at * width, (at + 1) * width), 2 + i * (1 + width));
      }
      return state;
    },
    load(from) {
      count = from[0]!;
      for (let i = 0; i < count; i++) {
        times[i] = from[1 + i * (1 + width)]!;
        for (let k = 0; k < width; k++) rows[i * width + k] = from[2 + i * (1 + width) + k]!;
      }
    },
  };
}
