/**
 * Owns how measured steps become rows: strides from one initial contact to the next, bouts, and turns over several steps.
 * Its state is a few numbers in an array of its owner, who saves them.
 */

import type { Parameters, ParameterSpec } from '#motion/algorithm.ts';
import { footColumn, footColumns, footRowKind } from '#motion/gait/foot-rows.ts';
import type { FootStep } from '#motion/gait/foot-step.ts';

export const reportParameters = {
  longestStrideS: {
    default: 3,
    min: 1,
    max: 3,
    unit: 's',
    summary: 'longest stride; after a longer break a new bout of walking begins',
    source:
      'Kluge et al. 2021, doi:10.1371/journal.pone.0256541: strides of 0.2 to 3 s, breaks of 3 s end a bout',
  },
  leastStepM: {
    default: 0.1,
    min: 0.02,
    max: 0.5,
    unit: 'm',
    summary: 'a shorter movement without a turn is no step',
    source: 'twice the usual error of a length',
  },
  turnDeg: {
    default: 45,
    min: 20,
    max: 180,
    unit: 'deg',
    summary: 'smallest change of direction that is a turn',
    source: 'El-Gohary et al. 2014, doi:10.3390/s140100356',
  },
} as const satisfies Readonly<Record<string, ParameterSpec>>;

/** Steps that turn by more belong to a turn: over twice the spread of the direction of single steps (4 degrees). */
const TURNING_DEG = 10;
/** A step on the spot is one when it turns by more than this. */
const STEP_TURN_DEG = 20;
/** Shorter than any swing: normal ones take 0.4 s, those of the fastest walkers 0.3 s. */
const LEAST_SWING_S = 0.1;

/** Rows that one step can cause: the end of a turn, two contacts, a stride. */
export const MOST_ROWS_OF_STEP = 4;

const WIDTH = footColumns.length;

const at = { lastInitial: 0, bout: 1, turnSum: 2, turnStart: 3, turnEnd: 4 } as const;
export const REPORT_LENGTH = 5;

export interface FootReport {
  reset(): void;
  /** Writes the rows of a step with these contacts from row `from` of `out` on; returns how many there are then. */
  step(
    step: FootStep,
    times: { finalS: number; endS: number },
    to: { out: Float64Array; from: number },
  ): number;
  /** A turn is under way. */
  isTurning(): boolean;
  /** Ends a turn that nothing followed for longer than a stride. */
  wait(nowS: number, to: { out: Float64Array; from: number }): number;
}

/** The state is at `offset` of the array. */
export function createFootReport(
  state: Float64Array,
  offset: number,
  parameters: Parameters<typeof reportParameters>,
): FootReport {
  const { longestStrideS, leastStepM, turnDeg } = parameters;
  const get = (what: number): number => state[offset + what]!;
  const set = (what: number, value: number): void => {
    state[offset + what] = value;
  };
  let rows = 0;

  const writeRow = (out: Float64Array, kind: number, timeS: number): number => {
    const row = rows++ * WIDTH;
    out.fill(Number.NaN, row, row + WIDTH);
    out[row + footColumn.kind] = kind;
    out[row + footColumn.time] = timeS;
    out[row + footColumn.bout] = get(at.bout);
    return row;
  };

  const endTurn = (out: Float64Array): void => {
    if (Math.abs(get(at.turnSum)) >= turnDeg) {
      const row = writeRow(out, footRowKind.turn, get(at.turnEnd));
      out[row + footColumn.start] = get(at.turnStart);
      out[row + footColumn.turn] = get(at.turnSum);
    }
    set(at.turnSum, 0);
  };

  /** Adds a step to the turn under way, or ends that. */
  const followTurn = (
    out: Float64Array,
    turnedDeg: number,
    times: { finalS: number; endS: number },
  ): void => {
    const sum = get(at.turnSum);
    const turns = Math.abs(turnedDeg) >= TURNING_DEG;
    if (sum !== 0 && !(turns && Math.sign(sum) === Math.sign(turnedDeg))) endTurn(out);
    if (!turns) return;
    if (get(at.turnSum) === 0) set(at.turnStart, Number.isNaN(times.finalS) ? times.endS : times.finalS);
    set(at.turnSum, get(at.turnSum) + turnedDeg);
    set(at.turnEnd, times.endS);
  };

  const writeStride = (out: Float64Array, step: FootStep, times: { finalS: number; endS: number }): void => {
    const row = writeRow(out, footRowKind.stride, times.endS);
    out[row + footColumn.start] = get(at.lastInitial);
    out[row + footColumn.final] = times.finalS;
    out[row + footColumn.length] = step.lengthM;
    out[row + footColumn.heightChange] = step.heightChangeM;
    out[row + footColumn.clearance] = step.clearanceM;
    out[row + footColumn.turn] = step.turnDeg;
    out[row + footColumn.pitch] = step.pitchInitial;
    out[row + footColumn.pitchFinal] = Number.isNaN(times.finalS) ? Number.NaN : step.pitchFinal;
    out[row + footColumn.terrain] = step.terrain;
  };

  return {
    reset() {
      set(at.lastInitial, Number.NaN);
      set(at.bout, -1);
      set(at.turnSum, 0);
      set(at.turnStart, 0);
      set(at.turnEnd, 0);
    },
    step(step, times, { out, from }) {
      rows = from;
      const isStep = step.lengthM >= leastStepM || Math.abs(step.turnDeg) >= STEP_TURN_DEG;
      if (!isStep || Number.isNaN(times.endS)) return rows;
      const { endS } = times;
      const startS = get(at.lastInitial);
      const continues = endS - startS <= longestStrideS;
      // A foot that slides ahead has no push-off; what looks like one without a swing, or before its contact, is none.
      if (!(endS - times.finalS >= LEAST_SWING_S) || (continues && times.finalS <= startS))
        times.finalS = Number.NaN;
      const { finalS } = times;
      if (!continues) {
        endTurn(out);
        set(at.bout, get(at.bout) + 1);
      }
      followTurn(out, step.turnDeg, times);
      if (!Number.isNaN(finalS))
        out[writeRow(out, footRowKind.finalContact, finalS) + footColumn.pitch] = step.pitchFinal;
      out[writeRow(out, footRowKind.initialContact, endS) + footColumn.pitch] = step.pitchInitial;
      if (continues) writeStride(out, step, times);
      set(at.lastInitial, endS);
      return rows;
    },
    isTurning: () => state[offset + at.turnSum] !== 0,
    wait(nowS, { out, from }) {
      rows = from;
      if (get(at.turnSum) !== 0 && nowS - get(at.turnEnd) > longestStrideS) endTurn(out);
      return rows;
    },
  };
}
