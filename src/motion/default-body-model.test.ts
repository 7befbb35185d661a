import { expect, test } from 'vitest';

import { defaultBodyModel, type StreamDescription } from '#motion/default-body-model.ts';

const axesOf = (...groups: readonly (readonly [string, string])[]): StreamDescription['axes'] =>
  groups.flatMap(([quantity, unit]) =>
    ['x', 'y', 'z'].map((axis) => ({ name: `${quantity}_${axis}`, unit })),
  );
const imu = axesOf(['acc', 'm/s2'], ['gyr', 'deg/s']);
const stream = (id: string, segment: string, over: Partial<StreamDescription> = {}): StreamDescription => ({
  id,
  segment,
  axes: imu,
  rateHz: 200,
  ...over,
});
const segmentsOf = (...streams: readonly StreamDescription[]): string[] =>
  defaultBodyModel(streams).placements.map(({ segment }) => segment);

test('axes are found by name in any order, and units become m/s2, rad/s and uT', () => {
  const axes = axesOf(['mag', 'mT'], ['gyr', 'rad/s'], ['acc', 'g']).toReversed();
  expect(defaultBodyModel([stream('a', 'left-foot', { axes, rateHz: 100 })])).toEqual({
    heightM: null,
    placements: [
      {
        stream: 'a',
        segment: 'left-foot',
        rateHz: 100,
        acc: { axes: [2, 1, 0], scale: 9.80665 },
        gyr: { axes: [5, 4, 3], scale: 1 },
        mag: { axes: [8, 7, 6], scale: 1_000 },
        alignment: { kind: 'from-movement' },
      },
    ],
  });
  expect(defaultBodyModel([stream('a', 'pelvis')]).placements[0]).toMatchObject({
    gyr: { scale: Math.PI / 180 },
    mag: null,
  });
});

test('axes are found in any usual spelling', () => {
  const axes = ['accel-x', 'ACC Y', 'accz', 'Gyro_X', 'gyr.y', 'gyroscope_z'].map((name, i) => ({
    name,
    unit: i < 3 ? 'g' : 'dps',
  }));
  expect(segmentsOf(stream('a', 'left-foot', { axes }))).toEqual(['left-foot']);
  const unlike = axes.map((axis, i) => (i === 0 ? { ...axis, name: 'accuracy_x' } : axis));
  expect(segmentsOf(stream('a', 'left-foot', { axes: unlike }))).toEqual([]);
});

test('segments are found in any usual spelling', () => {
  const names = ['Left Foot', 'foot_right', 'LUMBAR', 'sternum', 'left-upper-arm'];
  expect(segmentsOf(...names.map((name, i) => stream(String(i), name)))).toEqual([
    'left-foot',
    'right-foot',
    'lower-back',
    'thorax',
    'left-upper-arm',
  ]);
});

test('what leaves anything open is left out', () => {
  const mixed = imu.map((axis, i) => (i === 1 ? { ...axis, unit: 'g' } : axis));
  expect(
    segmentsOf(
      stream('a', 'foot'),
      stream('b', 'left-foot', { axes: axesOf(['acc', 'm/s2']) }),
      stream('c', 'left-foot', { axes: axesOf(['acc', 'counts'], ['gyr', 'deg/s']) }),
      stream('d', 'left-foot', { axes: axesOf(['acc', 'toString'], ['gyr', 'deg/s']) }),
      stream('e', 'left-foot', { axes: mixed }),
      stream('f', 'left-foot', { clock: 'none' }),
      stream('g', 'left-foot', { rateHz: 10 }),
    ),
  ).toEqual([]);
});

test('of two sensors on a segment the first by id counts, whatever the order they are given in', () => {
  const [a, b] = [stream('a', 'left-foot'), stream('b', 'left_foot')];
  for (const given of [
    [a, b],
    [b, a],
  ])
    expect(defaultBodyModel(given).placements.map((one) => one.stream)).toEqual(['a']);
});

test('the sensors of a synthetic wearer sit as their segments', () => {
  const [placement] = defaultBodyModel([stream('a', 'pelvis', { synthetic: true })]).placements;
  expect(placement?.alignment).toEqual({ kind: 'aligned' });
});
