/**
 * Owns the live tracking of a body: readings of the worn sensors in, joint angles on a grid of time out, causal, without a magnetometer.
 * Each sensor has an orientation filter of its own; sensors are aligned to segments as the body model says or as movement shows; joints
 * say how the headings belong together. Deterministic whatever the frame boundaries; the whole state is saved. At most ROWS_WAITING
 * rows wait to be taken, the oldest are dropped and counted.
 */

import { assert } from '#base/assert.ts';
import type { Algorithm } from '#motion/algorithm.ts';
import type { BodyModel, Placement } from '#motion/body-model.ts';
import {
  alignFromMovement,
  createMovementAlignment,
  movementSeconds,
  type MovementAlignment,
} from '#motion/calibration/from-movement.ts';
import { MOVEMENT_STATE, observeMovement } from '#motion/calibration/movement-sums.ts';
import { createBodyRows } from '#motion/joints/body-rows.ts';
import { trackedBody } from '#motion/joints/tracked-body.ts';
import { vqf } from '#motion/orientation/vqf.ts';
import { conjugate, fromRotationVector, multiply, type Values } from '#motion/quaternion.ts';
import type { MotionNotice } from '#motion/results.ts';

/** 0.64 s at 100 Hz; who takes after every update never has more than one waiting. A longer silence is jumped over. */
const ROWS_WAITING = 64;

/** A sensor that was silent for longer (or 2.5 of its periods) is not where it was. */
const STALE_US = 50_000;
/** After a longer gap the filter begins anew; in a shorter one it goes on without readings. */
const GAP_MOST_S = 1;

/** An alignment from movement is looked at again after each second of movement, from two on. */
const LOOK_AGAIN_S = 1;
const LEAST_MOVEMENT_S = 2;
/** ... and fixed with enough of it: about six strides; longer when the wearer never stood still, or when it stays doubtful. */
const FIXED_AFTER_S = 6;
const FIXED_WITHOUT_STANDING_S = 20;
const FIXED_ANYWAY_S = 60;
const GOOD_QUALITY = 0.5;
/** An alignment that turned by more than 10 degrees voids what the joints learnt of the headings. */
const OTHER_ALIGNMENT_COS = Math.cos((5 * Math.PI) / 180);

export interface FoundAlignment {
  readonly placement: number;
  /** Sensor to segment. */
  readonly quaternion: readonly [number, number, number, number];
  /** 0 to 1; 0 while nothing is known. */
  readonly quality: number;
  readonly reason: string | null;
  /** It will not change any more. */
  readonly isFixed: boolean;
}

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

/** A placement's part of the state. */
const Q = 0; // 4
const GYR = 4; // 3
const TIME = 7;
const HAS_READING = 8;
const ALIGNMENT = 9; // 4
const KNOWN = 13; // 0 unknown, 1 provisional, 2 fixed
const LOOK_AT_S = 14;
const MOVEMENT = 15;
const PLACEMENT_STATE = MOVEMENT + MOVEMENT_STATE;
const PROVISIONAL = 1;
const FIXED = 2;

interface Tracked {
  readonly placement: Placement;
  readonly index: number;
  readonly filter: Algorithm;
  readonly periodUs: number;
  readonly staleUs: number;
  /** Views of the state. */
  readonly state: Values;
  readonly quaternion: Values;
  readonly alignment: Values;
  readonly movement: Values;
  readonly found: MovementAlignment;
  /** Segment to the sensor's own earth, of the row being made. */
  readonly segment: Float64Array;
}

const NOTHING: Values = new Float64Array(6).fill(Number.NaN);

/** Rows at whole multiples of `stepUs`. Throws nothing: a model that makes no joint gives rows without columns. */
export function createBodyTracker(model: BodyModel, stepUs = 10_000): BodyTracker {
  assert(stepUs > 0 && Number.isInteger(stepUs), 'stepUs is a whole number of microseconds');
  const body = trackedBody(model);
  const rows = createBodyRows(body, stepUs * 1e-6);
  const width = body.angleNames.length;
  const state = new Float64Array(model.placements.length * PLACEMENT_STATE);
  const tracked = model.placements.map((placement, index) => createTracked(placement, index, state));
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

  const writeSegment = (sensor: Tracked): void => {
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

  const isLate = ({ state: own }: Tracked): boolean => {
    const isIt = own[HAS_READING] === 1 && now[0]! <= own[TIME]!;
    if (isIt) grid[1] = grid[1]! + 1;
    return isIt;
  };

  const bridgeGap = (sensor: Tracked): void => {
    const { state: own, filter, periodUs } = sensor;
    if (own[HAS_READING] === 0) return;
    const missing = Math.round((now[0]! - own[TIME]!) / periodUs) - 1;
    if (missing * periodUs > GAP_MOST_S * 1e6) {
      filter.reset();
      rows.forget(sensor.index);
    } else for (let i = 0; i < missing; i++) filter.update(NOTHING, 0, filterOut);
  };

  const lookAtMovement = (sensor: Tracked, timeUs: number): void => {
    const { state: own, movement, found, placement, alignment, index } = sensor;
    alignFromMovement(movement, placement.segment, found);
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
    alignments: () => tracked.map(foundAlignment),
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
        align(sensor);
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

function createTracked(placement: Placement, index: number, state: Values): Tracked {
  const own = state.subarray(index * PLACEMENT_STATE, (index + 1) * PLACEMENT_STATE);
  const periodUs = 1e6 / placement.rateHz;
  const sensor: Tracked = {
    placement,
    index,
    filter: vqf.create(placement.rateHz),
    periodUs,
    staleUs: Math.max(STALE_US, 2.5 * periodUs),
    state: own,
    quaternion: own.subarray(Q, Q + 4),
    alignment: own.subarray(ALIGNMENT, ALIGNMENT + 4),
    movement: own.subarray(MOVEMENT, MOVEMENT + MOVEMENT_STATE),
    found: createMovementAlignment(),
    segment: new Float64Array(4),
  };
  align(sensor);
  return sensor;
}

/** As the body model has it. */
function align({ placement: { alignment: given }, state, alignment, quaternion }: Tracked): void {
  quaternion[0] = 1;
  alignment[0] = 1;
  if (given.kind === 'calibrated') alignment.set(given.quaternion);
  state[KNOWN] = given.kind === 'from-movement' ? 0 : FIXED;
  state[LOOK_AT_S] = LEAST_MOVEMENT_S;
}

function placementIsAligned({ placement }: Tracked): boolean {
  return placement.alignment.kind !== 'from-movement';
}

function foundAlignment(sensor: Tracked): FoundAlignment {
  const { placement, index, alignment, state, movement, found } = sensor;
  const given = placement.alignment;
  const quaternion = [...alignment] as [number, number, number, number];
  const isFixed = state[KNOWN] === FIXED;
  if (given.kind === 'aligned') return { placement: index, quaternion, quality: 1, reason: null, isFixed };
  if (given.kind === 'calibrated')
    return { placement: index, quaternion, quality: given.quality, reason: given.reason, isFixed };
  alignFromMovement(movement, placement.segment, found);
  return { placement: index, quaternion, quality: found.quality, reason: found.reason, isFixed };
}

interface WaitingRows {
  /** A row of the time `clock[0]`. */
  put(clock: Values, row: Float32Array): void;
  take(out: Float32Array): number;
  clear(): void;
  dropped(): number;
}

/** A ring of rows: the oldest goes when it is full. */
function createWaitingRows(width: number, most: number): WaitingRows {
  const times = new Float64Array(most);
  const values = new Float32Array(most * width);
  let first = 0;
  let count = 0;
  let dropped = 0;
  return {
    put(clock, row) {
      if (count === most) {
        first = (first + 1) % most;
        count--;
        dropped++;
      }
      const at = (first + count) % most;
      times[at] = clock[0]!;
      values.set(row, at * width);
      count++;
    },
    take(out) {
      if (count === 0) return Number.NaN;
      const timeUs = times[first]!;
      for (let i = 0; i < width; i++) out[i] = values[first * width + i]!;
      first = (first + 1) % most;
      count--;
      return timeUs;
    },
    clear() {
      first = 0;
      count = 0;
      dropped = 0;
    },
    dropped: () => dropped,
  };
}
