import { expect, test } from 'vitest';

import { metricCatalogue, metricGroups, metricOf } from '#motion/metric-catalogue.ts';

test('no two metrics have the same name or the same words', () => {
  expect(new Set(metricCatalogue.map(({ name }) => name)).size).toBe(metricCatalogue.length);
  expect(new Set(metricCatalogue.map(({ label }) => label)).size).toBe(metricCatalogue.length);
});

test('they stand in the order of their groups', () => {
  const order = metricCatalogue.map(({ group }) => metricGroups.indexOf(group));
  expect(order).toEqual(order.toSorted((a, b) => a - b));
});

test('a known error is that of the sensors in question', () => {
  expect(metricOf('stride-length')!.error).toBeNull();
  const feet = metricOf('stride-length', 'feet')!.error!;
  expect(feet.value).toBeGreaterThan(0);
  expect(metricOf('stride-length', 'lower-back')!.error).not.toEqual(feet);
  expect(metricOf('swing-time-ratio', 'feet')!.error).toBeNull();
});

test('a range of motion is a metric for any angle', () => {
  expect(metricOf('left-knee-range')).toMatchObject({ group: 'angles', unit: 'deg', counted: 'strides' });
  expect(metricOf('knee-flexion-range-robinson-index')).toMatchObject({
    label: 'Knee flexion, range of motion, Robinson index',
    unit: '%',
  });
  expect(metricOf('Knee range')).toBeNull();
});
