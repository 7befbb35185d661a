import { expect, test } from 'vitest';

import { runBatch, type Parameters } from '#motion/algorithm.ts';
import { lumbarGait, type lumbarParameters } from '#motion/gait/lumbar-gait.ts';
import { lumbarGaitOffline } from '#motion/gait/lumbar-offline.ts';
import { LUMBAR_WIDTH, lumbarColumns, lumbarKinds } from '#motion/gait/lumbar-rows.ts';

const G = 9.80665;
const LEG_M = 0.53 * 1.7;

interface Walk {
  readonly rateHz: number;
  readonly stepS: number;
  readonly stepM: number;
  /** Rows of the turn from x ahead, y left, z up to the sensor. */
  readonly mounting: readonly (readonly [number, number, number])[];
  readonly turnRadS: number;
}

const upright = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
] as const;
/** Upside down, turned about the vertical by 40 degrees and leaning by 20. */
const odd = (() => {
  const [c, s, k, l] = [Math.cos(0.7), Math.sin(0.7), Math.cos(Math.PI + 0.35), Math.sin(Math.PI + 0.35)];
  return [
    [c, s, 0],
    [-s * k, c * k, l],
    [s * l, -c * l, k],
  ] as const;
})();

const usual: Walk = { rateHz: 100, stepS: 0.55, stepM: 0.65, mounting: upright, turnRadS: 0 };

/** 2 s of standing, 12 s of an inverted pendulum that rolls over its feet, 4 s of standing. Contacts of the left foot are even. */
function walkOf(walk: Walk): { readings: Float64Array; count: number; contactsS: number[] } {
  const { rateHz, stepS, stepM } = walk;
  const count = Math.round(18 * rateHz);
  const readings = new Float64Array(count * 6);
  const doubleS = 0.22 * stepS;
  const riseM = (0.7 * stepM * stepM) / (8 * LEG_M);
  const turn = (2 * Math.PI) / stepS;
  // As large as what the pendulum does, as it is at the pelvis.
  const impactMS2 = Math.max(2, (riseM / 2) * turn * turn);
  const steps = Math.floor(12 / stepS);
  for (let i = 0; i < count; i++) {
    const t = i / rateHz - 2;
    const isWalking = t >= 0 && t < steps * stepS;
    // Middle of double support is half of one after the contact.
    const phase = turn * (t - doubleS / 2);
    const up = isWalking ? (riseM / 2) * turn * turn * Math.cos(phase) : 0;
    const side = Math.floor(t / stepS) % 2 === 0 ? -1 : 1;
    const left = isWalking ? side * 0.8 * Math.sin((Math.PI * (t % stepS)) / stepS) : 0;
    const ahead = isWalking ? 1.5 * Math.sin(phase) : 0;
    // The heel's impact: 30 ms after the contact it is over.
    const since = t - Math.floor(t / stepS) * stepS;
    const impact = isWalking && since < 0.03 ? impactMS2 * Math.sin((Math.PI * since) / 0.03) ** 2 : 0;
    const force = [-ahead, left, G + up + impact];
    const rate = [0, 0, isWalking ? walk.turnRadS : 0];
    for (let k = 0; k < 3; k++)
      for (let j = 0; j < 3; j++) {
        readings[i * 6 + k] = readings[i * 6 + k]! + walk.mounting[k]![j]! * force[j]!;
        readings[i * 6 + 3 + k] = readings[i * 6 + 3 + k]! + walk.mounting[k]![j]! * rate[j]!;
      }
  }
  return { readings, count, contactsS: Array.from({ length: steps }, (_, i) => 2 + i * stepS) };
}

type Given = Partial<Parameters<typeof lumbarParameters>>;

function live(walk: Walk, given: Given = {}): number[][] {
  const { readings, count } = walkOf(walk);
  return rowsOf(runBatch(lumbarGait.create(walk.rateHz, given), readings, count));
}

function offline(walk: Walk, given: Given = {}): number[][] {
  const { readings, count } = walkOf(walk);
  return rowsOf(lumbarGaitOffline(readings, count, { rateHz: walk.rateHz, parameters: given }));
}

function rowsOf(rows: Float64Array): number[][] {
  return Array.from({ length: rows.length / LUMBAR_WIDTH }, (_, i) => [
    ...rows.subarray(i * LUMBAR_WIDTH, (i + 1) * LUMBAR_WIDTH),
  ]);
}

const ofKind = (rows: readonly number[][], kind: keyof typeof lumbarKinds): number[][] =>
  rows.filter((row) => row[lumbarColumns.kind] === lumbarKinds[kind]);

/** Sides of what was found within 40 ms of each contact of the walk but the first and the last two. */
function sidesFound(rows: readonly number[][], walk: Walk): number[][] {
  const contacts = ofKind(rows, 'initialContact');
  return walkOf(walk)
    .contactsS.slice(2, -2)
    .map((contactS) =>
      contacts
        .filter((row) => Math.abs(row[lumbarColumns.timeS]! - contactS) < 0.04)
        .map((row) => row[lumbarColumns.side]!),
    );
}

test.each([
  ['an adult', usual],
  ['slow steps', { ...usual, stepS: 0.9, stepM: 0.4 }],
  ['fast steps', { ...usual, stepS: 0.42, stepM: 0.8 }],
  ['50 readings a second', { ...usual, rateHz: 50 }],
  ['204.8 readings a second', { ...usual, rateHz: 204.8 }],
  ['400 readings a second', { ...usual, rateHz: 400 }],
  ['a sensor that sits in any way', { ...usual, mounting: odd }],
] as const)('initial contacts and their sides: %s', (_name, walk) => {
  // Each is found once, and they alternate from the left foot on.
  const expected = walkOf(walk)
    .contactsS.slice(2, -2)
    .map((_contact, i) => [i % 2]);
  expect(sidesFound(live(walk), walk)).toEqual(expected);
  expect(sidesFound(offline(walk), walk)).toEqual(expected);
});

test('a bout begins with the first contact, ends with the last one, and has a plausible length and cadence', () => {
  for (const rows of [offline(usual), live(usual)]) {
    const bouts = ofKind(rows, 'boutEnd');
    expect(bouts).toHaveLength(1);
    const bout = bouts[0]!;
    expect(bout[lumbarColumns.startS]).toBeCloseTo(2, 0);
    expect(bout[lumbarColumns.timeS]).toBeCloseTo(13.5, 0);
    expect(bout[lumbarColumns.cadence]).toBeCloseTo(60 / usual.stepS, 0);
  }
});

test('strides grow with the height of the body and with the factor of the person', () => {
  const lengths = (given: Given): number =>
    ofKind(live(usual, given), 'stride').reduce((sum, row) => sum + row[lumbarColumns.lengthM]!, 0);
  const base = lengths({});
  expect(lengths({ lengthFactor: 1.1 })).toBeCloseTo(1.1 * base, 9);
  expect(lengths({ heightM: 1.87 })).toBeGreaterThan(1.05 * base);
});

test('standing still and a swaying trunk make no walking', () => {
  const count = 3000;
  const readings = new Float64Array(count * 6);
  for (let i = 0; i < count; i++) {
    readings[i * 6 + 2] = G;
    readings[i * 6 + 1] = 0.2 * Math.sin(i / 30);
  }
  expect(runBatch(lumbarGait.create(100), readings, count)).toHaveLength(0);
});

test('a turn of half a circle is found with its angle', () => {
  const count = 1000;
  const readings = new Float64Array(count * 6);
  for (let i = 0; i < count; i++) {
    readings[i * 6 + 2] = G;
    if (i >= 300 && i < 500) readings[i * 6 + 5] = Math.PI / 2;
  }
  const turns = ofKind(rowsOf(runBatch(lumbarGait.create(100), readings, count)), 'turn');
  expect(turns).toHaveLength(1);
  expect(turns[0]![lumbarColumns.turnDeg]).toBeGreaterThan(175);
  expect(turns[0]![lumbarColumns.turnDeg]).toBeLessThan(185);
  expect(turns[0]![lumbarColumns.timeS]).toBeCloseTo(5.3, 0);
});

test('a contact comes no later than the definition says', () => {
  const { readings, count } = walkOf({ ...usual, stepS: 0.9, stepM: 0.4 });
  const algorithm = lumbarGait.create(100);
  const out = new Float64Array(lumbarGait.maxRows * LUMBAR_WIDTH);
  for (let i = 0; i < count; i++) {
    const written = algorithm.update(readings, i * 6, out);
    for (let row = 0; row < written; row++)
      expect(i / 100 - out[row * LUMBAR_WIDTH + lumbarColumns.timeS]!).toBeLessThan(lumbarGait.latencyS);
  }
});
