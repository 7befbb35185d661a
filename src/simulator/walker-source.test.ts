import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';

import { typicalErrors } from '#simulator/sensor-errors.ts';
import {
  createSyntheticWalker,
  SENSOR_STRIDE,
  SENSORS_LENGTH,
  walkerOfSeed,
} from '#simulator/synthetic-walker.ts';
import { walkerSegments } from '#simulator/walker-body.ts';
import {
  createWalkerTable,
  walkerSource,
  walkTimeS,
  type WalkerDevice,
  type WalkerTable,
} from '#simulator/walker-source.ts';

let table: WalkerTable;
beforeAll(() => {
  table = createWalkerTable(createSyntheticWalker(walkerOfSeed(0x7f3a, { cadenceStepsPerMin: 120 })));
});

function read(device: WalkerDevice, firstIndex: number, count: number): Float32Array {
  const out = new Float32Array(count * table.axes);
  walkerSource(table, device).fill(firstIndex, count, out);
  return out;
}

const noisy: WalkerDevice = {
  segment: 'left-foot',
  firstRow: 100,
  errors: { model: typicalErrors, seed: 3 },
};

test('a source says what it is, and that it is synthetic', () => {
  const { definition, readingCount } = walkerSource(table, { segment: 'pelvis', firstRow: 0 });
  expect(definition).toMatchObject({ segment: 'pelvis', sensor: 'imu', rateHz: 200, synthetic: true });
  expect(definition.axes.map(({ name, unit }) => `${name} ${unit}`)).toEqual([
    'acc_x m/s2',
    'acc_y m/s2',
    'acc_z m/s2',
    'gyr_x deg/s',
    'gyr_y deg/s',
    'gyr_z deg/s',
  ]);
  expect(readingCount).toBe(Number.POSITIVE_INFINITY);
});

test('a reading is the same bytes however the readings around it are asked for', () => {
  const { loopReadings } = table.walker;
  const start = 5 * loopReadings - 150;
  for (const device of [noisy, { segment: 'left-foot', firstRow: 100 } as const]) {
    const whole = read(device, start, 300);
    fc.assert(
      fc.property(fc.array(fc.nat(300), { maxLength: 6 }), (cuts) => {
        const borders = [0, ...cuts.toSorted((a, b) => a - b), 300];
        const source = walkerSource(table, device);
        const parts = new Float32Array(300 * 6);
        for (let i = 1; i < borders.length; i++) {
          const [from, to] = [borders[i - 1]!, borders[i]!];
          source.fill(start + from, to - from, parts.subarray(from * 6));
        }
        expect(Buffer.from(parts.buffer).equals(Buffer.from(whole.buffer))).toBe(true);
      }),
      { numRuns: 50 },
    );
  }
});

test('fill writes what was asked for and nothing after it', () => {
  const out = new Float32Array(60).fill(-1);
  walkerSource(table, noisy).fill(7, 9, out);
  expect(out.subarray(0, 54)).toEqual(read(noisy, 7, 9));
  expect([...out.subarray(54)]).toEqual([-1, -1, -1, -1, -1, -1]);
});

test('an ideal sensor gives the truth of the walker at the moment of the reading', () => {
  const truth = new Float64Array(SENSORS_LENGTH);
  for (const [s, segment] of walkerSegments.entries()) {
    const device = { segment, firstRow: 100 };
    for (const index of [0, 977, 3 * table.walker.loopReadings + 5]) {
      table.walker.sensorsAt(walkTimeS(table, device, index), truth);
      const reading = read(device, index, 1);
      for (let axis = 0; axis < 6; axis++)
        expect(reading[axis]).toBeCloseTo(truth[s * SENSOR_STRIDE + axis]!, 3);
    }
  }
});

test('the loop has no seam: its second differences are no larger there than elsewhere', () => {
  const { loopReadings } = table.walker;
  for (const segment of walkerSegments) {
    const twice = read({ segment, firstRow: 0 }, 0, 2 * loopReadings);
    for (let axis = 0; axis < 6; axis++) {
      const second = (i: number): number =>
        Math.abs(twice[(i - 1) * 6 + axis]! - 2 * twice[i * 6 + axis]! + twice[(i + 1) * 6 + axis]!);
      const seam = Math.max(second(loopReadings - 1), second(loopReadings));
      // The phase at the seam is an initial contact, so it is compared with the other ones of the loop.
      let elsewhere = 0;
      for (let i = 1; i < loopReadings - 2; i++) elsewhere = Math.max(elsewhere, second(i));
      expect(seam).toBeLessThanOrEqual(elsewhere);
    }
  }
});

test('noise and bias differ between devices and stay within the data sheet', () => {
  const ideal = read({ segment: 'left-foot', firstRow: 100 }, 0, 2000);
  const real = read(noisy, 0, 2000);
  const other = read({ ...noisy, errors: { model: typicalErrors, seed: 4 } }, 0, 2000);
  expect(other).not.toEqual(real);
  let worst = 0;
  for (let i = 0; i < 2000; i++) worst = Math.max(worst, Math.abs(real[i * 6 + 3]! - ideal[i * 6 + 3]!));
  // Five standard deviations of bias and of noise.
  expect(worst).toBeGreaterThan(0.07);
  expect(worst).toBeLessThan(5 * (0.5 + 0.07));
});

test('nine axes carry the magnetometer', () => {
  const walker = createSyntheticWalker(walkerOfSeed(1, { rateHz: 50 }));
  const nine = createWalkerTable(walker, 9);
  const source = walkerSource(nine, { segment: 'pelvis', firstRow: 0 });
  expect(source.definition.axes.at(-1)).toEqual({ name: 'mag_z', unit: 'uT' });
  const out = new Float32Array(9);
  source.fill(0, 1, out);
  expect(Math.hypot(out[6]!, out[7]!, out[8]!)).toBeCloseTo(Math.hypot(21, 44), 3);
});
