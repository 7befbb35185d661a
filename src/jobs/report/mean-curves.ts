/**
 * Owns the mean of joint angles over the strides of a session: by side, point by point from 0 to 100 % of the stride, over the
 * strides straight ahead on the level that the figures are of too. A point that most strides do not know is not known.
 */

import type { MotionAnalysis } from '#contract/motion.ts';
import type { ReportCurve, ReportSide } from '#contract/report.ts';
import { isSteady } from '#motion/gait/summary-state.ts';
import { CYCLE_POINTS } from '#motion/results.ts';

export interface MeanCurve {
  readonly mean: ReportCurve;
  /** Standard deviation; null of fewer than two strides. */
  readonly spread: ReportCurve;
  readonly strides: number;
}

export interface SteadyStrides {
  /** Names of the curves that some stride has, in the order in which they first come. */
  readonly names: readonly string[];
  /** Null: no steady stride of this side has the curve. */
  curve(name: string, side: ReportSide): MeanCurve | null;
  /** Where in the stride the foot leaves the ground, in percent; null where it is not known. */
  footOffPercent(side: ReportSide): number | null;
}

export function steadyStrides({
  cycles,
  strides,
}: Pick<MotionAnalysis, 'cycles' | 'strides'>): SteadyStrides {
  const unsteady = new Set(strides.filter((stride) => !isSteady(stride)).map(keyOf));
  const steady = cycles.filter((cycle) => !unsteady.has(keyOf(cycle)));
  return {
    names: [...new Set(steady.flatMap((cycle) => Object.keys(cycle.curves)))],
    curve(name, side) {
      const curves = steady.flatMap((cycle) => (cycle.side === side ? (cycle.curves[name] ?? []) : []));
      // Joined end to end: as many points as strides times CYCLE_POINTS.
      const count = curves.length / CYCLE_POINTS;
      return count === 0 ? null : meanOf(curves, count);
    },
    footOffPercent(side) {
      const shares = strides.flatMap((stride) =>
        stride.side === side && stride.finalContactUs !== null && isSteady(stride)
          ? (100 * (stride.finalContactUs - stride.startUs)) / (stride.endUs - stride.startUs)
          : [],
      );
      return shares.length === 0 ? null : shares.reduce((sum, share) => sum + share, 0) / shares.length;
    },
  };
}

function keyOf({ side, startUs }: { readonly side: ReportSide; readonly startUs: number }): string {
  return `${side} ${startUs}`;
}

function meanOf(values: readonly (number | null)[], strides: number): MeanCurve {
  const mean: (number | null)[] = [];
  const spread: (number | null)[] = [];
  for (let point = 0; point < CYCLE_POINTS; point++) {
    const known: number[] = [];
    for (let i = point; i < values.length; i += CYCLE_POINTS) {
      const value = values[i];
      if (value !== null && value !== undefined) known.push(value);
    }
    const average = known.reduce((sum, value) => sum + value, 0) / known.length;
    const squares = known.reduce((sum, value) => sum + (value - average) ** 2, 0);
    const isKnown = known.length > 0 && known.length * 2 >= strides;
    mean.push(isKnown ? average : null);
    spread.push(isKnown && known.length > 1 ? Math.sqrt(squares / (known.length - 1)) : null);
  }
  return { mean, spread, strides };
}
