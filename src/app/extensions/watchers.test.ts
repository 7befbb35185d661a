import { expect, test } from 'vitest';

import { silentLog } from '#base/log.ts';
import { seededRandom } from '#base/random.ts';
import type { ChannelServices } from '#contract/channel-definition.ts';
import type { WatcherContext } from '#contract/watcher.ts';
import { startWatchers } from '#app/extensions/watchers.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

function start(runs: Record<string, (context: WatcherContext) => Promise<void>>) {
  const clock = createManualClock();
  const watchers = startWatchers({
    extensions: [
      {
        name: 'x',
        summary: 'x',
        watchers: Object.entries(runs).map(([name, run]) => ({ name, summary: name, run })),
      },
    ],
    services: {} as ChannelServices,
    databaseUrl: 'postgres://none',
    clock,
    random: seededRandom(1),
    log: silentLog,
  });
  const starts = (name: string): number => watchers.counters.starts[`x/${name}`] ?? 0;
  return { clock, watchers, starts };
}

const turn = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};
const forever = ({ signal }: WatcherContext): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve()));

test('a watcher that breaks is started again, later each time, and disturbs no other', async () => {
  const { clock, watchers, starts } = start({
    // A throw before the first await must do no more harm than one after it.
    broken: () => {
      throw new Error('a bug');
    },
    fine: forever,
  });
  await turn();
  expect(starts('broken')).toBe(1);
  const counts: number[] = [];
  for (let i = 0; i < 8; i++) {
    for (let step = 0; step < 100; step++) {
      clock.advance(20);
      await turn();
    }
    counts.push(starts('broken'));
  }
  // Two seconds a step: several starts in the first, at most one in the last, when the cap is 30 s.
  expect(counts[0]).toBeGreaterThan(2);
  expect(counts.at(-1)! - counts.at(-2)!).toBeLessThanOrEqual(1);
  expect(watchers.counters).toMatchObject({ running: 1, failures: { 'x/broken': counts.at(-1) } });
  expect(starts('fine')).toBe(1);
  await watchers.stop();
  expect(watchers.counters.running).toBe(0);
  expect(clock.timerCount).toBe(0);
});

test('who ran well for a minute is started again soon', async () => {
  let fail = (): void => undefined;
  const { clock, starts, watchers } = start({
    late: () => new Promise((_resolve, reject) => (fail = () => reject(new Error('lost')))),
  });
  for (let i = 1; i <= 10; i++) {
    await turn();
    expect(starts('late')).toBe(i);
    clock.advance(60_000);
    fail();
    await turn();
    clock.advance(500);
  }
  await turn();
  expect(starts('late')).toBe(11);
  const stopped = watchers.stop();
  fail();
  await stopped;
});

test('a watcher that returns is done', async () => {
  const { clock, starts, watchers } = start({ once: async () => undefined });
  await turn();
  clock.advance(120_000);
  await turn();
  expect(starts('once')).toBe(1);
  expect(watchers.counters).toMatchObject({ running: 0, failures: {} });
});

test('what a watcher left running ends before it is started again', async () => {
  const signals: AbortSignal[] = [];
  const { clock, watchers } = start({
    careless: async ({ signal }) => {
      signals.push(signal);
      throw new Error('a bug');
    },
  });
  await turn();
  expect(signals[0]?.aborted).toBe(true);
  clock.advance(500);
  await turn();
  expect(signals).toHaveLength(2);
  await watchers.stop();
});

test('stopping waits for each to end, and nothing is started any more', async () => {
  let isEnded = false;
  const { clock, starts, watchers } = start({
    slow: async (context) => {
      await forever(context);
      await turn();
      isEnded = true;
      throw new Error('stopped in the middle');
    },
  });
  await turn();
  await watchers.stop();
  expect(isEnded).toBe(true);
  clock.advance(120_000);
  await turn();
  expect(starts('slow')).toBe(1);
  expect(watchers.counters.failures).toEqual({});
});
