/**
 * Owns how gait cycles become curves over 0 to 100 %: the newest steady ones of each side, their mean, the scale that holds
 * them, and paths in a box of 100 by 100. A value that is not known breaks the line.
 */

import { isCommitted, type CommittedSpan, type Cycle, type Stride } from '#web/motion/gait-feed.ts';

export const CYCLE_POINTS = 101;
/** Single cycles that are drawn, and all that the mean is of. */
const DRAWN = 5;
const AVERAGED = 20;

export type Curve = readonly (number | null)[];
export type Side = 'left' | 'right';

export interface SideCurves {
  readonly side: Side;
  /** The newest, oldest first. */
  readonly single: readonly {
    readonly startUs: number;
    readonly curve: Curve;
    readonly isCommitted: boolean;
  }[];
  /** Of `count` cycles; null without any. */
  readonly mean: Curve | null;
  readonly count: number;
  /** All that the mean is of is in the stored analysis. */
  readonly isMeanCommitted: boolean;
  /** Where in the stride the foot leaves the ground, in percent; null where it is not known. */
  readonly footOffPercent: number | null;
}

export interface CycleCurves {
  readonly key: string;
  readonly sides: readonly SideCurves[];
}

export function cycleCurves(
  key: string,
  {
    cycles,
    strides,
    committed,
  }: {
    readonly cycles: readonly Cycle[];
    readonly strides: readonly Stride[];
    readonly committed: readonly CommittedSpan[] | 'all';
  },
): CycleCurves {
  const isStored = ({ endUs }: Cycle): boolean => committed === 'all' || isCommitted(committed, endUs - 1);
  const unsteady = new Set(strides.filter((stride) => !isSteady(stride)).map(keyOf));
  const steady = cycles.filter((cycle) => cycle.curves[key] !== undefined && !unsteady.has(keyOf(cycle)));
  const sides = (['left', 'right'] as const).map((side): SideCurves => {
    const known = steady.filter((cycle) => cycle.side === side);
    const averaged = known.slice(-AVERAGED);
    return {
      side,
      single: averaged.slice(-DRAWN).map((cycle) => ({
        startUs: cycle.startUs,
        curve: cycle.curves[key] ?? [],
        isCommitted: isStored(cycle),
      })),
      mean: meanCurve(averaged.map((cycle) => cycle.curves[key] ?? [])),
      count: averaged.length,
      isMeanCommitted: averaged.every(isStored),
      footOffPercent: footOff(
        strides.filter((stride) => stride.side === side && isSteady(stride)).slice(-AVERAGED),
      ),
    };
  });
  return { key, sides };
}

/** Straight ahead on the level: the strides that the figures are of too (docs/gait-metrics.md). */
function isSteady({ turnDeg, terrain }: Stride): boolean {
  return Math.abs(turnDeg ?? 0) <= STEADY_TURN_DEG && (terrain === null || terrain === 'level');
}

const STEADY_TURN_DEG = 20;

function keyOf({ side, startUs }: Pick<Cycle, 'side' | 'startUs'>): string {
  return `${side} ${startUs}`;
}

/** Point by point over those that are known there, at least half of all; null without any curve. */
export function meanCurve(curves: readonly Curve[]): Curve | null {
  if (curves.length === 0) return null;
  return Array.from({ length: CYCLE_POINTS }, (_, point) => {
    let sum = 0;
    let count = 0;
    for (const curve of curves) {
      const value = curve[point];
      if (value === null || value === undefined || !Number.isFinite(value)) continue;
      sum += value;
      count++;
    }
    return count === 0 || count * 2 < curves.length ? null : sum / count;
  });
}

function footOff(strides: readonly Stride[]): number | null {
  let sum = 0;
  let count = 0;
  for (const { startUs, endUs, finalContactUs } of strides) {
    if (finalContactUs === null) continue;
    sum += (100 * (finalContactUs - startUs)) / (endUs - startUs);
    count++;
  }
  return count === 0 ? null : sum / count;
}

export interface DegreeRange {
  readonly low: number;
  readonly high: number;
}

/** What a walk needs, so that the same walk looks the same tomorrow (Perry, Burnfield, "Gait Analysis", 2nd ed., 2010). */
const usualRanges: Readonly<Record<string, DegreeRange>> = {
  'hip-flexion': { low: -20, high: 40 },
  'knee-flexion': { low: -10, high: 70 },
  'ankle-dorsiflexion': { low: -30, high: 20 },
  'foot-pitch': { low: -80, high: 40 },
};
const anyRange: DegreeRange = { low: -20, high: 20 };
const STEP_DEG = 10;

/** The usual range of the curve, wider in steps of 10 degrees where something leaves it. */
export function degreeRange(key: string, curves: Iterable<Curve | Float32Array>): DegreeRange {
  let { low, high } = usualRanges[key] ?? anyRange;
  for (const curve of curves)
    for (const value of curve) {
      if (value === null || !Number.isFinite(value)) continue;
      if (value < low) low = Math.floor(value / STEP_DEG) * STEP_DEG;
      if (value > high) high = Math.ceil(value / STEP_DEG) * STEP_DEG;
    }
  return { low, high };
}

/** From the top, 0 to 100. */
export function placeOf({ low, high }: DegreeRange, degrees: number): number {
  return (100 * (high - degrees)) / (high - low);
}

const short = (value: number): string => String(Math.round(value * 100) / 100);

/** Path of a curve in a box of 100 by 100. */
export function curvePath(curve: Curve, range: DegreeRange): string {
  const last = Math.max(1, curve.length - 1);
  let path = '';
  let isDown = false;
  curve.forEach((value, i) => {
    if (value === null || !Number.isFinite(value)) {
      isDown = false;
      return;
    }
    path += `${isDown ? 'L' : 'M'}${short((100 * i) / last)} ${short(placeOf(range, value))}`;
    isDown = true;
  });
  return path;
}

/** Outline of a band of the same box. */
export function bandPath(low: ArrayLike<number>, high: ArrayLike<number>, range: DegreeRange): string {
  const last = Math.max(1, low.length - 1);
  const at = (i: number, value: number): string =>
    `${short((100 * i) / last)} ${short(placeOf(range, value))}`;
  const up = Array.from(high, (value, i) => at(i, value));
  const down = Array.from(low, (value, i) => at(i, value)).toReversed();
  return `M${[...up, ...down].join('L')}Z`;
}
