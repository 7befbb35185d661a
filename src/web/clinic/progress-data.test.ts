import { expect, test } from 'vitest';

import type { Figure } from '#contract/clinic.ts';
import {
  progressPoints,
  progressRange,
  progressSeries,
  type ProgressSession,
} from '#web/clinic/progress-data.ts';

const figure = (side: Figure['side'], value: number | null, error?: number): Figure => ({
  metric: 'stride-length',
  side,
  value,
  sd: null,
  n: 10,
  ...(error === undefined ? {} : { error }),
});

const session = (day: number, figures: Figure[]): ProgressSession => ({
  session: `session ${day}`,
  startedAt: `2026-05-0${day}T10:00:00.000Z`,
  durationS: 60,
  algorithm: 'gait',
  algorithmVersion: '1',
  figures,
});

const newestFirst = [
  session(3, [figure('left', 1.3, 0.02), figure('right', 1.2)]),
  session(2, [{ ...figure('left', 9), metric: 'speed' }]),
  session(1, [figure('left', 1.1, 0.02)]),
];

test('sessions are drawn from the oldest to the newest, and one without the figure is a gap', () => {
  const points = progressPoints(newestFirst, 'stride-length');
  expect(points.map((point) => point.session)).toEqual(['session 1', 'session 2', 'session 3']);
  expect(progressSeries(points)).toEqual([
    { side: 'left', values: [1.1, null, 1.3], errors: [0.02, null, 0.02] },
    { side: 'right', values: [null, null, 1.2], errors: [null, null, null] },
  ]);
});

test('the scale holds every value with its whisker', () => {
  const [least, most] = progressRange(progressSeries(progressPoints(newestFirst, 'stride-length')))!;
  expect(least).toBeCloseTo(1.08 - 0.024, 9);
  expect(most).toBeCloseTo(1.32 + 0.024, 9);
});

test('a single value has a scale around it, and none has no scale', () => {
  const only = progressSeries(progressPoints([session(1, [figure(null, 100)])], 'stride-length'));
  expect(progressRange(only)).toEqual([90, 110]);
  expect(progressRange([])).toBeNull();
});
