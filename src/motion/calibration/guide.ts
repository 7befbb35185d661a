/**
 * Owns the steps of a guided calibration: which pose or movement comes next, how far it is, what to say when it is not right, and
 * the body model that comes out. Fed by readings as they come, from a page or a file; it has no clock but theirs. Bounded:
 * STEP_S seconds of readings a sensor.
 */

import type { BodyModel, Placement } from '#motion/body-model.ts';
import {
  alignmentFrom,
  calibrate,
  functionalMovements,
  measurePose,
  turnOf,
  type CalibrationResult,
  type FunctionalMovement,
  type HeldPose,
} from '#motion/calibration/pose-and-movement.ts';

export interface GuideStep {
  readonly name: 'stand' | FunctionalMovement['name'];
  readonly instruction: string;
  readonly segments: readonly string[];
}

export interface GuideState {
  /** Null: all steps are done. */
  readonly step: GuideStep | null;
  readonly stepNumber: number;
  readonly stepCount: number;
  /** 0 to 1 of this step. */
  readonly progress: number;
  /** What to do better; null while all is well. */
  readonly hint: string | null;
}

export interface CalibrationGuide {
  readonly state: GuideState;
  /** A reading of a placement (acc m/s2, gyr rad/s), in order of time. Returns whether the state changed. */
  update(placement: number, timeUs: number, values: Float64Array, at: number): boolean;
  /** By placement, as far as its movement was made. */
  readonly results: ReadonlyMap<number, CalibrationResult>;
  /** The body model with what was calibrated; what was not stays as it is. */
  bodyModel(): BodyModel;
  /** From the first step, with nothing kept. */
  restart(): void;
}

/** A step that takes longer begins anew, with the reason. */
const STEP_S = 20;
const POSE_S = 2.5;
/** Three turns take longer. */
const LEAST_MOVEMENT_S = 3;
const ENOUGH_TURN_RAD = (40 * Math.PI) / 180;
const LOOK_EVERY_S = 0.25;
const GOOD_QUALITY = 0.5;
/** A movement is over when everything is at rest again for so long. */
const REST_S = 0.8;
const REST_RAD_S = 0.25;

export function createCalibrationGuide(model: BodyModel): CalibrationGuide {
  const { placements } = model;
  const movements = functionalMovements.filter((movement) =>
    placements.some(({ segment }) => movement.segments.includes(segment)),
  );
  const worn = movements.flatMap(({ segments }) => segments);
  const steps: readonly GuideStep[] =
    movements.length === 0
      ? []
      : [
          {
            name: 'stand',
            instruction: 'Stand upright and still, feet side by side, arms hanging, eyes ahead.',
            segments: worn,
          },
          ...movements,
        ];
  const buffers = placements.map(({ rateHz }) => createBuffer(rateHz));
  const poses = new Map<number, HeldPose>();
  const results = new Map<number, CalibrationResult>();
  let index = 0;
  let startUs: number | null = null;
  let lookedUs = 0;
  let progress = 0;
  let hint: string | null = null;

  const begin = (next: number): void => {
    index = next;
    startUs = null;
    progress = 0;
    hint = null;
    for (const buffer of buffers) buffer.clear();
  };
  const concerned = (): [number, Placement][] =>
    [...placements.entries()].filter(([, { segment }]) => steps[index]!.segments.includes(segment));

  const lookAtPose = (elapsedS: number): void => {
    const found = concerned().map(([p, { rateHz }]) => {
      const pose = measurePose(buffers[p]!.last(POSE_S), rateHz);
      return { p, pose };
    });
    const worst = found.reduce((a, b) => (a.pose.quality <= b.pose.quality ? a : b));
    progress = Math.min(1, elapsedS / POSE_S) * (worst.pose.quality >= GOOD_QUALITY ? 1 : 0.5);
    if (elapsedS < POSE_S) return;
    hint = worst.pose.reason;
    if (worst.pose.quality < GOOD_QUALITY) return;
    for (const { p, pose } of found) poses.set(p, pose);
    begin(index + 1);
  };
  const lookAtMovement = (elapsedS: number): void => {
    const kind = movements[index - 1]!;
    const all = concerned();
    const turns = all.map(([p, { rateHz }]) => turnOf(buffers[p]!.all(), poses.get(p)!, rateHz));
    const leastTurn = Math.min(...turns);
    progress = Math.min(0.9, (0.9 * leastTurn) / ENOUGH_TURN_RAD);
    const isResting = all.every(([p]) => buffers[p]!.isResting());
    const isDone = elapsedS >= LEAST_MOVEMENT_S && leastTurn >= ENOUGH_TURN_RAD && isResting;
    if (!isDone && elapsedS < STEP_S - 1) return;
    const found = all.map(([p, { rateHz, segment }]) => ({
      p,
      result: calibrate(poses.get(p)!, { readings: buffers[p]!.all(), rateHz, kind }, segment),
    }));
    const bad = found.find(({ result }) => result.quality < GOOD_QUALITY);
    if (bad === undefined) {
      for (const { p, result } of found) results.set(p, result);
      begin(index + 1);
      return;
    }
    begin(index);
    hint = bad.result.reason;
  };
  return {
    get state() {
      const step = steps[index] ?? null;
      return {
        step:
          step === null ? null : { name: step.name, instruction: step.instruction, segments: step.segments },
        stepNumber: Math.min(index + 1, steps.length),
        stepCount: steps.length,
        progress: step === null ? 1 : progress,
        hint,
      };
    },
    update(placement, timeUs, values, at) {
      if (index >= steps.length) return false;
      startUs ??= timeUs;
      buffers[placement]!.add(values, at);
      const elapsedS = (timeUs - startUs) / 1e6;
      if (elapsedS > 0 && timeUs - lookedUs < LOOK_EVERY_S * 1e6) return false;
      lookedUs = timeUs;
      // A sensor that is silent holds the step.
      if (concerned().some(([p]) => buffers[p]!.length === 0)) return false;
      if (index === 0) lookAtPose(elapsedS);
      else lookAtMovement(elapsedS);
      return true;
    },
    results,
    bodyModel: () => ({
      ...model,
      placements: placements.map((placement, p) => {
        const result = results.get(p);
        return result === undefined ? placement : { ...placement, alignment: alignmentFrom(result) };
      }),
    }),
    restart() {
      poses.clear();
      results.clear();
      begin(0);
    },
  };
}

interface ReadingBuffer {
  readonly length: number;
  add(values: Float64Array, at: number): void;
  all(): Float64Array;
  last(seconds: number): Float64Array;
  isResting(): boolean;
  clear(): void;
}

/** The newest STEP_S seconds of one sensor, six values a reading; what is not finite is left out. */
function createBuffer(rateHz: number): ReadingBuffer {
  const capacity = Math.ceil(STEP_S * rateHz);
  const values = new Float64Array(capacity * 6);
  let length = 0;
  const last = (seconds: number): Float64Array =>
    values.subarray(6 * Math.max(0, length - Math.ceil(seconds * rateHz)), 6 * length);
  return {
    get length() {
      return length;
    },
    add(given, at) {
      const reading = given.subarray(at, at + 6);
      if (!reading.every(Number.isFinite)) return;
      if (length === capacity) {
        values.copyWithin(0, 6);
        length--;
      }
      values.set(reading, 6 * length);
      length++;
    },
    all: () => values.subarray(0, 6 * length),
    last,
    isResting() {
      const recent = last(REST_S);
      for (let at = 3; at + 2 < recent.length; at += 6)
        if (Math.hypot(recent[at]!, recent[at + 1]!, recent[at + 2]!) > REST_RAD_S) return false;
      return recent.length >= 6 * Math.floor(REST_S * rateHz);
    },
    clear() {
      length = 0;
    },
  };
}
