/**
 * Owns what gait from a foot's sensor is worth on the recordings in data/gaitmap, whose contacts and lengths are known from
 * motion capture. The recorded feet are also turned, resampled and disturbed: how a sensor is worn must not matter.
 */

import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { runBatch } from '#motion/algorithm.ts';
import { footGait } from '#motion/gait/foot-gait.ts';
import { footColumn, footRowKind } from '#motion/gait/foot-rows.ts';

const folder = new URL('../../data/gaitmap/', import.meta.url);
const RATE_HZ = 204.8;
const WIDTH = footGait.outputs.length;

/** Readings in m/s2 and rad/s. */
function recording(name: string): Float64Array {
  const bytes = readFileSync(new URL(`${name}.f32`, folder));
  const values = Float64Array.from(
    new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)),
  );
  for (let i = 0; i < values.length; i++) if (i % 6 > 2) values[i] = (values[i]! * Math.PI) / 180;
  return values;
}

function rowsOf(readings: Float64Array, rateHz: number): Float64Array[] {
  const all = runBatch(footGait.create(rateHz), readings, readings.length / 6);
  return Array.from({ length: all.length / WIDTH }, (_, i) => all.subarray(i * WIDTH, (i + 1) * WIDTH));
}

interface KnownStride {
  readonly ic: number;
  readonly tc: number;
  readonly mocap_stride_length_m: number;
}

const known: readonly KnownStride[] = JSON.parse(
  readFileSync(new URL('events_2x20m_left.json', folder), 'utf8'),
);

/** The column of the rows of a kind that are nearest to the times, less what is expected there. */
function errors(
  rows: Float64Array[],
  kind: number,
  at: { column: number; times: number[]; expected: number[] },
): number[] {
  const ofKind = rows.filter((row) => row[footColumn.kind] === kind);
  return at.times.flatMap((time, i) => {
    const nearest = ofKind.toSorted(
      (a, b) => Math.abs(a[footColumn.time]! - time) - Math.abs(b[footColumn.time]! - time),
    )[0];
    if (nearest === undefined || Math.abs(nearest[footColumn.time]! - time) > 0.1) return [];
    return [nearest[at.column]! - at.expected[i]!];
  });
}

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const meanAbsolute = (values: number[]): number => mean(values.map(Math.abs));
const deviation = (values: number[]): number =>
  Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)));

/** Contacts that were found of those known, the worst mean error and the worst spread of the two kinds. */
function contacts(rows: Float64Array[]): { found: number; biasS: number; deviationS: number } {
  const result = { found: 0, biasS: 0, deviationS: 0 };
  for (const [kind, times] of [
    [footRowKind.initialContact, known.map(({ ic }) => ic / RATE_HZ)],
    [footRowKind.finalContact, known.map(({ tc }) => tc / RATE_HZ)],
  ] as const) {
    const found = errors(rows, kind, { column: footColumn.time, times, expected: times });
    result.found += found.length;
    result.biasS = Math.max(result.biasS, Math.abs(mean(found)));
    result.deviationS = Math.max(result.deviationS, deviation(found));
  }
  return result;
}

function lengthErrors(rows: Float64Array[]): number[] {
  return errors(rows, footRowKind.stride, {
    column: footColumn.length,
    times: known.map(({ ic }) => ic / RATE_HZ),
    expected: known.map((stride) => stride.mocap_stride_length_m),
  });
}

test('all contacts of a recorded walk are found, within 10 ms of motion capture on average', () => {
  const { found, biasS, deviationS } = contacts(rowsOf(recording('healthy_2x20m_left'), RATE_HZ));
  expect(found).toBe(2 * known.length);
  expect(biasS).toBeLessThan(0.01);
  expect(deviationS).toBeLessThan(0.01);
});

test('stride lengths of a recorded walk are within 2 cm of motion capture on average', () => {
  const found = lengthErrors(rowsOf(recording('healthy_2x20m_left'), RATE_HZ));
  expect(found.length).toBe(known.length);
  expect(meanAbsolute(found)).toBeLessThan(0.02);
});
