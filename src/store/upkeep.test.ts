import { expect, test } from 'vitest';

import { silentLog } from '#base/log.ts';
import { createUpkeep, type UpkeepTask } from '#store/upkeep.ts';
import { createManualClock, type ManualClock } from '#test/support/manual-clock.ts';

interface Scripted extends UpkeepTask {
  /** Monotonic times at which steps began. */
  readonly startedMs: number[];
}

/** A task whose steps take `tookMs` and end as `outcomes` says, one after the other; the last one for ever. */
function scripted(
  clock: ManualClock,
  row: {
    name: string;
    everyMs?: number;
    tookMs?: number;
    outcomes: readonly ('idle' | 'more' | 'failed')[];
  },
): Scripted {
  const startedMs: number[] = [];
  return {
    name: row.name,
    everyMs: row.everyMs ?? 1_000,
    startedMs,
    counters: { done: 7 },
    async step() {
      startedMs.push(clock.monotonicMs());
      clock.burn(row.tookMs ?? 0);
      const outcome = row.outcomes[startedMs.length - 1] ?? row.outcomes.at(-1)!;
      if (outcome === 'failed') throw new Error('scripted');
      return outcome;
    },
  };
}

function upkeepOf(clock: ManualClock, ...tasks: UpkeepTask[]) {
  return createUpkeep({ writerUrl: 'postgres://nobody@127.0.0.1:1/none', tasks, clock, log: silentLog });
}

/** Lets promises settle between timers. */
async function run(clock: ManualClock, ms: number, stepMs = 10): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    clock.advance(stepMs);
    for (let i = 0; i < 10; i++) await Promise.resolve();
  }
}

test('a task that found nothing rests for its pause', async () => {
  const clock = createManualClock();
  const task = scripted(clock, { name: 'seal', everyMs: 1_000, outcomes: ['idle'] });
  upkeepOf(clock, task).start();
  await run(clock, 3_050);
  expect(task.startedMs.map((at) => Math.round(at / 100))).toEqual([0, 10, 20, 30]);
});

test('a task with more to do takes a quarter of the time at most', async () => {
  const clock = createManualClock();
  const task = scripted(clock, { name: 'seal', tookMs: 100, outcomes: ['more'] });
  upkeepOf(clock, task).start();
  await run(clock, 4_000);
  for (let i = 1; i < task.startedMs.length; i++)
    expect(task.startedMs[i]! - task.startedMs[i - 1]!).toBeGreaterThanOrEqual(400);
  expect(task.startedMs.length).toBeGreaterThan(5);
});

test('a task that always has more does not starve another', async () => {
  const clock = createManualClock();
  const busy = scripted(clock, { name: 'busy', tookMs: 50, outcomes: ['more'] });
  const other = scripted(clock, { name: 'other', everyMs: 500, outcomes: ['idle'] });
  upkeepOf(clock, busy, other).start();
  await run(clock, 5_000);
  expect(other.startedMs.length).toBeGreaterThanOrEqual(5);
});

test('a failing task is tried again, ever more rarely, and counted; others go on', async () => {
  const clock = createManualClock();
  const failing = scripted(clock, { name: 'failing', outcomes: ['failed'] });
  const other = scripted(clock, { name: 'other', everyMs: 1_000, outcomes: ['idle'] });
  const upkeep = upkeepOf(clock, failing, other);
  upkeep.start();
  await run(clock, 8_000);
  expect(failing.startedMs.map((at) => Math.round(at / 1000))).toEqual([0, 1, 3, 7]);
  expect(other.startedMs.length).toBeGreaterThan(6);
  expect(upkeep.counters.failures).toEqual({ failing: 4, other: 0 });
  expect(upkeep.counters.tasks).toEqual({ failing_done: 7, other_done: 7 });
});

test('stopping aborts the step under way, waits for it, and starts none after it', async () => {
  const clock = createManualClock();
  let seen: AbortSignal | undefined;
  const underWay = Promise.withResolvers<'more'>();
  let steps = 0;
  const task: UpkeepTask = {
    name: 'long',
    everyMs: 0,
    counters: {},
    step(_db, signal) {
      steps++;
      seen = signal;
      return underWay.promise;
    },
  };
  const upkeep = upkeepOf(clock, task);
  upkeep.start();
  clock.advance(1);
  let isStopped = false;
  const stopped = upkeep.stop().then(() => (isStopped = true));
  await run(clock, 1_000);
  expect(seen?.aborted).toBe(true);
  expect(isStopped).toBe(false);
  underWay.resolve('more');
  await stopped;
  await run(clock, 10_000);
  expect(steps).toBe(1);
});
