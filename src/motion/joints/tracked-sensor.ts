/**
 * Owns one worn sensor of a tracked body: its orientation filter, its part of the state, how it is aligned to its segment, and what its
 * lower neighbour tells it of front and back.
 */

import type { Algorithm } from '#motion/algorithm.ts';
import type { BodyModel, Placement, Segment } from '#motion/body-model.ts';
import {
  alignFromMovement,
  createMovementAlignment,
  type MovementAlignment,
} from '#motion/calibration/from-movement.ts';
import { MOVEMENT_STATE } from '#motion/calibration/movement-sums.ts';
import {
  observeSense,
  SENSE_STATE,
  tellingNeighbour,
  writeSense,
} from '#motion/calibration/neighbour-sense.ts';
import { vqf } from '#motion/orientation/vqf.ts';
import type { Values } from '#motion/quaternion.ts';

/** An alignment from movement is looked at from this much of it on. */
const LEAST_MOVEMENT_S = 2;
/** A sensor that was silent for longer (or 2.5 of its periods) is not where it was. */
const STALE_US = 50_000;
/** A neighbour whose own alignment is worse tells nothing. */
export const TELLING_QUALITY = 0.3;

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

/** A placement's part of the state. */
const Q = 0; // 4
export const GYR = 4; // 3
export const TIME = 7;
export const HAS_READING = 8;
const ALIGNMENT = 9; // 4
export const KNOWN = 13; // 0 unknown, 1 provisional, 2 fixed
export const LOOK_AT_S = 14;
export const QUALITY = 15;
const MOVEMENT = 16;
const SENSE = MOVEMENT + MOVEMENT_STATE;
/** Of holes that were bridged (bridged-holes.ts). */
export const DEBT = SENSE + SENSE_STATE;
export const PLACEMENT_STATE = DEBT + 1;
export const PROVISIONAL = 1;
export const FIXED = 2;

export interface TrackedSensor {
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
  readonly gyr: Values;
  /** What the lower neighbour says of this one's front and back, of sums that are this one's. */
  readonly senseSums: Values;
  readonly asked: { readonly segment: Segment; readonly sense: Float64Array };
  /** Placement of the lower neighbour that tells the sense, and of the upper one that it tells; -1: none. */
  readonly lower: number;
  readonly upper: number;
  /** It leads its lower neighbour, as a thigh does; else they turn together. */
  readonly isLeading: boolean;
  readonly found: MovementAlignment;
  /** Segment to the sensor's own earth, of the row being made. */
  readonly segment: Float64Array;
}

export const NOTHING: Values = new Float64Array(6).fill(Number.NaN);

export function createTrackedSensor({ placements }: BodyModel, index: number, state: Values): TrackedSensor {
  const placement = placements[index]!;
  const { segment } = placement;
  const placementOf = (test: (other: Segment) => boolean): number =>
    placements.findIndex((other) => test(other.segment));
  const own = state.subarray(index * PLACEMENT_STATE, (index + 1) * PLACEMENT_STATE);
  const periodUs = 1e6 / placement.rateHz;
  const sensor: TrackedSensor = {
    placement,
    index,
    filter: vqf.create(placement.rateHz),
    periodUs,
    staleUs: Math.max(STALE_US, 2.5 * periodUs),
    state: own,
    quaternion: own.subarray(Q, Q + 4),
    alignment: own.subarray(ALIGNMENT, ALIGNMENT + 4),
    movement: own.subarray(MOVEMENT, MOVEMENT + MOVEMENT_STATE),
    gyr: own.subarray(GYR, GYR + 3),
    senseSums: own.subarray(SENSE, SENSE + SENSE_STATE),
    asked: { segment, sense: new Float64Array(3) },
    lower: placementOf((other) => other === tellingNeighbour(segment)),
    upper: placementOf((other) => tellingNeighbour(other) === segment),
    isLeading: segment.endsWith('-thigh'),
    found: createMovementAlignment(),
    segment: new Float64Array(4),
  };
  alignAsGiven(sensor);
  return sensor;
}

/** As the body model has it. */
export function alignAsGiven({
  placement: { alignment: given },
  state,
  alignment,
  quaternion,
}: TrackedSensor): void {
  quaternion[0] = 1;
  alignment[0] = 1;
  if (given.kind === 'calibrated') alignment.set(given.quaternion);
  state[KNOWN] = given.kind === 'from-movement' ? 0 : FIXED;
  state[QUALITY] = given.kind === 'calibrated' ? given.quality : given.kind === 'aligned' ? 1 : 0;
  state[LOOK_AT_S] = LEAST_MOVEMENT_S;
}

export function placementIsAligned({ placement }: TrackedSensor): boolean {
  return placement.alignment.kind !== 'from-movement';
}

/** Into `sensor.found`: what its movement says, with what its lower neighbour knows by now. */
export function askMovement(sensor: TrackedSensor, tracked: readonly TrackedSensor[]): void {
  const { asked, senseSums, movement, found } = sensor;
  const lower = tracked[sensor.lower];
  if (lower === undefined || lower.state[QUALITY]! < TELLING_QUALITY) asked.sense.fill(0);
  else writeSense(senseSums, lower.alignment, asked.sense);
  alignFromMovement(movement, asked, found);
}

/** With a reading of the lower one: how it turns beside the upper one, as long as that one's alignment is open. */
export function tellUpper(lower: TrackedSensor, tracked: readonly TrackedSensor[]): void {
  const upper = tracked[lower.upper];
  if (upper === undefined || placementIsAligned(upper) || upper.state[KNOWN] === FIXED) return;
  const isFresh = Math.abs(upper.state[TIME]! - lower.state[TIME]!) < upper.staleUs;
  if (upper.state[HAS_READING] !== 1 || !isFresh) return;
  PAIR.upper = upper.gyr;
  PAIR.lower = lower.gyr;
  PAIR.isLeading = upper.isLeading;
  observeSense(upper.senseSums, PAIR);
}
const PAIR = { upper: NOTHING, lower: NOTHING, isLeading: false };

export function foundAlignment(sensor: TrackedSensor, tracked: readonly TrackedSensor[]): FoundAlignment {
  const { placement, index, alignment, state, found } = sensor;
  const given = placement.alignment;
  const quaternion = [...alignment] as [number, number, number, number];
  const isFixed = state[KNOWN] === FIXED;
  if (given.kind === 'aligned') return { placement: index, quaternion, quality: 1, reason: null, isFixed };
  if (given.kind === 'calibrated')
    return { placement: index, quaternion, quality: given.quality, reason: given.reason, isFixed };
  askMovement(sensor, tracked);
  return { placement: index, quaternion, quality: found.quality, reason: found.reason, isFixed };
}
