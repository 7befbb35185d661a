import { expect, test } from 'vitest';

import { createScheduler, createSimulatedClock } from '#test/simulation/scheduler.ts';

test('events run in the order of their time, then of asking, and promises are heard between them', async () => {
  const scheduler = createScheduler(1);
  const seen: string[] = [];
  scheduler.after(5, null, () => seen.push('third'));
  scheduler.after(1, null, () => {
    seen.push('first');
    void Promise.resolve()
      .then(() => undefined)
      .then(() => seen.push('heard'));
  });
  scheduler.after(1, null, () => seen.push('second'));
  scheduler.after(2, null, () => seen.push('cancelled'))();
  await scheduler.run(10);
  expect(seen).toEqual(['first', 'heard', 'second', 'third']);
  expect(scheduler.nowMs).toBe(10);
});

test('a dead process does nothing any more, a stopped one does it late and in order', async () => {
  const scheduler = createScheduler(1);
  const [dead, stopped] = [scheduler.process('dead'), scheduler.process('stopped')];
  const seen: [string, number][] = [];
  const note = (name: string) => () => seen.push([name, scheduler.nowMs]);
  scheduler.after(1, dead, note('dead'));
  scheduler.after(1, stopped, note('one'));
  scheduler.after(2, stopped, note('two'));
  dead.kill();
  stopped.stop();
  scheduler.after(4, null, () => stopped.resume());
  await scheduler.run(10);
  expect(seen).toEqual([
    ['one', 4],
    ['two', 4],
  ]);
});

test('what an event throws ends the run', async () => {
  const scheduler = createScheduler(1);
  scheduler.after(1, null, () => {
    throw new Error('broken');
  });
  await expect(scheduler.run(10)).rejects.toThrow('broken');
});

test('ten thousand events leave the queue in order', async () => {
  const scheduler = createScheduler(7);
  let last = 0;
  let isOrdered = true;
  for (let i = 0; i < 10_000; i++)
    scheduler.after(scheduler.random.next() * 1000, null, () => {
      isOrdered &&= scheduler.nowMs >= last;
      last = scheduler.nowMs;
    });
  await scheduler.run(1000);
  expect([isOrdered, scheduler.events]).toEqual([true, 10_000]);
});

test('a clock jumps on the wall only, and drifts in both', async () => {
  const scheduler = createScheduler(1);
  const clock = createSimulatedClock(scheduler, 1_000_000, () => null);
  await scheduler.run(1000);
  clock.jump(5000);
  expect([clock.nowUs(), clock.monotonicMs()]).toEqual([7_000_000, 1000]);
  clock.setDrift(100_000);
  let firedMs = 0;
  clock.after(110, () => {
    firedMs = scheduler.nowMs;
  });
  await scheduler.run(2000);
  expect(clock.monotonicMs()).toBeCloseTo(2100, 6);
  expect(firedMs).toBeCloseTo(1100, 3);
});
