import { expect, test } from 'vitest';

import { firstBarAt, stanceBars, type StepContact } from '#web/motion/stance-bars.ts';

const at = (seconds: number, kind: 'initial' | 'final', side: 'left' | 'right' = 'left'): StepContact => ({
  side,
  kind,
  timeUs: seconds * 1e6,
});
const spans = (contacts: StepContact[]) =>
  stanceBars(contacts, 'left').map(({ fromUs, toUs }) =>
    [fromUs, toUs].map((us) => (us === null ? null : us / 1e6)),
  );

test('from initial to final contact the foot is on the ground', () => {
  expect(
    spans([
      at(2, 'final'),
      at(1, 'initial'),
      at(2.5, 'initial', 'right'),
      at(3, 'initial'),
      at(3.6, 'final'),
    ]),
  ).toEqual([
    [1, 2],
    [3, 3.6],
  ]);
});

test('a contact without its other is kept by itself', () => {
  expect(
    spans([at(0.5, 'final'), at(1, 'initial'), at(2, 'initial'), at(2.6, 'final'), at(9, 'initial')]),
  ).toEqual([
    [null, 0.5],
    [1, null],
    [2, 2.6],
    [9, null],
  ]);
});

test('standing is no stance of a step', () => {
  expect(spans([at(1, 'initial'), at(5, 'final')])).toEqual([
    [1, null],
    [null, 5],
  ]);
});

test('what is in sight is found by time', () => {
  const bars = stanceBars([at(1, 'initial'), at(2, 'final'), at(3, 'initial'), at(4, 'final')], 'left');
  expect([0, 1.5e6, 2e6, 2.1e6, 5e6].map((us) => firstBarAt(bars, us))).toEqual([0, 0, 0, 1, 2]);
});
