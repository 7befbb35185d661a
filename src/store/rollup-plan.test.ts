import fc from 'fast-check';
import { expect, test } from 'vitest';

import { rangesOf, sizeOf, subtract, type Range, type RangeSet } from '#base/ranges.ts';
import type { ReadingBlock } from '#store/reading-block.ts';
import { bucketLengths, floorTo, rowName, rowUs } from '#store/rollup-levels.ts';
import { planRoll, type RollBounds } from '#store/rollup-plan.ts';
import type { RollupRow } from '#store/rollup-rows.ts';

const AXES = 2;
const lengths = bucketLengths(200);

/** What a store keeps: every reading by its number, and the roll-ups. */
interface Epoch {
  readonly readings: Map<number, Reading>;
  readonly rows: Map<string, RollupRow>;
  rolled: RangeSet;
}

interface Reading {
  readonly timeUs: number;
  readonly lagUs: number;
  readonly values: readonly number[];
}

const newEpoch = (): Epoch => ({ readings: new Map(), rows: new Map(), rolled: [] });

/** The readings of a range that are stored, as blocks of consecutive ones, at most 7 each. */
function blocksOf(epoch: Epoch, range: Range): ReadingBlock[] {
  const blocks: ReadingBlock[] = [];
  for (let seq = range.from; seq < range.to;) {
    const list: Reading[] = [];
    for (
      let r = epoch.readings.get(seq);
      r !== undefined && list.length < 7 && seq + list.length < range.to;
    ) {
      list.push(r);
      r = epoch.readings.get(seq + list.length);
    }
    if (list.length > 0)
      blocks.push({
        firstSeq: seq,
        n: list.length,
        times: Float64Array.from(list, (r) => r.timeUs),
        lags: Float64Array.from(list, (r) => r.lagUs),
        values: Float64Array.from(list.flatMap((r) => r.values)),
      });
    seq += Math.max(1, list.length);
  }
  return blocks;
}

/** Rolls until nothing is left, as the keeper does; `range` null: all that is stored and not rolled. */
function rollAll(epoch: Epoch, bounds: RollBounds): void {
  for (;;) {
    const stored = rangesOf([...epoch.readings.keys()].map((seq) => ({ from: seq, to: seq + 1 })));
    const [range] = subtract(stored, epoch.rolled);
    if (range === undefined) return;
    rollOne(epoch, range, bounds);
  }
}

function rollOne(epoch: Epoch, range: Range, bounds: RollBounds): void {
  const blocks = blocksOf(epoch, range);
  const roll = planRoll({
    bucketLengths: lengths,
    axisCount: AXES,
    rolled: epoch.rolled,
    range,
    blocks,
    bounds,
  });
  const join = roll.join(
    roll.rowKeys.map((key) => epoch.rows.get(rowName(key))).filter((row) => row !== undefined),
  );
  const { wanted } = join;
  if (wanted !== null)
    for (const seqs of wanted.seqs)
      for (const block of blocksOf(epoch, seqs))
        if (block.times.some((timeUs) => timeUs >= wanted.fromUs && timeUs < wanted.toUs))
          join.add(block, seqs);
  for (const row of join.finish().rows) epoch.rows.set(rowName(row), row);
  epoch.rolled = rangesOf([...epoch.rolled, roll.taken]);
}

/** Rows by name without their ranges of numbers, which only have to hold all readings. */
function contentOf(epoch: Epoch): unknown {
  return [...epoch.rows.values()]
    .map((row) => ({ ...row, seqs: null, name: rowName(row) }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

const bounds: RollBounds = { readings: 1_000, rows: 100 };
const value = fc.oneof(
  fc.double({ min: -1e6, max: 1e6 }),
  fc.constantFrom(Number.NaN, Infinity, -Infinity, 0, -0, 1e300, 0.1),
);
const time = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1_700_000_000_000_000, max: 1_700_000_200_000_000 }) },
  // 1970 and before, 2106, and the ends of what a device may say.
  fc.integer({ min: -100_000_000, max: 100_000_000 }),
  fc.constantFrom(4_294_967_296_000_000, 2 ** 53 - 2 ** 32 - 1, 1 - (2 ** 53 - 2 ** 32), 0, -1),
);
const reading: fc.Arbitrary<Reading> = fc.record({
  timeUs: time,
  lagUs: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
  values: fc.array(value, { minLength: AXES, maxLength: AXES }),
});

test('whatever the order of arrival and of steps, roll-ups equal those made from scratch, bit for bit', () => {
  fc.assert(
    fc.property(
      fc.array(reading, { minLength: 1, maxLength: 60 }),
      fc.array(fc.record({ from: fc.nat(59), count: fc.integer({ min: 1, max: 20 }) }), { maxLength: 12 }),
      fc.record({ readings: fc.integer({ min: 1, max: 30 }), rows: fc.integer({ min: 1, max: 4 }) }),
      (all, arrivals, small) => {
        const scratch = newEpoch();
        all.forEach((r, seq) => scratch.readings.set(seq, r));
        rollAll(scratch, bounds);
        const epoch = newEpoch();
        // Ranges arrive in any order, overlapping and again; after each one the keeper may take a step or several.
        for (const { from, count } of [...arrivals, { from: 0, count: all.length }]) {
          for (let seq = from; seq < Math.min(all.length, from + count); seq++)
            epoch.readings.set(seq, all[seq]!);
          rollAll(epoch, small);
        }
        expect(contentOf(epoch)).toEqual(contentOf(scratch));
      },
    ),
    { numRuns: 300 },
  );
});

test('buckets are what a plain count of the readings says', () => {
  fc.assert(
    fc.property(fc.array(reading, { minLength: 1, maxLength: 40 }), (all) => {
      const epoch = newEpoch();
      all.forEach((r, seq) => epoch.readings.set(seq, r));
      rollAll(epoch, bounds);
      for (const bucketUs of lengths) {
        const expected = new Map<number, Reading[]>();
        for (const r of all) {
          const startUs = floorTo(r.timeUs, bucketUs);
          expected.set(startUs, [...(expected.get(startUs) ?? []), r]);
        }
        const found = [...epoch.rows.values()].filter((row) => row.bucketUs === bucketUs);
        expect(found.flatMap((row) => [...row.counts]).filter((n) => n > 0)).toHaveLength(expected.size);
        for (const [startUs, list] of expected) {
          const row = found.find((r) => r.startUs === floorTo(startUs, rowUs(bucketUs)))!;
          const slot = (startUs - row.startUs) / bucketUs;
          expect(row.counts[slot]).toBe(list.length);
          expect(row.lags[slot]).toBe(Math.max(...list.map((r) => r.lagUs)));
          for (let axis = 0; axis < AXES; axis++) {
            const values = list.map((r) => r.values[axis]!).filter(Number.isFinite);
            const at = slot * AXES + axis;
            expect(row.finites[at]).toBe(values.length);
            expect(row.mins[at]! + 0).toBe(values.length === 0 ? Number.NaN : Math.min(...values) + 0);
            expect(row.maxs[at]! + 0).toBe(values.length === 0 ? Number.NaN : Math.max(...values) + 0);
            const sum = values.reduce((total, v) => total + v, 0);
            // Of longer buckets the order of adding is another.
            expect(bucketUs > lengths[0]! || Object.is(row.sums[at], sum)).toBe(true);
          }
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('where readings were found by their time, all of them are', () => {
  fc.assert(
    fc.property(fc.array(reading, { minLength: 1, maxLength: 40 }), fc.nat(10_000), (all, stride) => {
      const epoch = newEpoch();
      all.forEach((r, i) => epoch.readings.set(i * (1 + stride), r));
      rollAll(epoch, bounds);
      for (const [seq, { timeUs }] of epoch.readings)
        for (const bucketUs of lengths) {
          const row = epoch.rows.get(rowName({ bucketUs, startUs: floorTo(timeUs, rowUs(bucketUs)) }));
          expect(sizeOf(subtract([{ from: seq, to: seq + 1 }], row!.seqs))).toBe(0);
        }
    }),
    { numRuns: 60 },
  );
});

test('late readings of a bucket whose others were dropped join it; nothing is lost', () => {
  const epoch = newEpoch();
  const at = (timeUs: number, x: number): Reading => ({ timeUs, lagUs: 5, values: [x, Number.NaN] });
  for (let seq = 10; seq < 20; seq++) epoch.readings.set(seq, at(seq * 1000, seq));
  rollAll(epoch, bounds);
  // Retention drops what is stored; then the readings before come, and are stored.
  epoch.readings.clear();
  for (let seq = 0; seq < 5; seq++) epoch.readings.set(seq, at(seq * 1000, -seq));
  rollOne(epoch, { from: 0, to: 5 }, bounds);
  const row = epoch.rows.get(rowName({ bucketUs: 1_000_000, startUs: 0 }))!;
  expect([row.counts[0], row.mins[0], row.maxs[0], row.sums[0]]).toEqual([15, -4, 19, 145 - 10]);
  expect([row.finites[1], row.mins[1]]).toEqual([0, Number.NaN]);
  // ... and the levels above say the same.
  const hour = epoch.rows.get(rowName({ bucketUs: 3_600_000_000, startUs: 0 }))!;
  expect([hour.counts[0], hour.mins[0], hour.maxs[0]]).toEqual([15, -4, 19]);
});

test('what is no longer stored counts as rolled, and changes nothing', () => {
  const epoch = newEpoch();
  rollOne(epoch, { from: 5, to: 9 }, bounds);
  expect(epoch.rolled).toEqual([{ from: 5, to: 9 }]);
  expect(epoch.rows.size).toBe(0);
});

test('a step takes no more readings and rows than its bounds say', () => {
  const far = (seq: number): Reading => ({ timeUs: seq * 3_600_000_000, lagUs: 0, values: [1, 1] });
  const epoch = newEpoch();
  for (let seq = 0; seq < 50; seq++) epoch.readings.set(seq, far(seq));
  rollOne(epoch, { from: 0, to: 50 }, { readings: 1_000, rows: 4 });
  expect(epoch.rolled).toEqual([{ from: 0, to: 4 }]);
  rollOne(epoch, { from: 4, to: 50 }, { readings: 3, rows: 100 });
  expect(epoch.rolled).toEqual([{ from: 0, to: 7 }]);
});
