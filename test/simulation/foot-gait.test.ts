/**
 * Owns what gait from a foot's sensor is worth on the recordings in data/gaitmap, whose contacts and lengths are known from
 * motion capture, and on synthetic walkers, whose truth is known. The recorded feet are also turned, resampled and
 * disturbed: how a sensor is worn must not matter.
 */

import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { normal, seededRandom } from '#base/random.ts';
import { runBatch } from '#motion/algorithm.ts';
import { footGait } from '#motion/gait/foot-gait.ts';
import { footGaitOffline } from '#motion/gait/foot-offline.ts';
import { footColumn, footRowKind } from '#motion/gait/foot-rows.ts';
import { typicalErrors } from '#simulator/sensor-errors.ts';
import { createSyntheticWalker, walkerOfSeed } from '#simulator/synthetic-walker.ts';
import { createWalkerTable, walkerSource, type WalkerTable } from '#simulator/walker-source.ts';

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
  return split(runBatch(footGait.create(rateHz), readings, readings.length / 6));
}

function split(all: Float64Array): Float64Array[] {
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

test('with the whole recording there, contacts and lengths are at least as good, and the pitch is known', () => {
  const readings = recording('healthy_2x20m_left');
  const { rows, pitchDeg, frame } = footGaitOffline(readings, RATE_HZ);
  const { found, biasS, deviationS } = contacts(split(rows));
  expect(found).toBe(2 * known.length);
  expect(Math.max(biasS, deviationS)).toBeLessThan(0.01);
  expect(meanAbsolute(lengthErrors(split(rows)))).toBeLessThan(0.02);
  // The toes are up at initial contact (20 degrees, Perry and Burnfield 2010) and far down at final contact (60).
  expect(mean(known.map(({ ic }) => pitchDeg[ic]!))).toBeLessThan(-15);
  expect(mean(known.map(({ tc }) => pitchDeg[tc]!))).toBeGreaterThan(50);
  expect(pitchDeg.filter((pitch) => Number.isNaN(pitch)).length).toBeLessThan(0.1 * pitchDeg.length);
  // The sensor leans by 16 degrees to the side and points ahead, as the foot does but for some 10 degrees (data/gaitmap/README.md).
  expect(frame!.forward[0]).toBeGreaterThan(0.95);
  expect(frame!.left[1]).toBeGreaterThan(0.9);
});

/** All vectors turned by a unit quaternion. */
function turned(
  readings: Float64Array,
  [w, x, y, z]: readonly [number, number, number, number],
): Float64Array {
  const out = new Float64Array(readings.length);
  const matrix = [
    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
  ];
  for (let i = 0; i < readings.length; i += 3)
    for (const [k, row] of matrix.entries())
      out[i + k] = row[0]! * readings[i]! + row[1]! * readings[i + 1]! + row[2]! * readings[i + 2]!;
  return out;
}

test.each([
  ['about the direction of walking', [0.5, 0.5, 0.5, 0.5]],
  ['upside down', [0, 1, 0, 0]],
  ['askew', [0.1, 0.7, -0.5, 0.5]],
] as const)('a sensor that is worn %s tells the same', (_, quaternion) => {
  const rows = rowsOf(turned(recording('healthy_2x20m_left'), quaternion), RATE_HZ);
  const straight = rowsOf(recording('healthy_2x20m_left'), RATE_HZ);
  expect(rows.length).toBe(straight.length);
  for (const [i, row] of rows.entries())
    for (const [column, value] of row.entries())
      expect(Number.isNaN(value) ? 0 : value).toBeCloseTo(
        Number.isNaN(straight[i]![column]!) ? 0 : straight[i]![column]!,
        3,
      );
});

test('an alignment that is given counts instead of the one found', () => {
  const quaternion = [0.5, 0.5, 0.5, 0.5] as const;
  const readings = turned(recording('healthy_2x20m_left'), quaternion);
  const back = { alignmentW: 0.5, alignmentX: -0.5, alignmentY: -0.5, alignmentZ: -0.5 };
  const { frame } = footGaitOffline(readings, RATE_HZ, back);
  expect([...frame!.forward]).toEqual([0, 1, 0]);
  const rows = split(runBatch(footGait.create(RATE_HZ, back), readings, readings.length / 6));
  const { found, biasS } = contacts(rows);
  expect(found).toBe(2 * known.length);
  expect(biasS).toBeLessThan(0.01);
});

/** At another rate, by triangular weights as wide as the longer of both periods: no aliases, no shift. */
function resampled(readings: Float64Array, rateHz: number): Float64Array {
  const ratio = RATE_HZ / rateHz;
  const width = Math.max(1, ratio);
  const count = readings.length / 6;
  const out = new Float64Array(6 * Math.floor((count - 1) / ratio));
  for (let i = 0; i < out.length / 6; i++) {
    let weights = 0;
    for (
      let k = Math.max(0, Math.ceil(i * ratio - width));
      k <= Math.min(count - 1, i * ratio + width);
      k++
    ) {
      const weight = 1 - Math.abs(k - i * ratio) / width;
      weights += weight;
      for (let axis = 0; axis < 6; axis++)
        out[6 * i + axis] = out[6 * i + axis]! + weight * readings[6 * k + axis]!;
    }
    for (let axis = 0; axis < 6; axis++) out[6 * i + axis] = out[6 * i + axis]! / weights;
  }
  return out;
}

test.each([400, 100, 60])('readings at %d Hz tell the same', (rateHz) => {
  const rows = rowsOf(resampled(recording('healthy_2x20m_left'), rateHz), rateHz);
  const { found, biasS, deviationS } = contacts(rows);
  expect(found).toBe(2 * known.length);
  expect(Math.max(biasS, deviationS)).toBeLessThan(0.01);
  expect(meanAbsolute(lengthErrors(rows))).toBeLessThan(0.025);
});

test('noise and bias of a poor sensor leave contacts within 10 ms and lengths within 4 cm', () => {
  const random = seededRandom(5);
  const bias = Array.from({ length: 6 }, (_, axis) => (axis < 3 ? 0.4 : 0.02) * normal(random));
  const readings = recording('healthy_2x20m_left').map(
    (value, i) => value + bias[i % 6]! + (i % 6 < 3 ? 0.3 : 0.03) * normal(random),
  );
  const rows = rowsOf(readings, RATE_HZ);
  const { found, biasS, deviationS } = contacts(rows);
  expect(found).toBe(2 * known.length);
  expect(Math.max(biasS, deviationS)).toBeLessThan(0.01);
  expect(meanAbsolute(lengthErrors(rows))).toBeLessThan(0.04);
});

test('missing readings cost the steps that they are in, and no others', () => {
  const readings = recording('healthy_2x20m_left');
  // 5 readings, 24 ms, are bridged; 6 are not, even in the middle of a swing where little would be lost.
  readings.fill(Number.NaN, 6 * 1060, 6 * 1065);
  expect(contacts(rowsOf(readings, RATE_HZ)).found).toBe(2 * known.length);
  readings.fill(Number.NaN, 6 * 1500, 6 * 1506);
  expect(contacts(rowsOf(readings, RATE_HZ)).found).toBe(2 * known.length - 2);
  const { found } = contacts(split(footGaitOffline(readings, RATE_HZ).rows));
  expect(found).toBe(2 * known.length - 2);
});

test.each([
  ['healthy_stair_up_left', 1],
  ['healthy_stair_up_right', 1],
  ['healthy_stair_down_left', -1],
  ['healthy_stair_down_right', -1],
] as const)('stairs of %s are told from level ground', (name, direction) => {
  const strides = rowsOf(recording(name), RATE_HZ).filter(
    (row) => row[footColumn.kind] === footRowKind.stride,
  );
  const onStairs = strides.filter((row) => row[footColumn.terrain] === direction);
  expect(onStairs.length).toBeGreaterThanOrEqual(14);
  // The other way is never taken; level strides are those before, between and behind the flights.
  expect(strides.filter((row) => row[footColumn.terrain] === -direction)).toEqual([]);
  // Two steps of usual height: 0.14 to 0.19 m each.
  const heights = onStairs.map((row) => Math.abs(row[footColumn.heightChange]!)).toSorted((a, b) => a - b);
  expect(heights[Math.floor(heights.length / 2)]!).toBeGreaterThan(0.26);
  expect(heights[Math.floor(heights.length / 2)]!).toBeLessThan(0.38);
});

test.each(['healthy_2x20m_left', 'healthy_2x20m_right', 'healthy_4x10m_left', 'healthy_4x10m_right'])(
  'level ground of %s is not taken for stairs',
  (name) => {
    const rows = rowsOf(recording(name), name.includes('4x10m') ? 102.4 : RATE_HZ);
    const strides = rows.filter((row) => row[footColumn.kind] === footRowKind.stride);
    expect(strides.filter((row) => row[footColumn.terrain] !== 0)).toEqual([]);
  },
);

test('the turns of a walk to and fro are found by both feet', () => {
  for (const foot of ['left', 'right']) {
    const rows = rowsOf(recording(`healthy_4x10m_${foot}`), 102.4);
    const turns = rows.filter((row) => row[footColumn.kind] === footRowKind.turn);
    expect(turns.length).toBe(3);
    for (const turn of turns) expect(Math.abs(Math.abs(turn[footColumn.turn]!) - 180)).toBeLessThan(20);
  }
});

interface Walked {
  readonly found: number;
  readonly expected: number;
  readonly finalS: number[];
  readonly initialS: number[];
  readonly lengthM: number[];
  readonly bouts: Set<number>;
}

/** What is found of half a minute of a synthetic walk, from its third second on. */
function walked(table: WalkerTable, hasErrors: boolean): Walked {
  const { walker } = table;
  const { rateHz } = walker.parameters;
  const device = { segment: 'left-foot', firstRow: 0 } as const;
  const source = walkerSource(
    table,
    hasErrors ? { ...device, errors: { model: typicalErrors, seed: 11 } } : device,
  );
  const values = new Float32Array(6 * Math.round(30 * rateHz));
  source.fill(0, values.length / 6, values);
  const readings = Float64Array.from(values, (value, i) => (i % 6 > 2 ? (value * Math.PI) / 180 : value));
  const rows = rowsOf(readings, rateHz);
  const truth = walker.contactsBetween(3, 29).filter(({ side }) => side === 'left');
  const of = (kind: string): number[] => truth.filter((c) => c.kind === kind).map(({ timeS }) => timeS);
  const lengths = truth.filter(({ kind }) => kind === 'initial').map(({ strideLengthM }) => strideLengthM);
  const at = (column: number, times: number[], expected: number[]) => ({ column, times, expected });
  const initial = of('initial');
  const initialS = errors(rows, footRowKind.initialContact, at(footColumn.time, initial, initial));
  const finalS = errors(rows, footRowKind.finalContact, at(footColumn.time, of('final'), of('final')));
  return {
    found: initialS.length + finalS.length,
    expected: truth.length,
    initialS,
    finalS,
    lengthM: errors(rows, footRowKind.stride, at(footColumn.length, initial, lengths)),
    bouts: new Set(rows.map((row) => row[footColumn.bout]!)),
  };
}

test.each([
  ['a slow adult', { cadenceStepsPerMin: 60, stepLengthM: 0.43, heightM: 1.7 }],
  ['a fast adult', { cadenceStepsPerMin: 140, stepLengthM: 0.72, heightM: 1.75 }],
  ['a limping adult', { asymmetry: 0.2 }],
  ['a child', { heightM: 1.15, cadenceStepsPerMin: 130, stepLengthM: 0.45 }],
  ['an adult at 100 Hz', { rateHz: 100 }],
] as const)('of %s all steps are found; without errors lengths are exact', (_, given) => {
  const table = createWalkerTable(createSyntheticWalker(walkerOfSeed(7, given)));
  for (const hasErrors of [false, true]) {
    const { found, expected, finalS, initialS, lengthM, bouts } = walked(table, hasErrors);
    expect(found).toBe(expected);
    expect([...bouts]).toEqual([0]);
    expect(meanAbsolute(lengthM)).toBeLessThan(hasErrors ? 0.02 : 0.001);
    expect(meanAbsolute(finalS)).toBeLessThan(0.003);
    // The walker's toes stop rising 40 ms before contact, and its landing has no sharp shock: it is seen early.
    expect(mean(initialS)).toBeLessThan(-0.01);
    expect(mean(initialS)).toBeGreaterThan(-0.05);
  }
});
