import { expect, test } from 'vitest';

import { createWindowFollower } from '#api/window-follower.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

function following() {
  const clock = createManualClock();
  const newest = new Map<string, number>();
  let looks = 0;
  const follower = createWindowFollower(
    {
      async newest(orgId) {
        looks++;
        return newest.get(orgId) ?? 0;
      },
    },
    clock,
  );
  const gone = new AbortController();
  const waits: { readonly orgId: string; isOver: boolean }[] = [];
  return {
    newest,
    follower,
    waits,
    gone,
    looks: () => looks,
    wait(orgId: string, from: number, waitMs: number): void {
      const one = { orgId, isOver: false };
      waits.push(one);
      void follower.wait(orgId, from, { waitMs, gone: gone.signal }).then(() => {
        one.isOver = true;
      });
    },
    async pass(ms: number): Promise<void> {
      clock.advance(ms);
      // What was looked up is told in later turns.
      for (let i = 0; i < 8; i++) await Promise.resolve();
    },
  };
}

test('one look wakes all of an organisation in which something changed, and nobody else', async () => {
  const { newest, waits, wait, pass, looks } = following();
  for (const orgId of ['a', 'a', 'b']) wait(orgId, 0, 10_000);
  await pass(500);
  expect(looks()).toBe(2);
  newest.set('a', 1);
  await pass(500);
  expect(waits.map(({ isOver }) => isOver)).toEqual([true, true, false]);
});

test('a wait ends in time, and when the server stops', async () => {
  const { follower, waits, wait, pass } = following();
  wait('a', 0, 1_200);
  wait('a', 0, 20_000);
  await pass(1_200);
  expect(waits.map(({ isOver }) => isOver)).toEqual([true, false]);
  follower.stop();
  await pass(0);
  expect(waits[1]?.isOver).toBe(true);
  wait('a', 0, 20_000);
  await pass(0);
  expect(waits[2]?.isOver).toBe(true);
});

test('a restored database, whose numbers are smaller, ends waits too', async () => {
  const { newest, waits, wait, pass } = following();
  newest.set('a', 3);
  wait('a', 90, 20_000);
  await pass(500);
  expect(waits[0]?.isOver).toBe(true);
});

test('more than may wait are sent away, first those of an organisation that has many, until some have gone', async () => {
  const { follower, wait, gone, waits, pass } = following();
  const another = { waitMs: 20_000, gone: new AbortController().signal };
  for (let i = 0; i < 64; i++) wait('a', 0, 20_000);
  expect(() => follower.wait('a', 0, another)).toThrow(/at most 64/);
  for (const orgId of ['b', 'c', 'd']) for (let i = 0; i < 64; i++) wait(orgId, 0, 20_000);
  expect(() => follower.wait('e', 0, another)).toThrow(/too many wait/);
  gone.abort();
  await pass(0);
  expect(waits.every(({ isOver }) => isOver)).toBe(true);
  void follower.wait('e', 0, another);
  follower.stop();
});
