/**
 * Owns gait from one sensor on a foot when the whole recording is there: the frame of the foot and the bias of the gyroscope
 * are known from the first step on, each step goes from the stillest moment of one stance to that of the next, and the pitch
 * of the foot is told for every reading. Rows are those of the live algorithm.
 */

import { parametersOf, type Parameters } from '#motion/algorithm.ts';
import { pitchDegOf, type FootFrame } from '#motion/gait/foot-contacts.ts';
import { footGaitParameters } from '#motion/gait/foot-gait.ts';
import { createFootReport, MOST_ROWS_OF_STEP, REPORT_LENGTH } from '#motion/gait/foot-report.ts';
import { footColumns } from '#motion/gait/foot-rows.ts';
import { createStepFinder, frameOfAlignment, frameOfSums, type StepFinder } from '#motion/gait/foot-step.ts';
import { createFootSegment, type FootSegment } from '#motion/gait/foot-strapdown.ts';
import {
  BRIDGED_S,
  bridgeGaps,
  createFootTracker,
  halfWindow,
  LONGEST_STEP_S,
  STANDING_S,
  trackerLength,
} from '#motion/gait/foot-tracker.ts';

/** A foot that turns more slowly is not accelerated by more than a few percent of gravity: 3 degrees of pitch. */
const STILL_RAD_S = 0.3;

export interface FootGaitReview {
  /** Row-major, columns as footColumns. */
  readonly rows: Float64Array;
  /** Of the foot against its stance, toes down positive, degrees, for each reading; NaN where it is not known. */
  readonly pitchDeg: Float32Array;
  /** Axes of the foot in the sensor's frame; null: no straight step, and pitch and contacts are not known. */
  readonly frame: FootFrame | null;
}

interface Steps {
  /** Readings of the stances before and after each step. */
  readonly spans: { first: number; last: number }[];
  readonly sums: Float64Array;
  readonly bias: Float64Array;
}

/** Readings are six values a row: acc, m/s2, and gyr, rad/s, in the sensor's frame; NaN for missing ones. */
export function footGaitOffline(
  readings: Float64Array,
  rateHz: number,
  given: Partial<Parameters<typeof footGaitParameters>> = {},
): FootGaitReview {
  const parameters = parametersOf(footGaitParameters, given);
  const { alignmentW, alignmentX, alignmentY, alignmentZ } = parameters;
  const alignment = frameOfAlignment(alignmentW, alignmentX, alignmentY, alignmentZ);
  const learnt = findSteps(readings, { rateHz, parameters, frame: alignment });
  const frame = alignment ?? frameOfSums(learnt.sums);
  const steady = readings.map((value, i) => (i % 6 < 3 ? value : value - learnt.bias[(i % 6) - 3]!));
  const { spans } = findSteps(steady, { rateHz, parameters, frame });
  shareStances(spans, STANDING_S * rateHz);
  return measureAll(steady, spans, { rateHz, parameters, frame });
}

interface Settings {
  readonly rateHz: number;
  readonly parameters: Parameters<typeof footGaitParameters>;
  readonly frame: FootFrame | null;
}

function findSteps(readings: Float64Array, settings: Settings): Steps {
  const tracker = createFootTracker(new Float64Array(trackerLength(settings.rateHz)), settings);
  const spans: { first: number; last: number }[] = [];
  for (let i = 0; i + 5 < readings.length; i += 6)
    if (tracker.update(readings, i)) spans.push({ first: tracker.first(), last: tracker.last() });
  return { spans, ...tracker.learnt() };
}

/** A step ends where the next one begins, which is the stillest moment of the whole stance; not after a long stop. */
function shareStances(spans: { first: number; last: number }[], longest: number): void {
  for (const [k, span] of spans.entries()) {
    const next = spans[k + 1];
    if (next !== undefined && next.first > span.last && next.first - span.last < longest)
      span.last = next.first;
  }
}

function measureAll(
  readings: Float64Array,
  spans: readonly { first: number; last: number }[],
  { rateHz, parameters, frame }: Settings,
): FootGaitReview {
  const half = halfWindow(rateHz);
  const capacity = Math.ceil((LONGEST_STEP_S + STANDING_S) * rateHz) + 2 * half + 4;
  const segment = createFootSegment(capacity);
  const finder = createStepFinder(segment, { given: frame, parameters });
  const report = createFootReport(new Float64Array(REPORT_LENGTH), 0, parameters);
  report.reset();
  const pitchDeg = new Float32Array(readings.length / 6).fill(Number.NaN);
  const bridged = Math.max(1, Math.floor(BRIDGED_S * rateHz));
  const sums = new Float64Array(0);
  const out = new Float64Array(MOST_ROWS_OF_STEP * footColumns.length);
  const rows: number[] = [];
  const take = (count: number): void => {
    for (let i = 0; i < count * footColumns.length; i++) rows.push(out[i]!);
  };
  for (const { first, last } of spans) {
    if (frame === null) break;
    const offset = first - half;
    if (!copyReadings(readings, segment, { offset, count: last - first + 1 + 2 * half, bridged })) continue;
    if (!finder.measure({ first: half, last: last - offset, half, rateHz }, sums, 0)) continue;
    writePitch(segment, pitchDeg, { frame, offset, first, last });
    take(report.wait(first / rateHz, { out, from: 0 }));
    take(report.step(finder.step, timesOf(finder, offset, rateHz), { out, from: 0 }));
  }
  take(report.wait(Number.POSITIVE_INFINITY, { out, from: 0 }));
  if (frame !== null) writeRestingPitch(readings, pitchDeg, { frame, half });
  return { rows: Float64Array.from(rows), pitchDeg, frame };
}

function timesOf({ step }: StepFinder, offset: number, rateHz: number): { finalS: number; endS: number } {
  return {
    finalS: (offset + step.finalContact) / rateHz,
    endS: (offset + step.initialContact) / rateHz,
  };
}

function copyReadings(
  readings: Float64Array,
  segment: FootSegment,
  { offset, count, bridged }: { offset: number; count: number; bridged: number },
): boolean {
  if (count > segment.capacity || 6 * (offset + count) > readings.length) return false;
  for (let i = 0; i < count; i++) {
    const from = 6 * (offset + i);
    let isMissing = false;
    for (let axis = 0; axis < 6; axis++) if (!Number.isFinite(readings[from + axis])) isMissing = true;
    for (let axis = 0; axis < 3; axis++) {
      segment.acc[3 * i + axis] = isMissing ? Number.NaN : readings[from + axis]!;
      segment.gyr[3 * i + axis] = isMissing ? Number.NaN : readings[from + 3 + axis]!;
    }
  }
  return bridgeGaps(segment, count, bridged);
}

function writePitch(
  segment: FootSegment,
  pitchDeg: Float32Array,
  { frame, offset, first, last }: { frame: FootFrame; offset: number; first: number; last: number },
): void {
  for (let i = first; i <= last; i++) pitchDeg[i] = pitchDegOf(segment.quat, i - offset, frame);
}

/** Where no step was measured and nothing but gravity pulls over the window, the pitch is that of gravity. */
function writeRestingPitch(
  readings: Float64Array,
  pitchDeg: Float32Array,
  { frame: { forward, up }, half }: { frame: FootFrame; half: number },
): void {
  const count = pitchDeg.length;
  for (let i = half; i < count - half; i++) {
    if (!Number.isNaN(pitchDeg[i]!)) continue;
    let [ahead, over, square] = [0, 0, 0];
    for (let k = 6 * (i - half); k <= 6 * (i + half); k += 6) {
      for (let axis = 0; axis < 3; axis++) {
        ahead += readings[k + axis]! * forward[axis]!;
        over += readings[k + axis]! * up[axis]!;
        square += readings[k + 3 + axis]! * readings[k + 3 + axis]!;
      }
    }
    if (square < STILL_RAD_S * STILL_RAD_S * (2 * half + 1))
      pitchDeg[i] = (Math.atan2(-ahead, over) * 180) / Math.PI;
  }
}
