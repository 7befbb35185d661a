/** Sensors that are not where the body model says are told, and those that are give no false alarm. */

import { beforeAll, expect, test } from 'vitest';

import { defaultBodyModel } from '#motion/default-body-model.ts';
import type { Segment } from '#motion/body-model.ts';
import { createSessionMotion } from '#motion/session-motion.ts';
import { typicalErrors } from '#simulator/sensor-errors.ts';
import { createSyntheticWalker, walkerOfSeed } from '#simulator/synthetic-walker.ts';
import { walkerSegments } from '#simulator/walker-body.ts';
import { createWalkerTable, walkerSource, type WalkerTable } from '#simulator/walker-source.ts';

const RATE_HZ = 100;
const SECONDS = 45;

let tables: WalkerTable[];
beforeAll(() => {
  tables = [1, 5].map((seed) =>
    createWalkerTable(createSyntheticWalker(walkerOfSeed(seed, { rateHz: RATE_HZ }))),
  );
});

const other = (segment: string): string =>
  segment.replace(/left|right/, (side) => (side === 'left' ? 'right' : 'left'));

/** Notices about places when the sensor called `segment` is really on `worn(segment)`. */
function noticesOf(table: WalkerTable, worn: (segment: Segment) => string): string[] {
  const sources = walkerSegments.map((segment, i) =>
    walkerSource(table, { segment, firstRow: 0, errors: { model: typicalErrors, seed: i } }),
  );
  const model = defaultBodyModel(
    sources.map(({ definition }) => ({ id: definition.segment, ...definition, synthetic: true })),
  );
  const chain = createSessionMotion(model);
  const count = 10 * RATE_HZ;
  const values = new Float32Array(count * 6);
  const codes: string[] = [];
  for (let from = 0; from < SECONDS * RATE_HZ; from += count) {
    for (const [p, { segment }] of model.placements.entries()) {
      sources.find(({ definition }) => definition.segment === worn(segment))!.fill(from, count, values);
      const timesUs = Float64Array.from({ length: count }, (_, i) => (from + i) * (1e6 / RATE_HZ));
      chain.push(p, { timesUs, values, axes: 6, count });
    }
    chain.advance((from + count) * (1e6 / RATE_HZ));
    codes.push(...chain.take().notices.map(({ code, segment }) => `${code} ${segment ?? ''}`.trim()));
  }
  return codes.filter((code) => /^(?:other-leg|mixed-segments|swapped-sides)/.test(code)).toSorted();
}

test('sensors where they should be are not complained of', () => {
  for (const table of tables) expect(noticesOf(table, (segment) => segment)).toEqual([]);
});

test('a shank called that of the other leg is told, on both legs', () => {
  for (const table of tables)
    expect(noticesOf(table, (one) => (one.endsWith('shank') ? other(one) : one))).toEqual([
      'other-leg left-shank',
      'other-leg right-shank',
    ]);
});

test('thigh and shank exchanged are told', () => {
  const exchanged: Record<string, string> = { 'left-thigh': 'left-shank', 'left-shank': 'left-thigh' };
  for (const table of tables)
    expect(noticesOf(table, (one) => exchanged[one] ?? one)).toEqual(['mixed-segments left-shank']);
});

test('all sensors of the legs on the other side are told by the sway of the pelvis', () => {
  for (const table of tables) expect(noticesOf(table, other)).toEqual(['swapped-sides']);
});
