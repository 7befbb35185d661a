import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { runBatch, type AlgorithmDefinition } from '#motion/algorithm.ts';
import { vqf, vqf9, vqf9Basic, vqfBasic } from '#motion/orientation/vqf.ts';
import { angleBetween, rotateInverse } from '#motion/quaternion.ts';
import { GRAVITY, swinging, turningSensor } from '#test/support/turning-sensor.ts';

const RATE_HZ = 2000 / 7;
const ROWS = 13_500;

function bytesOf(file: string): ArrayBuffer {
  const bytes = readFileSync(new URL(`../../../data/vqf_golden/${file}`, import.meta.url));
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
}

/** Readings as acc, gyr, mag; the file has gyr first. */
function goldenReadings(): Float64Array {
  const values = new Float32Array(bytesOf('imu_data.f32'));
  const order = [3, 4, 5, 0, 1, 2, 6, 7, 8];
  return Float64Array.from({ length: ROWS * 9 }, (_, i) => values[i - (i % 9) + order[i % 9]!]!);
}

/** Without the last three columns of nine. */
function withoutField(readings: Float64Array): Float64Array {
  const count = readings.length / 9;
  return Float64Array.from({ length: count * 6 }, (_, i) => readings[Math.floor(i / 6) * 9 + (i % 6)]!);
}

/** Largest difference of our column to the reference's over all its rows. */
function largestDifference(
  ours: { rows: Float64Array; width: number; column: number },
  reference: { rows: Float64Array; width: number; column: number },
): number {
  let largest = 0;
  for (let i = 0; i * reference.width < reference.rows.length; i++) {
    const expected = reference.rows[i * reference.width + reference.column]!;
    const given = ours.rows[10 * i * ours.width + ours.column]!;
    largest = Math.max(largest, Math.abs(given - expected));
  }
  return largest;
}

const readings = goldenReadings();

test.each([
  ['vqf_full_every10th.f64', vqf, vqf9, 15],
  ['vqf_basic_every10th.f64', vqfBasic, vqf9Basic, 9],
] as const)('gives what the authors give: %s', (file, definition6, definition9, width) => {
  const rows = new Float64Array(bytesOf(file));
  expect(rows.length).toBe(1350 * width);
  const batch = (definition: AlgorithmDefinition, from: Float64Array) => ({
    rows: runBatch(definition.create(RATE_HZ), from, ROWS),
    width: definition.outputs.length,
  });
  const six = batch(definition6, withoutField(readings));
  const nine = batch(definition9, readings);
  const places = [
    ...[0, 1, 2, 3].map((column) => ({ ...six, column })),
    ...[0, 1, 2, 3, 9, 4, 5, 6, 7, 8, 10].map((column) => ({ ...nine, column })),
  ].slice(0, width);
  // The issue asks for 1e-6; a thousandth of a thousandth of that is what rounding makes of another order of sums.
  for (const [column, place] of places.entries())
    expect(largestDifference(place, { rows, width, column })).toBeLessThan(1e-12);
});

test.each([50, 100, 200, 400])('at %d Hz the bias is found while moving and taken off', (rateHz) => {
  const bias = [0.01, -0.008, 0.006] as const;
  const seconds = 60;
  const made = turningSensor({ seconds, rateHz, bias, rateAt: swinging });
  const rows = runBatch(vqf.create(rateHz), made.readings, seconds * rateHz);
  const last = rows.subarray(rows.length - 9);
  // Three quarters of it within a minute, whatever the rate; at rest it goes faster.
  for (let axis = 0; axis < 3; axis++) expect(Math.abs(last[4 + axis]! - bias[axis]!)).toBeLessThan(0.003);
  expect(last[7]).toBeLessThan(0.007);
  expect(last[8]).toBe(0);
});

test('at rest it says so, knows the bias to a hundredth of a degree a second, and the heading stays', () => {
  const bias = [0.012, 0.02, -0.015] as const;
  const made = turningSensor({ seconds: 120, rateHz: 100, bias, rateAt: () => [0, 0, 0] });
  const rows = runBatch(vqf.create(100), made.readings, 12_000);
  const last = rows.subarray(rows.length - 9);
  for (let axis = 0; axis < 3; axis++) expect(Math.abs(last[4 + axis]! - bias[axis]!)).toBeLessThan(2e-4);
  expect(last[8]).toBe(1);
  const afterTenSeconds = rows.slice(9 * 1000, 9 * 1000 + 4);
  expect(angleBetween(afterTenSeconds, last)).toBeLessThan(0.01);
});

test('a lost frame changes next to nothing, after a long gap the inclination is found anew', () => {
  const rateHz = 100;
  const made = turningSensor({ seconds: 40, rateHz, bias: [0, 0, 0], rateAt: swinging });
  const whole = runBatch(vqf.create(rateHz), made.readings, 4000);
  const lossy = made.readings.slice();
  lossy.fill(Number.NaN, 6 * 1000, 6 * 1005);
  const rows = runBatch(vqf.create(rateHz), lossy, 4000);
  expect(angleBetween(rows.subarray(9 * 1100), whole.subarray(9 * 1100))).toBeLessThan(0.02);

  const gap = 250;
  lossy.fill(Number.NaN, 6 * 2000, 6 * (2000 + gap));
  const gapped = runBatch(vqf.create(rateHz), lossy, 4000);
  // Within the gap nothing is known once it is longer than a second.
  expect(gapped[9 * 2050]).not.toBeNaN();
  expect(gapped[9 * 2150]).toBeNaN();
  const upOf = (q: Float64Array): Float64Array => {
    const up = new Float64Array(3);
    rotateInverse(q, Float64Array.of(0, 0, 1), up);
    return up;
  };
  const first = upOf(gapped.subarray(9 * (2000 + gap)));
  const truth = upOf(made.truth[2000 + gap]!);
  expect(first[0]! * truth[0]! + first[1]! * truth[1]! + first[2]! * truth[2]!).toBeGreaterThan(0.9999);
});

test('nothing is known before the first reading of the accelerometer', () => {
  const algorithm = vqf.create(100);
  const out = new Float64Array(9);
  algorithm.update(new Float64Array(6).fill(Number.NaN), 0, out);
  expect(out[0]).toBeNaN();
  algorithm.update(Float64Array.of(0, 0, 0, 0, 0, 0), 0, out);
  expect(out[0]).toBeNaN();
  algorithm.update(Float64Array.of(0, GRAVITY, 0, 0, 0, 0), 0, out);
  expect(angleBetween(out, Float64Array.of(Math.SQRT1_2, Math.SQRT1_2, 0, 0))).toBeLessThan(1e-12);
});

test('a magnet beside the sensor is seen, and turns the heading much less than if it were believed', () => {
  const disturbed = readings.slice();
  // From reading 7000 on, when the field has long been accepted; twice the earth's field more along one axis of the sensor.
  for (let i = 7000; i < 10_000; i++) disturbed[9 * i + 6] = disturbed[9 * i + 6]! + 100;
  const width = vqf9.outputs.length;
  const clean = runBatch(vqf9.create(RATE_HZ), readings, ROWS);
  expect(clean[width * 9999 + 10]).toBe(0);
  const largestError = (rows: Float64Array): number => {
    let largest = 0;
    for (let i = 7000; i < 10_000; i += 10)
      largest = Math.max(largest, angleBetween(rows.subarray(width * i), clean.subarray(width * i)));
    return largest;
  };
  const rejecting = runBatch(vqf9.create(RATE_HZ), disturbed, ROWS);
  expect(rejecting[width * 9999 + 10]).toBe(1);
  const trusting = runBatch(vqf9.create(RATE_HZ, { magRejection: 0 }), disturbed, ROWS);
  expect(largestError(rejecting)).toBeLessThan(largestError(trusting) / 5);
});
