import { expect, test } from 'vitest';

import { createLifecycle } from '#app/lifecycle.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

function setUp() {
  const clock = createManualClock();
  const stopped: string[] = [];
  const problems: string[] = [];
  const note = (message: string, fields: Record<string, unknown> = {}): void =>
    void problems.push(`${message}: ${String(fields['part'])}`);
  const log = { debug: () => undefined, info: () => undefined, warn: note, error: note };
  const lifecycle = createLifecycle(clock, log);
  return {
    clock,
    stopped,
    problems,
    lifecycle,
    add: (name: string) => lifecycle.add(name, () => void stopped.push(name)),
  };
}

/** Lets everything that only waits for promises happen. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

test('parts stop in the opposite order of their start, each after the one before', async () => {
  const { stopped, lifecycle, add } = setUp();
  add('database');
  let release = (): void => undefined;
  lifecycle.add('writer', () => new Promise((resolve) => (release = resolve)));
  add('listener');
  const end = lifecycle.stop();
  await turns();
  expect(stopped).toEqual(['listener']);
  release();
  await end;
  expect(stopped).toEqual(['listener', 'database']);
});

test('stopping again waits for the same end and stops nothing twice', async () => {
  const { stopped, lifecycle, add } = setUp();
  add('a');
  expect(lifecycle.isStopping).toBe(false);
  await Promise.all([lifecycle.stop(), lifecycle.stop()]);
  expect(lifecycle.isStopping).toBe(true);
  await lifecycle.stop();
  expect(stopped).toEqual(['a']);
});

test('a part that hangs costs its limit and no more', async () => {
  const { clock, stopped, problems, lifecycle, add } = setUp();
  add('database');
  lifecycle.add('stuck', () => new Promise(() => undefined), 3_000);
  const end = lifecycle.stop();
  await turns();
  clock.advance(2_999);
  await turns();
  expect(stopped).toEqual([]);
  clock.advance(1);
  await end;
  expect(stopped).toEqual(['database']);
  expect(problems).toEqual(['a part did not stop in time: stuck']);
});

test('a part that fails, at once or later, does not keep the others from stopping', async () => {
  const { clock, stopped, problems, lifecycle, add } = setUp();
  add('database');
  lifecycle.add('throws', () => {
    throw new Error('at once');
  });
  lifecycle.add('rejects', () => Promise.reject(new Error('later')));
  await lifecycle.stop();
  expect(stopped).toEqual(['database']);
  expect(problems).toEqual(['a part failed to stop: rejects', 'a part failed to stop: throws']);
  expect(clock.timerCount).toBe(0);
});

test('a part added while others are being stopped is stopped too, and waited for', async () => {
  const { stopped, lifecycle, add } = setUp();
  add('database');
  let release = (): void => undefined;
  lifecycle.add('writer', () => new Promise((resolve) => (release = resolve)));
  const end = lifecycle.stop();
  await turns();
  add('late');
  release();
  await end;
  expect(stopped).toEqual(['late', 'database']);
});

test('a part added after everything has stopped is stopped at once, and a later stop waits for it', async () => {
  const { stopped, lifecycle, add } = setUp();
  await lifecycle.stop();
  add('late');
  await lifecycle.stop();
  expect(stopped).toEqual(['late']);
  let release = (): void => undefined;
  lifecycle.add('slow', () => new Promise((resolve) => (release = resolve)));
  let isOver = false;
  const end = lifecycle.stop().then(() => (isOver = true));
  await turns();
  expect(isOver).toBe(false);
  release();
  await end;
});
