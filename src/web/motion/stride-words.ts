/** Owns how a stride reads: side, time, length, and what was particular about it. */

import { DASH } from '#web/format.ts';
import type { Stride, Turn } from '#web/motion/gait-feed.ts';
import { formatFixed, withUnit } from '#web/motion/metric-rows.ts';

/** Digits as the figures of a summary have them. */
const units = {
  strideTimeS: ['s', 2, 1],
  stanceTimeS: ['s', 2, 1],
  swingTimeS: ['s', 2, 1],
  doubleSupportPercent: ['%', 0, 1],
  strideLengthM: ['m', 2, 1],
  speedMS: ['m/s', 2, 1],
  cadenceStepsPerMin: ['steps/min', 0, 1],
  clearanceM: ['cm', 0, 100],
  heightChangeM: ['cm', 0, 100],
} as const satisfies Partial<Record<keyof Stride, readonly [unit: string, digits: number, factor: number]>>;

export type StrideFigure = keyof typeof units;

export function strideFigure(stride: Stride, figure: StrideFigure): string {
  const value = stride[figure];
  const [unit, digits, factor] = units[figure];
  if (value === null || !Number.isFinite(value)) return DASH;
  return withUnit(formatFixed(value * factor, digits), unit);
}

/** `turn 178° left`, `stairs up`; null for a stride straight ahead on the level. */
export function strideRemark(stride: Stride, turn: Turn | null): string | null {
  const angle = turn?.angleDeg ?? (Math.abs(stride.turnDeg ?? 0) >= TURN_DEG ? stride.turnDeg : null);
  const parts: string[] = [];
  if (angle !== null) parts.push(`turn ${formatFixed(Math.abs(angle), 0)}° ${angle >= 0 ? 'left' : 'right'}`);
  if (stride.terrain === 'up' || stride.terrain === 'down') parts.push(stride.terrain);
  return parts.length === 0 ? null : parts.join(', ');
}

/** A stride that changes direction by as much is no stride straight ahead. */
const TURN_DEG = 20;
