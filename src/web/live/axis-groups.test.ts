import { expect, test } from 'vitest';

import { groupAxes, sideOf } from '#web/live/axis-groups.ts';

const axis = (name: string, unit: string) => ({ name, unit });

test('a six-axis unit has two panels, X Y Z told apart by style', () => {
  const groups = groupAxes([
    ...['acc_x', 'acc_y', 'acc_z'].map((name) => axis(name, 'm/s2')),
    ...['gyr_x', 'gyr_y', 'gyr_z'].map((name) => axis(name, 'deg/s')),
  ]);
  expect(groups.map((group) => [group.title, group.unit])).toEqual([
    ['Acceleration', 'm/s2'],
    ['Angular velocity', 'deg/s'],
  ]);
  expect(groups[1]?.axes).toEqual([
    { axis: 3, label: 'X', style: 'solid' },
    { axis: 4, label: 'Y', style: 'dashed' },
    { axis: 5, label: 'Z', style: 'dotted' },
  ]);
});

test('axes of different units never share a scale', () => {
  const groups = groupAxes([axis('acc_x', 'm/s2'), axis('acc_y', 'g')]);
  expect(groups).toHaveLength(2);
});

test('an axis that is no vector component has a panel and its own name', () => {
  expect(groupAxes([axis('pressure', 'hPa')])).toEqual([
    { title: 'pressure', unit: 'hPa', axes: [{ axis: 0, label: 'pressure', style: 'solid' }] },
  ]);
});

test('a panel has no more lines than styles', () => {
  const groups = groupAxes(Array.from({ length: 6 }, () => axis('flow', 'l/s')));
  expect(groups.map((group) => group.axes.length)).toEqual([4, 2]);
});

test('the side of the body is read from the segment', () => {
  expect(['left-foot', 'foot_l', 'LeftShank', 'left thigh'].map(sideOf)).toEqual(Array(4).fill('left'));
  expect(['right-foot', 'R-wrist'].map(sideOf)).toEqual(['right', 'right']);
  expect(['pelvis', 'lower-back', 'axle', 'clavicle'].map(sideOf)).toEqual(Array(4).fill('centre'));
});
