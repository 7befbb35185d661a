/**
 * Owns the form in which the results of a window are stored: JSON of the records of motion/results.ts, the same text for the
 * same results. Angles of cycles are kept to a hundredth of a degree, a tenth of what any sensor knows. Bound: MAX_BYTES;
 * cycles are left out of a window that would be larger, and a notice says so.
 */

import type { MotionBatch } from '#motion/session-motion.ts';
import type { Contact, MotionNotice, Stride, Turn } from '#motion/results.ts';

/** Of the column (migration 0012). Ten seconds of running with twelve curves a cycle take 150 kB. */
const MAX_BYTES = 1024 * 1024;

export interface WindowMotion {
  readonly contacts: readonly Contact[];
  readonly strides: readonly Stride[];
  readonly cycles: readonly StoredCycle[];
  readonly turns: readonly Turn[];
  readonly notices: readonly MotionNotice[];
}

export interface StoredCycle {
  readonly side: 'left' | 'right';
  readonly startUs: number;
  readonly endUs: number;
  /** Null where unknown. */
  readonly curves: Readonly<Record<string, readonly (number | null)[]>>;
}

export function encodeWindow(batch: MotionBatch, endUs: number): string {
  const { contacts, strides, turns, notices } = batch;
  const cycles = batch.cycles.map(({ side, startUs, endUs: cycleEndUs, curves }) => ({
    side,
    startUs,
    endUs: cycleEndUs,
    curves: Object.fromEntries(
      Object.entries(curves).map(([name, curve]) => [name, Array.from(curve, rounded)]),
    ),
  }));
  // Cycles last: who reads a long session leaves them out of its older windows (store/motion-queries.ts).
  const whole: WindowMotion = { contacts, strides, turns, notices, cycles };
  const text = JSON.stringify(whole);
  if (Buffer.byteLength(text) <= MAX_BYTES) return text;
  const notice: MotionNotice = {
    timeUs: endUs,
    code: 'too-much',
    segment: null,
    text: `${cycles.length} cycles of joint angles in one window are more than is stored; they were left out`,
  };
  return JSON.stringify({ ...whole, notices: [...notices, notice], cycles: [] });
}

export function decodeWindow(text: string): WindowMotion {
  return JSON.parse(text) as WindowMotion;
}

function rounded(value: number): number | null {
  return Number.isFinite(value) ? Math.round(value * 100) / 100 : null;
}
