import { expect, test } from 'vitest';

import { createPublicationCheck } from '#test/torture/channels/publication-check.ts';

function reader() {
  const check = createPublicationCheck();
  const one = check.reader('s', 'room');
  one.subscribed({ epoch: 'e', offset: 5 }, null);
  return { check, one };
}

test('each once and in order is right, over reconnections and told gaps', () => {
  const { check, one } = reader();
  one.saw('e', 6, 1);
  one.subscribed({ epoch: 'e', offset: 6 }, true);
  one.saw('e', 7, 2);
  one.subscribed({ epoch: 'e', offset: 9 }, false);
  one.saw('e', 10, 5);
  one.reset({ epoch: 'f', offset: 0 });
  one.saw('f', 1, 6);
  check.acknowledged('room', { epoch: 'e', offset: 7 }, 2);
  expect(check.violations).toEqual([]);
  expect(check.counts).toEqual({ acknowledged: 1, delivered: 4, gaps: 2, resumptions: 2 });
  expect(one.position).toEqual({ epoch: 'f', offset: 1 });
});

test.each([
  ['doubled', (one: ReturnType<typeof reader>['one']) => one.saw('e', 5, 1)],
  ['skipped', (one: ReturnType<typeof reader>['one']) => one.saw('e', 7, 1)],
  ['of another epoch', (one: ReturnType<typeof reader>['one']) => one.saw('f', 6, 1)],
  ['moved', (one: ReturnType<typeof reader>['one']) => one.subscribed({ epoch: 'e', offset: 6 }, true)],
])('what is %s without a word is found', (_, act) => {
  const { check, one } = reader();
  act(one);
  expect(check.violations).toHaveLength(1);
});

test('another number at the same offset is found, also far out', () => {
  const { check, one } = reader();
  one.saw('e', 6, 1);
  check.acknowledged('room', { epoch: 'e', offset: 6 }, 2);
  check.acknowledged('room', { epoch: 'e', offset: 1_000_000 }, 3);
  check.acknowledged('room', { epoch: 'e', offset: 1_000_000 }, 4);
  check.acknowledged('other', { epoch: 'e', offset: 6 }, 9);
  expect(check.violations).toHaveLength(2);
});

test('a number that was published twice is found, and in another epoch is none', () => {
  const { check, one } = reader();
  one.saw('e', 6, 1);
  one.saw('e', 7, 1);
  check.acknowledged('room', { epoch: 'f', offset: 1 }, 1);
  expect(check.violations).toEqual(['room: 1 is published at 7 and at 6 of e']);
});
