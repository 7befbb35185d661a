import { expect, test } from 'vitest';

import { mayBridge } from '#motion/bridged-holes.ts';
import { createBodyTracker } from '#motion/joints/body-tracker.ts';
import type { BodyModel } from '#motion/body-model.ts';
import { createSessionMotion } from '#motion/session-motion.ts';

test('holes up to a second are bridged as long as most readings come', () => {
  const debts = new Float64Array(1);
  const hole = (missing: number): boolean => mayBridge(debts, 0, { missing, rateHz: 100 });
  expect(hole(100)).toBe(true);
  expect(hole(100)).toBe(false);
  for (let i = 0; i < 24; i++) hole(0);
  expect(hole(100)).toBe(true);
  for (let i = 0; i < 1_000; i++) expect(i < 25 || hole(4)).toBe(true);
});

test('a stream that sends far less than it claims costs what it sends', () => {
  const model: BodyModel = {
    heightM: null,
    placements: [
      {
        stream: 's',
        segment: 'left-foot',
        rateHz: 2_000,
        acc: { axes: [0, 1, 2], scale: 1 },
        gyr: { axes: [3, 4, 5], scale: 1 },
        mag: null,
        alignment: { kind: 'aligned' },
      },
    ],
  };
  const count = 5_000;
  const timesUs = Float64Array.from({ length: count }, (_, i) => i * 990_000);
  const values = Float32Array.from({ length: 6 * count }, (_, i) => (i % 6 === 2 ? 9.81 : 0));
  const chain = createSessionMotion(model);
  const tracker = createBodyTracker(model);
  const before = process.cpuUsage();
  chain.push(0, { timesUs, values, axes: 6, count });
  chain.advance(Number.POSITIVE_INFINITY);
  const reading = Float64Array.from(values.subarray(0, 9));
  for (let i = 0; i < count; i++) tracker.update(0, timesUs[i]!, reading, 0);
  const { user, system } = process.cpuUsage(before);
  expect(chain.counters.readings).toBe(count);
  // Bridged, these are 20 million readings: 20 s and more.
  expect(user + system).toBeLessThan(3e6);
});
