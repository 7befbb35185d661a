/**
 * Owns the live tracking of a body: readings of the worn sensors in, joint angles on a grid of time out, causal, without a magnetometer.
 * Each sensor has an orientation filter of its own; sensors are aligned to segments as the body model says or as movement shows; joints
 * say how the headings belong together. Deterministic whatever the frame boundaries; the whole state is saved. At most ROWS_WAITING
 * rows wait to be taken, the oldest are dropped and counted.
 */

import { assert } from '#base/assert.ts';
import type { BodyModel } from '#motion/body-model.ts';
import { mayBridge } from '#motion/bridged-holes.ts';
import { movementSeconds } from '#motion/calibration/from-movement.ts';
import { observeMovement } from '#motion/calibration/movement-sums.ts';
import { createBodyRows } from '#motion/joints/body-rows.ts';
import { trackedBody } from '#motion/joints/tracked-body.ts';
import {
  alignAsGiven,
  askMovement,
  createTrackedSensor,
  DEBT,
  FIXED,
  foundAlignment,
  GYR,
  HAS_READING,
  KNOWN,
  LOOK_AT_S,
  NOTHING,
  placementIsAligned,
  PLACEMENT_STATE,
  PROVISIONAL,
  QUALITY,
  tellUpper,
  TIME,
  type FoundAlignment,
  type TrackedSensor,
} from '#motion/joints/tracked-sensor.ts';
import { createWaitingRows } from '#motion/joints/waiting-rows.ts';
import { vqf } from '#motion/orientation/vqf.ts';
import { conjugate, fromRotationVector, multiply, type Values } from '#motion/quaternion.ts';
import type { MotionNotice } from '#motion/results.ts';

/** 0.64 s at 100 Hz; who takes after every update never has more than one waiting. A longer silence is jumped over. */
const ROWS_WAITING = 64;

/** From 1.5 periods on a reading is missing; below this none is, whatever the rounding. */
const SURE_PERIODS = 1.4;
/** After a longer gap the filter begins anew; in a shorter one it goes on without readings. */
const GAP_MOST_S = 1;

/** An alignment from movement is looked at again after each second of movement. */
const LOOK_AGAIN_S = 1;
/** ... and fixed with enough of it: about six strides; longer when the wearer never stood still, or when it stays doubtful. */
const FIXED_AFTER_S = 6;
const FIXED_WITHOUT_STANDING_S = 20;
const FIXED_ANYWAY_S = 60;
const GOOD_QUALITY = 0.5;
/** An alignment that turned by more than 10 degrees voids what the joints learnt of the headings. */
const OTHER_ALIGNMENT_COS = Math.cos((5 * Math.PI) / 180);

export interface BodyTracker {
  readonly angleNames: readonly string[];
  readonly stepUs: number;
  /**
   * One reading of `model.placements[placement]`: acc x, y, z in m/s2 and gyr x, y, z in rad/s at `values[at]`. Calls come in the
   * order of time over all placements; one that is not later than the placement's last is left out and counted.
   */
  update(placement: number, timeUs: number, values: Values, at: number): void;
  /** Instead of a reading, its orientation: sensor to an earth with z up. Alignment from movement is then not possible. */
  updateOrientation(placement: number, timeUs: number, quaternions: Values, at: number): void;
  /** Writes the oldest waiting row, degrees by `angleNames`, NaN where unknown, and returns its time in us; NaN: none waits. */
  takeRow(out: Float32Array): number;
  alignments(): readonly FoundAlignment[];
  /** What became doubtful since the last call, oldest first, at most one a placement and code. */
  takeNotices(): MotionNotice[];
  readonly counters: { readonly late: number; readonly dropped: number };
  reset(): void;
  /** Rows and notices that wait are no part of the state. */
  readonly stateLength: number;
  save(into: Values): void;
  load(from: Values): void;
}

/** Rows at whole multiples of `stepUs`. Throws nothing: a model that makes no joint gives rows without columns. */
export function createBodyTracker(model: BodyModel, stepUs = 10_000): BodyTracker {
  assert(stepUs > 0 && Number.isInteger(stepUs), 'stepUs is a whole number of microseconds');
  const body = trackedBody(model);
  const rows = createBodyRows(body, stepUs * 1e-6);
  const width = body.angleNames.length;
  const state = new Float64Array(model.placements.length * PLACEMENT_STATE);
  const tracked = model.placements.map((_, index) => createTrackedSensor(model, index, state));
  const segments = tracked.map(({ segment }) => segment);
  const waiting = createWaitingRows(width, ROWS_WAITING);
  const row: Float32Array = new Float32Array(width);
  const filterOut = new Float64Array(vqf.outputs.length);
  const reading: { values: Values; at: number; quaternion: Values } = {
    values: NOTHING,
    at: 0,
    quaternion: NOTHING,
  };
  const delta = new Float64Array(4);
  const notices: MotionNotice[] = [];
  // Next row (us) and readings left out; NaN: before the first reading.
  const grid = Float64Array.of(Number.NaN, 0);

  // Times go through arrays: a number that is passed on between functions would be allocated.
  const now = new Float64Array(1);

  const writeSegment = (sensor: TrackedSensor): void => {
    const { state: own, segment } = sensor;
    const ageUs = grid[0]! - own[TIME]!;
    if (own[KNOWN] === 0 || own[HAS_READING] === 0 || ageUs > sensor.staleUs) {
      segment.fill(Number.NaN);
      return;
    }
    for (let i = 0; i < 3; i++) delta[i] = own[GYR + i]! * ageUs * 1e-6;
    fromRotationVector(delta, delta);
    multiply(sensor.quaternion, delta, delta);
    conjugate(sensor.alignment, segment);
    multiply(delta, segment, segment);
  };

  const makeRowsBeforeNow = (): void => {
    const timeUs = now[0]!;
    if (Number.isNaN(grid[0])) grid[0] = Math.ceil(timeUs / stepUs) * stepUs;
    if (timeUs - grid[0]! > ROWS_WAITING * stepUs) {
      // What is silent for so long is stale after the first rows; then the grid jumps.
      const untilUs = grid[0]! + (ROWS_WAITING / 2) * stepUs;
      while (grid[0]! < untilUs) makeRow();
      grid[0] = Math.floor(timeUs / stepUs - 1) * stepUs;
    }
    while (grid[0]! < timeUs) makeRow();
  };
  const makeRow = (): void => {
    for (let i = 0; i < tracked.length; i++) writeSegment(tracked[i]!);
    rows.write(segments, row);
    waiting.put(grid, row);
    grid[0] = grid[0]! + stepUs;
  };

  const isLate = ({ state: own }: TrackedSensor): boolean => {
    const isIt = own[HAS_READING] === 1 && now[0]! <= own[TIME]!;
    if (isIt) grid[1] = grid[1]! + 1;
    return isIt;
  };

  const bridgeGap = (sensor: TrackedSensor): void => {
    const { state: own, filter, periodUs } = sensor;
    if (own[HAS_READING] === 0) return;
    // Nearly always, and without the division.
    if (own[DEBT] === 0 && now[0]! - own[TIME]! < SURE_PERIODS * periodUs) return;
    const missing = Math.max(0, Math.round((now[0]! - own[TIME]!) / periodUs) - 1);
    if (missing === 0 && own[DEBT] === 0) return;
    const isBridged = mayBridge(own, DEBT, { missing, rateHz: 1e6 / periodUs });
    if (!isBridged || missing * periodUs > GAP_MOST_S * 1e6) {
      filter.reset();
      rows.forget(sensor.index);
    } else for (let i = 0; i < missing; i++) filter.update(NOTHING, 0, filterOut);
  };

  const lookAtMovement = (sensor: TrackedSensor, timeUs: number): void => {
    const { state: own, found, placement, alignment, index } = sensor;
    askMovement(sensor, tracked);
    if (found.movementS < own[LOOK_AT_S]!) return;
    own[LOOK_AT_S] = found.movementS + LOOK_AGAIN_S;
    const { quaternion, movementS, quality, hasStood, reason } = found;
    const dot = Math.abs(
      alignment[0]! * quaternion[0]! +
        alignment[1]! * quaternion[1]! +
        alignment[2]! * quaternion[2]! +
        alignment[3]! * quaternion[3]!,
    );
    if (own[KNOWN] === 0 || dot < OTHER_ALIGNMENT_COS) rows.forget(index);
    alignment.set(quaternion);
    const isGood = quality >= GOOD_QUALITY && movementS >= FIXED_AFTER_S;
    const isFixed =
      (isGood && (hasStood || movementS >= FIXED_WITHOUT_STANDING_S)) || movementS >= FIXED_ANYWAY_S;
    own[KNOWN] = isFixed ? FIXED : PROVISIONAL;
    own[QUALITY] = quality;
    if (isFixed && reason !== null)
      notices.push({
        timeUs,
        code: 'weak-calibration',
        segment: placement.segment,
        text: `How the sensor of ${placement.segment.replace('-', ' ')} sits is uncertain: ${reason}.`,
      });
  };

  return {
    angleNames: body.angleNames,
    stepUs,
    update(placement, timeUs, values, at) {
      now[0] = timeUs;
      makeRowsBeforeNow();
      const sensor = tracked[placement]!;
      if (isLate(sensor)) return;
      const { state: own, filter, quaternion } = sensor;
      bridgeGap(sensor);
      if (filter.update(values, at, filterOut) > 0) for (let i = 0; i < 4; i++) quaternion[i] = filterOut[i]!;
      for (let i = 0; i < 3; i++) {
        const rate = values[at + 3 + i]!;
        own[GYR + i] = Number.isFinite(rate) ? rate : 0;
      }
      own[TIME] = timeUs;
      own[HAS_READING] = 1;
      if (sensor.upper >= 0) tellUpper(sensor, tracked);
      if (placementIsAligned(sensor) || own[KNOWN] === FIXED) return;
      reading.values = values;
      reading.at = at;
      reading.quaternion = quaternion;
      observeMovement(sensor.movement, reading, sensor.periodUs * 1e-6);
      if (movementSeconds(sensor.movement, sensor.placement.segment) >= own[LOOK_AT_S]!)
        lookAtMovement(sensor, timeUs);
    },
    updateOrientation(placement, timeUs, quaternions, at) {
      now[0] = timeUs;
      makeRowsBeforeNow();
      const sensor = tracked[placement]!;
      if (isLate(sensor)) return;
      for (let i = 0; i < 4; i++) sensor.quaternion[i] = quaternions[at + i]!;
      sensor.state[TIME] = timeUs;
      sensor.state[HAS_READING] = Number.isFinite(quaternions[at]!) ? 1 : 0;
    },
    takeRow: waiting.take,
    alignments: () => tracked.map((sensor) => foundAlignment(sensor, tracked)),
    takeNotices: () => notices.splice(0),
    counters: {
      get late() {
        return grid[1]!;
      },
      get dropped() {
        return waiting.dropped();
      },
    },
    reset() {
      state.fill(0);
      rows.state.fill(0);
      grid[0] = Number.NaN;
      grid[1] = 0;
      waiting.clear();
      notices.length = 0;
      for (const sensor of tracked) {
        sensor.filter.reset();
        alignAsGiven(sensor);
      }
    },
    stateLength:
      state.length +
      rows.stateLength +
      grid.length +
      tracked.reduce((sum, t) => sum + t.filter.stateLength, 0),
    save(into) {
      into.set(state);
      into.set(rows.state, state.length);
      let at = state.length + rows.stateLength;
      into.set(grid, at);
      at += grid.length;
      for (const { filter } of tracked) {
        filter.save(into.subarray(at, at + filter.stateLength));
        at += filter.stateLength;
      }
    },
    load(from) {
      state.set(from.subarray(0, state.length));
      rows.state.set(from.subarray(state.length, state.length + rows.stateLength));
      let at = state.length + rows.stateLength;
      grid.set(from.subarray(at, at + grid.length));
      at += grid.length;
      for (const { filter } of tracked) {
        filter.load(from.subarray(at, at + filter.stateLength));
        at += filter.stateLength;
      }
      waiting.clear();
      notices.length = 0;
    },
  };
}
