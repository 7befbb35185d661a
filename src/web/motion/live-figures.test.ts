import { expect, test } from 'vitest';

import type { Metric } from '#web/motion/gait-feed.ts';
import { liveFigures } from '#web/motion/live-figures.ts';

const metric = (name: string, side: 'left' | 'right' | null): Metric => ({
  metric: name,
  label: name,
  side,
  value: 1,
  spread: null,
  count: 3,
  unit: '1',
  digits: 0,
  latencyS: null,
  error: null,
  reason: null,
});

test('the rows are the same before anything is known', () => {
  const before = liveFigures([]);
  const after = liveFigures([metric('stride-length', 'left'), metric('of-a-newer-server', null)]);
  expect(after.map((row) => row.metric)).toEqual(before.map((row) => row.metric));
  expect(before[0]).toMatchObject({
    label: 'Walking speed',
    unit: 'm/s',
    both: { text: '–', hasValue: false },
  });
});

test('cadence is one figure, a length is one of each side', () => {
  const sides = (name: string): Metric[] => [metric(name, null), metric(name, 'left'), metric(name, 'right')];
  const rows = liveFigures([...sides('cadence'), ...sides('stride-length')]);
  const of = (name: string) => rows.find((row) => row.metric === name)!;
  expect([of('cadence').left, of('cadence').both?.text]).toEqual([null, '1']);
  expect([of('stride-length').left?.text, of('stride-length').right?.text]).toEqual(['1', '1']);
});
