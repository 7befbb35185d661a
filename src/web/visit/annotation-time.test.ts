import { expect, test } from 'vitest';

import { offsetOf, sinceStart } from '#web/visit/annotation-time.ts';

test('a time is read as people say it', () => {
  expect(['65', '65,25', '1:05.2', '1:02:03', '', 'soon', '1:', '-3'].map(offsetOf)).toEqual([
    65_000_000,
    65_250_000,
    65_200_000,
    3_723_000_000,
    null,
    Number.NaN,
    Number.NaN,
    Number.NaN,
  ]);
});

test('what is shown of a time can be typed again', () => {
  expect(offsetOf(sinceStart(1_065_200_000, 1_000_000_000))).toBe(65_200_000);
});
