/**
 * Owns synthetic walkers as sources of readings: one loop of a walk measured once into a table (0.6 MB for seven
 * six-axis sensors at 200 Hz), from which any number of devices copy, each from its own moment of the loop and with its
 * own bias and noise. The table joins seamlessly at its ends, and nothing is allocated per reading.
 */

import { assert } from '#base/assert.ts';
import { assertFill, type ReadingSource, type SourceDefinition } from '#simulator/reading-source.ts';
import { createErrorModel, type SensorErrors } from '#simulator/sensor-errors.ts';
import { SENSOR_STRIDE, SENSORS_LENGTH, type SyntheticWalker } from '#simulator/synthetic-walker.ts';
import { walkerSegments, type WalkerSegment } from '#simulator/walker-body.ts';

const sixAxes = [
  { name: 'acc_x', unit: 'm/s2' },
  { name: 'acc_y', unit: 'm/s2' },
  { name: 'acc_z', unit: 'm/s2' },
  { name: 'gyr_x', unit: 'deg/s' },
  { name: 'gyr_y', unit: 'deg/s' },
  { name: 'gyr_z', unit: 'deg/s' },
];
const nineAxes = [
  ...sixAxes,
  { name: 'mag_x', unit: 'uT' },
  { name: 'mag_y', unit: 'uT' },
  { name: 'mag_z', unit: 'uT' },
];

export interface WalkerTable {
  readonly walker: SyntheticWalker;
  /** 6, or 9 with magnetometer. */
  readonly axes: 6 | 9;
  /** One loop: row i is what ideal sensors measure at i / rateHz. Row-major, one table a segment. */
  readonly readings: Readonly<Record<WalkerSegment, Float32Array>>;
}

/** Measures one loop of the walk. Takes about 10 us a reading; share the table among devices. */
export function createWalkerTable(walker: SyntheticWalker, axes: 6 | 9 = 6): WalkerTable {
  const { loopReadings } = walker;
  const { rateHz } = walker.parameters;
  const tables = walkerSegments.map(() => new Float32Array(loopReadings * axes));
  const row = new Float64Array(SENSORS_LENGTH);
  for (let i = 0; i < loopReadings; i++) {
    walker.sensorsAt(i / rateHz, row);
    for (const [s, table] of tables.entries()) {
      for (let axis = 0; axis < axes; axis++) table[i * axes + axis] = row[s * SENSOR_STRIDE + axis]!;
    }
  }
  const readings = Object.fromEntries(walkerSegments.map((segment, s) => [segment, tables[s]!]));
  return { walker, axes, readings: readings as Record<WalkerSegment, Float32Array> };
}

export interface WalkerDevice {
  readonly segment: WalkerSegment;
  /** The first reading is this row of the table; give the sensors of one person the same. */
  readonly firstRow: number;
  /** Of bias and noise; different for each sensor. Absent: an ideal sensor, which costs a plain copy. */
  readonly errors?: { readonly model: SensorErrors; readonly seed: number };
}

/** An endless source: reading i is row (firstRow + i) of the loop, plus the error of reading i. */
export function walkerSource(table: WalkerTable, device: WalkerDevice): ReadingSource {
  const { axes, walker } = table;
  const { loopReadings } = walker;
  const { rateHz } = walker.parameters;
  const rows = table.readings[device.segment];
  const { firstRow } = device;
  assert(Number.isInteger(firstRow) && firstRow >= 0 && firstRow < loopReadings, 'the table has no such row');
  const errors =
    device.errors === undefined
      ? undefined
      : createErrorModel(device.errors.model, { seed: device.errors.seed, rateHz, axes });
  const definition: SourceDefinition = {
    segment: device.segment,
    sensor: 'imu',
    axes: axes === 6 ? sixAxes : nineAxes,
    rateHz,
    synthetic: true,
  };
  return {
    definition,
    readingCount: Number.POSITIVE_INFINITY,
    durationS: Number.POSITIVE_INFINITY,
    fill(firstIndex, count, out) {
      assertFill(this, { firstIndex, count, out });
      let done = 0;
      while (done < count) {
        const row = (firstRow + firstIndex + done) % loopReadings;
        const part = Math.min(count - done, loopReadings - row);
        out.set(rows.subarray(row * axes, (row + part) * axes), done * axes);
        done += part;
      }
      errors?.add(firstIndex, count, out);
    },
  };
}

/** The moment of the walk at which the device takes reading `index`, for comparison with the walker's truth. */
export function walkTimeS(table: WalkerTable, device: WalkerDevice, index: number): number {
  return (device.firstRow + index) / table.walker.parameters.rateHz;
}
