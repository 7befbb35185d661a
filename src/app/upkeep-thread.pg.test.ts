import { readdirSync, readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { silentLog } from '#base/log.ts';
import { systemClock } from '#base/clock.ts';
import { startUpkeepThread } from '#app/upkeep-thread.ts';
import { openPools } from '#store/pools.ts';
import { createTestDatabase } from '#test/support/database.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

test('the thread does its work, tells of it, and ends when told', async () => {
  const database = await createTestDatabase();
  const pools = await openPools(database.ownerUrl);
  const upkeep = startUpkeepThread(
    { writerUrl: pools.writerUrl, logLevel: 'silent' },
    { clock: systemClock, log: silentLog },
  );
  await expect
    .poll(() => Object.keys(upkeep.counters.steps).toSorted(), { timeout: 20_000 })
    .toEqual(['partitions', 'retention', 'rollup', 'seal', 'windows']);
  await expect.poll(() => upkeep.counters.steps['partitions'], { timeout: 20_000 }).toBeGreaterThan(0);
  // The tests run on Linux, where it gives way to the thread that serves devices.
  expect(nicenessOfThreads()).toContain(5);
  await upkeep.stop();
  expect(upkeep.counters.failures).toEqual({ partitions: 0, retention: 0, rollup: 0, seal: 0, windows: 0 });
  expect(upkeep.deaths).toBe(0);
  await pools.close();
  await database.drop();
});

/** proc(5), /proc/PID/task/TID/stat: the 19th field; the name before may hold blanks and is in brackets. */
function nicenessOfThreads(): number[] {
  return readdirSync('/proc/self/task').map((id) => {
    const text = readFileSync(`/proc/self/task/${id}/stat`, 'latin1');
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[16]);
  });
}

test('a thread that dies is started again after a while, and is counted; stopping does not wait for it', async () => {
  const clock = createManualClock();
  const told: string[] = [];
  const log = { ...silentLog, error: (message: string) => void told.push(message) };
  // No level of that name: it dies before it begins.
  const upkeep = startUpkeepThread(
    { writerUrl: 'postgres://x@127.0.0.1:1/x', logLevel: 'loud' },
    { clock, log },
  );
  await expect.poll(() => upkeep.deaths, { timeout: 20_000 }).toBe(1);
  clock.advance(4_999);
  // That of the watch, and that after which it is started again.
  expect(clock.timerCount).toBe(2);
  clock.advance(1);
  await expect.poll(() => upkeep.deaths, { timeout: 20_000 }).toBe(2);
  expect(told).toEqual(Array(2).fill('the thread of background work died'));
  await upkeep.stop();
});
