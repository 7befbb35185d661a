/**
 * Owns the tracking of a body over a whole recording: the same steps as live, but every alignment is found from all of the movement
 * first, orientation is smoothed both ways, and headings of joints are means of what came before and after.
 */

import { assert } from '#base/assert.ts';
import type { BodyModel, Placement } from '#motion/body-model.ts';
import { alignFromMovement, createMovementAlignment } from '#motion/calibration/from-movement.ts';
import { smoothHeadings } from '#motion/calibration/heading-alignment.ts';
import { MOVEMENT_STATE, observeMovement } from '#motion/calibration/movement-sums.ts';
import {
  observeSense,
  SENSE_STATE,
  tellingNeighbour,
  writeSense,
} from '#motion/calibration/neighbour-sense.ts';
import { createBodyRows } from '#motion/joints/body-rows.ts';
import { TELLING_QUALITY, type FoundAlignment } from '#motion/joints/tracked-sensor.ts';
import { trackedBody } from '#motion/joints/tracked-body.ts';
import { vqfOffline } from '#motion/orientation/vqf-offline.ts';
import { conjugate, multiply, rotate, slerp } from '#motion/quaternion.ts';

/** All readings of a placement in the order of time: acc x, y, z (m/s2) and gyr x, y, z (rad/s), six values a reading. */
export interface PlacementReadings {
  readonly timesUs: Float64Array;
  readonly values: Float64Array;
}

export interface TrackedRecording {
  readonly angleNames: readonly string[];
  readonly firstUs: number;
  readonly stepUs: number;
  readonly count: number;
  /** Row by row, degrees by `angleNames`; NaN where unknown. */
  readonly rows: Float32Array;
  readonly alignments: readonly FoundAlignment[];
}

/** Readings on the placement's own grid, missing ones NaN. */
interface Resampled {
  readonly firstUs: number;
  readonly periodUs: number;
  readonly count: number;
  readonly values: Float64Array;
}

/** A day at 400 Hz; longer recordings are to be cut. */
const MOST_READINGS = 35_000_000;

/** Rows at whole multiples of `stepUs`, from the first reading of any placement to the last. `readings[i]` are of `model.placements[i]`. */
export function trackBodyOffline(
  model: BodyModel,
  readings: readonly PlacementReadings[],
  stepUs = 10_000,
): TrackedRecording {
  assert(readings.length === model.placements.length, 'every placement has readings, be they none');
  const body = trackedBody(model);
  const firstUs =
    Math.ceil(Math.min(...readings.map(({ timesUs }) => timesUs[0] ?? Infinity)) / stepUs) * stepUs;
  const lastUs = Math.max(...readings.map(({ timesUs }) => timesUs.at(-1) ?? -Infinity));
  const count = lastUs >= firstUs ? Math.floor((lastUs - firstUs) / stepUs) + 1 : 0;
  const grid = { firstUs, stepUs, count };
  const sensors = model.placements.map((placement, index) => {
    const resampled = resample(placement, readings[index]!);
    return { placement, index, resampled, orientations: orientationsOf(placement, resampled) };
  });
  const alignments = alignAll(sensors);
  const segments = sensors.map((sensor) => onGrid(grid, sensor, alignments[sensor.index]!));
  const headings = body.joints.map(({ proximal, distal }) =>
    headingsOf(segments[proximal]!, segments[distal]!, grid),
  );
  const width = body.angleNames.length;
  const rows = new Float32Array(count * width);
  const maker = createBodyRows(body, stepUs * 1e-6);
  const now = model.placements.map(() => new Float64Array(4));
  const headingsNow = new Float64Array(headings.length);
  const row = new Float32Array(width);
  for (let i = 0; i < count; i++) {
    for (const [p, quaternion] of now.entries()) quaternion.set(segments[p]!.subarray(4 * i, 4 * i + 4));
    for (let j = 0; j < headings.length; j++) headingsNow[j] = headings[j]![i]!;
    maker.write(now, row, headingsNow);
    rows.set(row, i * width);
  }
  return { angleNames: body.angleNames, firstUs: count > 0 ? firstUs : 0, stepUs, count, rows, alignments };
}

function resample({ rateHz }: Placement, { timesUs, values }: PlacementReadings): Resampled {
  const periodUs = 1e6 / rateHz;
  const firstUs = timesUs[0] ?? 0;
  const count = timesUs.length === 0 ? 0 : Math.round((timesUs.at(-1)! - firstUs) / periodUs) + 1;
  assert(count <= MOST_READINGS, `a recording has at most ${MOST_READINGS} readings a placement`);
  const out = new Float64Array(6 * count).fill(Number.NaN);
  for (let i = 0; i < timesUs.length; i++) {
    const at = Math.round((timesUs[i]! - firstUs) / periodUs);
    if (at >= 0 && at < count) for (let k = 0; k < 6; k++) out[6 * at + k] = values[6 * i + k]!;
  }
  return { firstUs, periodUs, count, values: out };
}

function orientationsOf({ rateHz }: Placement, { count, values }: Resampled): Float64Array {
  const accMS2 = new Float64Array(3 * count);
  const gyrRadS = new Float64Array(3 * count);
  for (let i = 0; i < count; i++) {
    accMS2.set(values.subarray(6 * i, 6 * i + 3), 3 * i);
    gyrRadS.set(values.subarray(6 * i + 3, 6 * i + 6), 3 * i);
  }
  return vqfOffline({ rateHz, accMS2, gyrRadS, mag: null }).quaternions;
}

/** A placement's readings and the orientations of its sensor with them. */
interface Sensor {
  readonly placement: Placement;
  readonly index: number;
  readonly resampled: Resampled;
  readonly orientations: Float64Array;
}

/** Feet first, thighs last: each tells the next one above its front and back. */
function alignAll(sensors: readonly Sensor[]): FoundAlignment[] {
  const found = new Map<number, FoundAlignment>();
  const align = (sensor: Sensor): FoundAlignment => {
    const known = found.get(sensor.index);
    if (known !== undefined) return known;
    const telling = tellingNeighbour(sensor.placement.segment);
    const lower = sensors.find(({ placement }) => placement.segment === telling);
    const sense = new Float64Array(3);
    if (lower !== undefined && sensor.placement.alignment.kind === 'from-movement') {
      const { quaternion, quality } = align(lower);
      if (quality >= TELLING_QUALITY)
        writeSense(senseSums(sensor, lower), Float64Array.from(quaternion), sense);
    }
    const alignment = alignmentOf(sensor, sense);
    found.set(sensor.index, alignment);
    return alignment;
  };
  return sensors.map(align);
}

function senseSums(upper: Sensor, lower: Sensor): Float64Array {
  const sums = new Float64Array(SENSE_STATE);
  const isLeading = upper.placement.segment.endsWith('-thigh');
  const pair = { upper: new Float64Array(3), lower: new Float64Array(3), isLeading };
  const { resampled: own } = upper;
  for (let i = 0; i < lower.resampled.count; i++) {
    const timeUs = lower.resampled.firstUs + i * lower.resampled.periodUs;
    const at = Math.round((timeUs - own.firstUs) / own.periodUs);
    if (at < 0 || at >= own.count) continue;
    pair.upper.set(own.values.subarray(6 * at + 3, 6 * at + 6));
    pair.lower.set(lower.resampled.values.subarray(6 * i + 3, 6 * i + 6));
    if (pair.upper.every(Number.isFinite) && pair.lower.every(Number.isFinite)) observeSense(sums, pair);
  }
  return sums;
}

function alignmentOf(
  { placement, index, resampled: { count, values, periodUs }, orientations }: Sensor,
  sense: Float64Array,
): FoundAlignment {
  const { alignment: given, segment } = placement;
  if (given.kind === 'aligned')
    return { placement: index, quaternion: [1, 0, 0, 0], quality: 1, reason: null, isFixed: true };
  if (given.kind === 'calibrated') {
    const { quaternion, quality, reason } = given;
    return { placement: index, quaternion, quality, reason, isFixed: true };
  }
  const state = new Float64Array(MOVEMENT_STATE);
  const reading = { values, at: 0, quaternion: new Float64Array(4) };
  for (let i = 0; i < count; i++) {
    reading.at = 6 * i;
    reading.quaternion.set(orientations.subarray(4 * i, 4 * i + 4));
    observeMovement(state, reading, periodUs * 1e-6);
  }
  const found = createMovementAlignment();
  alignFromMovement(state, { segment, sense }, found);
  const quaternion = [...found.quaternion] as [number, number, number, number];
  return { placement: index, quaternion, quality: found.quality, reason: found.reason, isFixed: true };
}

interface Grid {
  readonly firstUs: number;
  readonly stepUs: number;
  readonly count: number;
}

/** Segment to its sensor's earth at every time of the grid, between the two readings around it. */
function onGrid(
  grid: Grid,
  { resampled: { firstUs, periodUs, count, values }, orientations }: Sensor,
  alignment: FoundAlignment,
): Float64Array {
  const out = new Float64Array(4 * grid.count).fill(Number.NaN);
  if (alignment.quality === 0 && alignment.reason !== null) return out;
  const sensorOfSegment = new Float64Array(4);
  conjugate(Float64Array.from(alignment.quaternion), sensorOfSegment);
  const before = new Float64Array(4);
  const after = new Float64Array(4);
  for (let i = 0; i < grid.count; i++) {
    const position = (grid.firstUs + i * grid.stepUs - firstUs) / periodUs;
    const at = Math.min(Math.floor(position), count - 2);
    if (at < 0 || position > count - 1) continue;
    if (Number.isNaN(values[6 * at]!) && Number.isNaN(values[6 * at + 6]!)) continue;
    before.set(orientations.subarray(4 * at, 4 * at + 4));
    after.set(orientations.subarray(4 * at + 4, 4 * at + 8));
    slerp(before, after, position - at, before);
    multiply(before, sensorOfSegment, before);
    out.set(before, 4 * i);
  }
  return out;
}

const LEFT = Float64Array.of(0, 1, 0);

function headingsOf(proximal: Float64Array, distal: Float64Array, { count, stepUs }: Grid): Float64Array {
  const lines = { proximal: new Float64Array(3 * count), distal: new Float64Array(3 * count) };
  const quaternion = new Float64Array(4);
  const line = new Float64Array(3);
  for (let i = 0; i < count; i++) {
    for (const [from, to] of [
      [proximal, lines.proximal],
      [distal, lines.distal],
    ] as const) {
      quaternion.set(from.subarray(4 * i, 4 * i + 4));
      rotate(quaternion, LEFT, line);
      to.set(line, 3 * i);
    }
  }
  return smoothHeadings(lines, stepUs * 1e-6);
}
