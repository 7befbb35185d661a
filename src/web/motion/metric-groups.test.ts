import { expect, test } from 'vitest';

import type { Metric } from '#web/motion/gait-feed.ts';
import { metricSections } from '#web/motion/metric-groups.ts';

const metric = (name: string): Metric => ({
  metric: name,
  label: name,
  side: null,
  value: 1,
  spread: null,
  count: 1,
  unit: '1',
  digits: 0,
  latencyS: null,
  error: null,
  reason: null,
});

test('figures stand in the sections of the catalogue, and none is lost', () => {
  const names = ['turns', 'cadence', 'knee-flexion-range', 'speed', 'of-a-newer-server', 'step-time-ratio'];
  const sections = metricSections(names.map(metric));
  expect(sections.map(({ title, rows }) => [title, rows.map((row) => row.metric)])).toEqual([
    ['Pace', ['cadence', 'speed']],
    ['Symmetry of left and right', ['step-time-ratio']],
    ['Range of motion in a stride', ['knee-flexion-range']],
    ['How much was walked', ['turns', 'of-a-newer-server']],
  ]);
});
