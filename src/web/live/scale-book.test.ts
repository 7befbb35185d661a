import { expect, test } from 'vitest';

import type { StreamDefinition } from '#protocol/messages.ts';
import { groupAxes } from '#web/live/axis-groups.ts';
import { createScaleBook } from '#web/live/scale-book.ts';

const axes = [
  { name: 'acc_x', unit: 'm/s2' },
  { name: 'gyr_x', unit: 'deg/s' },
];
const stream = (segment: string, sensor = 'imu'): StreamDefinition => ({
  stream: '',
  session: '',
  segment,
  sensor,
  axes,
  rateHz: 200,
  encoding: 'float32',
  clock: 'device',
});
const [acc, gyr] = groupAxes(axes);

test('left and right of one part of the body share a scale', () => {
  const book = createScaleBook();
  const left = book.trackerFor(stream('left-foot'), acc!);
  expect(book.trackerFor(stream('right-foot'), acc!)).toBe(left);
  left.add(170);
  expect(book.trackerFor(stream('foot_r'), acc!).range.high).toBe(200);
});

test('other parts, other quantities and other sensors have their own', () => {
  const book = createScaleBook();
  const all = [
    book.trackerFor(stream('left-foot'), acc!),
    book.trackerFor(stream('left-foot'), gyr!),
    book.trackerFor(stream('left-shank'), acc!),
    book.trackerFor(stream('left-foot', 'insole'), acc!),
  ];
  expect(new Set(all).size).toBe(4);
});
