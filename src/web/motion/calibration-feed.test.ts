import { expect, test } from 'vitest';

import type { BodyModel } from '#contract/motion.ts';
import type { StreamDetail } from '#contract/rest.ts';
import type { LiveFrame } from '#protocol/live-codec.ts';
import { createCalibrationFeed } from '#web/motion/calibration-feed.ts';

const stream = '018f6b1e-0000-7000-8000-000000000001';
const model: BodyModel = {
  heightM: null,
  placements: [
    {
      stream,
      segment: 'pelvis',
      rateHz: 100,
      acc: { axes: [3, 4, 5], scale: 10 },
      gyr: { axes: [0, 1, 2], scale: 0.5 },
      mag: null,
      alignment: { kind: 'from-movement' },
    },
  ],
};
const detail = {
  definition: {
    stream,
    encoding: 'int16',
    scale: [1, 1, 1, 0.1, 0.1, 0.1],
    axes: Array.from({ length: 6 }, (_, i) => ({ name: `a${i}`, unit: '1' })),
  },
} as unknown as StreamDetail;

const frame = (streamId: string, values: readonly number[]): LiveFrame =>
  ({
    streamId,
    count: values.length / 6,
    firstUs: 1_000,
    periodNs: 10_000_000,
    deltasUs: null,
    payload: new Uint8Array(Int16Array.from(values).buffer),
  }) as unknown as LiveFrame;

test('readings of the worn sensors reach the guide in SI, acc before gyr; others are left out', () => {
  const seen: [number, number, number[]][] = [];
  const feed = createCalibrationFeed(
    { update: (placement, timeUs, values) => seen.push([placement, timeUs, [...values]]) > 1 },
    model,
    [detail],
  );
  expect(feed.take([frame('018f6b1e-0000-7000-8000-00000000000f', [1, 2, 3, 4, 5, 6])])).toBe(false);
  expect(feed.take([frame(stream, [2, 4, 6, 10, 20, 30, 8, 8, 8, 0, 0, 10])])).toBe(true);
  expect(seen.map(([placement, timeUs]) => [placement, timeUs])).toEqual([
    [0, 1_000],
    [0, 11_000],
  ]);
  expect(seen[0]![2].map((value) => Math.round(value * 1e5) / 1e5)).toEqual([10, 20, 30, 1, 2, 3]);
});
