import { expect, test } from 'vitest';

import { angleGroups, chooseGroup } from '#web/motion/angle-groups.ts';

const walker = [
  'left-hip-flexion',
  'left-hip-adduction',
  'left-hip-internal-rotation',
  'right-hip-flexion',
  'right-hip-adduction',
  'right-hip-internal-rotation',
  'left-knee-flexion',
  'right-knee-flexion',
  'left-ankle-dorsiflexion',
  'right-ankle-dorsiflexion',
  'left-foot-pitch',
  'right-foot-pitch',
  'pelvis-tilt',
];

test('hip, knee and ankle come first, left and right in one curve', () => {
  const groups = angleGroups(walker);
  expect(groups.map(({ id, label }) => [id, label])).toEqual([
    ['legs', 'Hip, knee, ankle: flexion'],
    ['legs-sideways', 'Hip: sideways'],
    ['legs-rotation', 'Hip: rotation'],
    ['body', 'Foot, pelvis: flexion'],
  ]);
  expect(groups[0]!.curves[1]).toEqual({
    key: 'knee-flexion',
    label: 'Knee flexion',
    lines: [
      { side: 'left', column: 6 },
      { side: 'right', column: 7 },
    ],
  });
  expect(groups[3]!.curves[1]!.lines).toEqual([{ side: 'centre', column: 12 }]);
});

test('every column is in exactly one group, also those that nobody expected', () => {
  const names = [...walker, 'left-toe-wiggle', 'a', 'b', 'c', 'd', 'e'];
  const columns = angleGroups(names).flatMap(({ curves }) =>
    curves.flatMap(({ lines }) => lines.map((l) => l.column)),
  );
  expect(columns.toSorted((a, b) => a - b)).toEqual(names.map((_, i) => i));
});

test('an address chooses a group; one that is not there is the first', () => {
  const groups = angleGroups(walker);
  expect(chooseGroup(groups, 'body')?.id).toBe('body');
  expect(chooseGroup(groups, 'arms')?.id).toBe('legs');
  expect(chooseGroup([], 'legs')).toBe(null);
});
