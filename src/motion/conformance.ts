/**
 * Owns what every streaming algorithm of motion must do, whatever it computes: one suite of tests over a definition. That
 * nothing is allocated per reading is measured beside it, in a process of its own (algorithms.test.ts).
 */

import { describe, expect, test } from 'vitest';

import { integerBelow, seededRandom } from '#base/random.ts';
import { runBatch, type Algorithm, type AlgorithmDefinition } from '#motion/algorithm.ts';
import { conformanceReadings } from '#motion/conformance-signal.ts';

const RATE_HZ = 100;
const ACC_LIMIT = 16 * 9.81;
const GYR_LIMIT = (2000 * Math.PI) / 180;

/** Registers the tests. */
export function testAlgorithmConformance(definition: AlgorithmDefinition): void {
  describe(`algorithm ${definition.name}`, () => {
    const readings = conformanceReadings(definition.inputs, RATE_HZ);
    testDocumentation(definition);
    testBits(definition, readings);
    testBadReadings(definition, readings);
  });
}

/** All values as bits: NaN equals NaN, and 0 is not -0. */
function bitsOf(rows: Float64Array): BigUint64Array {
  return new BigUint64Array(rows.buffer, rows.byteOffset, rows.length);
}

/** The first row and column where two runs differ; null when they do not. */
function firstDifference(a: Float64Array, b: Float64Array, width: number): string | null {
  const aBits = bitsOf(a);
  const bBits = bitsOf(b);
  for (let i = 0; i < Math.min(a.length, b.length); i++)
    if (aBits[i] !== bBits[i]) return `row ${Math.floor(i / width)}, column ${i % width}: ${a[i]}, ${b[i]}`;
  return a.length === b.length ? null : `${a.length / width} rows, ${b.length / width} rows`;
}

function testDocumentation(definition: AlgorithmDefinition): void {
  test('says what it is, what it takes and what it gives', () => {
    expect(definition.name).toMatch(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
    expect(Number.isInteger(definition.version) && definition.version >= 1).toBe(true);
    expect(definition.summary).toMatch(/^[A-Z].*\.$/s);
    expect(definition.source.length).toBeGreaterThan(10);
    for (const column of [...definition.inputs, ...definition.outputs])
      expect(column).toMatch(/^[a-z][a-z0-9_]* \([^()]+\)$/);
    expect(new Set(definition.outputs).size).toBe(definition.outputs.length);
    expect(definition.maxRows).toBeGreaterThanOrEqual(1);
    expect(definition.latencyS).toBeGreaterThanOrEqual(0);
  });

  test('every parameter has a default in its range, a unit, words and a source', () => {
    for (const [name, spec] of Object.entries(definition.parameters)) {
      expect(name).toMatch(/^[a-z][a-zA-Z0-9]*$/);
      expect(spec.default).toBeGreaterThanOrEqual(spec.min);
      expect(spec.default).toBeLessThanOrEqual(spec.max);
      expect(spec.unit).toMatch(/^(1|%|[a-zA-Z][a-zA-Z0-9/^-]*)$/);
      expect(spec.summary.length).toBeGreaterThan(3);
      expect(spec.source.length).toBeGreaterThan(3);
    }
  });

  test('refuses parameters that are unknown or out of range', () => {
    expect(() => definition.create(RATE_HZ, { noSuchParameter: 1 })).toThrow('noSuchParameter');
    for (const [name, { min, max }] of Object.entries(definition.parameters)) {
      expect(() => definition.create(RATE_HZ, { [name]: max + 1 })).toThrow(name);
      expect(() => definition.create(RATE_HZ, { [name]: min - 1 })).toThrow(name);
      expect(() => definition.create(RATE_HZ, { [name]: Number.NaN })).toThrow(name);
    }
  });
}

function testBits(definition: AlgorithmDefinition, readings: Float64Array): void {
  const width = definition.outputs.length;
  const columns = definition.inputs.length;
  const count = readings.length / columns;
  const whole = (): Float64Array => runBatch(definition.create(RATE_HZ), readings, count);

  test('gives rows, at most as many a reading as it says', () => {
    const algorithm = definition.create(RATE_HZ);
    const out = new Float64Array(definition.maxRows * width);
    let rows = 0;
    let most = 0;
    for (let i = 0; i < count; i++) {
      const written = algorithm.update(readings, i * columns, out);
      most = Math.max(most, written);
      rows += written;
    }
    expect(most).toBeLessThanOrEqual(definition.maxRows);
    expect(rows).toBeGreaterThan(0);
    expect(rows * width).toBe(whole().length);
  });

  test('gives the same bits in pieces as at once', () => {
    const expected = whole();
    for (const longest of [1, 7, 450]) {
      const rows = runInPieces(definition.create(RATE_HZ), readings, longest);
      expect(firstDifference(rows, expected, width)).toBeNull();
    }
  });

  test('goes on from what was saved, anywhere, bit for bit', () => {
    const random = seededRandom(4);
    let algorithm = definition.create(RATE_HZ);
    const out = new Float64Array(definition.maxRows * width);
    const given: number[] = [];
    for (let i = 0; i < count; i++) {
      // Also before the first reading, and so that no later state is like an earlier one by chance.
      if (i === 0 || integerBelow(random, 150) === 0) algorithm = handedOver(algorithm, readings);
      const written = algorithm.update(readings, i * columns, out) * width;
      for (let k = 0; k < written; k++) given.push(out[k]!);
    }
    expect(firstDifference(Float64Array.from(given), whole(), width)).toBeNull();
  });

  test('is as new after a reset', () => {
    const algorithm = definition.create(RATE_HZ);
    runBatch(algorithm, readings, Math.floor(count * 0.7));
    algorithm.reset();
    expect(firstDifference(runBatch(algorithm, readings, count), whole(), width)).toBeNull();
  });
}

/** Another instance, used before for something else, that was given the state. Fails if not all of it is written. */
function handedOver(algorithm: Algorithm, readings: Float64Array): Algorithm {
  const saved = new Float64Array(algorithm.stateLength).fill(-7);
  const again = new Float64Array(algorithm.stateLength).fill(8);
  algorithm.save(saved);
  algorithm.save(again);
  expect(firstDifference(saved, again, 1)).toBeNull();
  const next = algorithm.definition.create(RATE_HZ);
  runBatch(next, readings, 300);
  next.load(saved);
  saved.fill(-7);
  return next;
}

/** The readings come in pieces of random length, at random places of a buffer with other things around them. */
function runInPieces(algorithm: Algorithm, readings: Float64Array, longest: number): Float64Array {
  const { inputs, outputs, maxRows } = algorithm.definition;
  const random = seededRandom(longest);
  const buffer = new Float64Array((2 * longest + 2) * inputs.length);
  const out = new Float64Array(maxRows * outputs.length + 3);
  const given: number[] = [];
  const count = readings.length / inputs.length;
  for (let first = 0; first < count;) {
    const piece = Math.min(count - first, 1 + integerBelow(random, longest));
    const at = integerBelow(random, longest + 1) * inputs.length;
    buffer.fill(1e30);
    buffer.set(readings.subarray(first * inputs.length, (first + piece) * inputs.length), at);
    for (let i = 0; i < piece; i++) {
      out.fill(1e30);
      const written = algorithm.update(buffer, at + i * inputs.length, out) * outputs.length;
      for (let k = 0; k < written; k++) given.push(out[k]!);
    }
    first += piece;
  }
  return Float64Array.from(given);
}

function testBadReadings(definition: AlgorithmDefinition, readings: Float64Array): void {
  const columns = definition.inputs.length;
  const width = definition.outputs.length;
  const count = readings.length / columns;
  const clean = (): Float64Array => runBatch(definition.create(RATE_HZ), readings, count);

  /** What is wrong: infinite values, or more that is unknown at the end than without the bad readings. */
  const problemsOf = (bad: Float64Array): string[] => {
    const rows = runBatch(definition.create(RATE_HZ), bad, bad.length / columns);
    const unknown = (all: Float64Array): number =>
      all.subarray(Math.max(0, all.length - width)).filter((value) => Number.isNaN(value)).length;
    const problems: string[] = [];
    if (rows.length === 0) problems.push('no rows');
    if (rows.some((value) => Math.abs(value) === Number.POSITIVE_INFINITY)) problems.push('infinite values');
    if (unknown(rows) > unknown(clean())) problems.push('unknown at the end');
    return problems;
  };

  test('missing readings, whole or in part, leave no trace that stays', () => {
    const random = seededRandom(9);
    const bad = readings.slice();
    const last = Math.floor(count * 0.8);
    for (let i = 0; i < last; i++) {
      if (integerBelow(random, 30) === 0) bad.fill(Number.NaN, i * columns, (i + 1) * columns);
      if (integerBelow(random, 30) === 0) bad[i * columns + integerBelow(random, columns)] = Number.NaN;
      if (integerBelow(random, 90) === 0)
        bad[i * columns + integerBelow(random, columns)] = Number.POSITIVE_INFINITY;
      if (integerBelow(random, 90) === 0)
        bad[i * columns + integerBelow(random, columns)] = Number.NEGATIVE_INFINITY;
    }
    expect(problemsOf(bad)).toEqual([]);
  });

  test('missing from the start, in the middle and for long, it goes on', () => {
    const bad = readings.slice();
    bad.fill(Number.NaN, 0, 50 * columns);
    bad.fill(Number.NaN, Math.floor(count * 0.3) * columns, Math.floor(count * 0.45) * columns);
    expect(problemsOf(bad)).toEqual([]);
  });

  test.each([50, 400])('takes %d readings a second as well', (rateHz) => {
    const others = conformanceReadings(definition.inputs, rateHz);
    const rows = runBatch(definition.create(rateHz), others, others.length / columns);
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.some((value) => Math.abs(value) === Number.POSITIVE_INFINITY)).toBe(false);
  });

  test('nothing but missing readings is no reason to fail', () => {
    const rows = runBatch(
      definition.create(RATE_HZ),
      new Float64Array(1000 * columns).fill(Number.NaN),
      1000,
    );
    expect(rows.some((value) => Math.abs(value) === Number.POSITIVE_INFINITY)).toBe(false);
  });

  test('sensors at the end of their range, stuck at zero or at one value', () => {
    const limits = definition.inputs.map((name) =>
      name.startsWith('acc') ? ACC_LIMIT : name.startsWith('gyr') ? GYR_LIMIT : Number.POSITIVE_INFINITY,
    );
    const clip = (value: number, i: number): number => {
      const limit = limits[i % columns]!;
      // Eight times as fast a walk for half of the time: into the limits and out again.
      const scaled = i % (1000 * columns) < 500 * columns ? 8 * value : value;
      return Math.max(-limit, Math.min(limit, scaled));
    };
    expect(problemsOf(readings.map(clip))).toEqual([]);
    const stuck = readings.slice();
    stuck.fill(0, 400 * columns, 800 * columns);
    for (let i = 900; i < 1300; i++) stuck.copyWithin(i * columns, 899 * columns, 900 * columns);
    expect(problemsOf(stuck)).toEqual([]);
  });
}
