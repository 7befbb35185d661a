import { expect, test } from 'vitest';

import type { Visit } from '#contract/visit.ts';
import { isChanged, placementRows, placementsOf } from '#web/visit/placement-rows.ts';

const visit = {
  protocol: {
    id: 'p',
    revision: 1,
    name: 'Walk',
    tasks: [],
    segments: [
      { segment: 'left-foot', isRequired: true },
      { segment: 'right-foot', isRequired: true },
      { segment: 'lower-back', isRequired: false },
    ],
  },
  placements: [{ deviceId: 'a', segment: 'right-foot' }],
} as unknown as Pick<Visit, 'protocol' | 'placements'>;

test('what the protocol asks for stands below what is assigned', () => {
  const rows = placementRows(visit);
  expect(rows.map(({ segment, deviceId, isRequired }) => [segment, deviceId, isRequired])).toEqual([
    ['right-foot', 'a', true],
    ['left-foot', '', true],
    ['lower-back', '', false],
  ]);
  expect(isChanged(rows, visit)).toBe(false);
});

test('a row without a sensor is not assigned', () => {
  const rows = placementRows(visit).map((row) =>
    row.segment === 'left-foot' ? { ...row, deviceId: 'b' } : row,
  );
  expect(placementsOf(rows)).toEqual([
    { deviceId: 'a', segment: 'right-foot' },
    { deviceId: 'b', segment: 'left-foot' },
  ]);
  expect(isChanged(rows, visit)).toBe(true);
});
