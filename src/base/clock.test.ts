import { afterEach, expect, test, vi } from 'vitest';

import { systemClock } from '#base/clock.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

test('wall time is that of the machine, in whole microseconds', () => {
  const before = Date.now();
  const nowUs = systemClock.nowUs();
  const after = Date.now();
  expect(Number.isSafeInteger(nowUs)).toBe(true);
  // Date has milliseconds, and the correction follows differences above 2 ms.
  expect(nowUs / 1000).toBeGreaterThan(before - 4);
  expect(nowUs / 1000).toBeLessThan(after + 4);
});

test('monotonic time never goes back', () => {
  let last = systemClock.monotonicMs();
  for (let i = 0; i < 1000; i++) {
    const now = systemClock.monotonicMs();
    expect(now).toBeGreaterThanOrEqual(last);
    last = now;
  }
});

test('wall time follows a correction of the machine within a second, and back again', () => {
  const startMs = performance.now();
  const wallMs = Date.now();
  let elapsedMs = 0;
  let jumpMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => startMs + elapsedMs);
  vi.spyOn(Date, 'now').mockImplementation(() => wallMs + elapsedMs + jumpMs);
  const errorMs = (): number => systemClock.nowUs() / 1000 - Date.now();

  elapsedMs = 2000;
  expect(Math.abs(errorMs())).toBeLessThan(4);
  jumpMs = 3_600_000;
  elapsedMs = 2500;
  expect(errorMs()).toBeLessThan(-3_599_000);
  elapsedMs = 3500;
  expect(Math.abs(errorMs())).toBeLessThan(4);
  jumpMs = -86_400_000;
  elapsedMs = 5000;
  expect(Math.abs(errorMs())).toBeLessThan(4);
  jumpMs = 0;
  elapsedMs = 7000;
  expect(Math.abs(errorMs())).toBeLessThan(4);
});

test('after calls back once, unless it was cancelled', () => {
  vi.useFakeTimers();
  const calls: string[] = [];
  systemClock.after(10, () => calls.push('kept'));
  const cancel = systemClock.after(10, () => calls.push('cancelled'));
  cancel();
  vi.advanceTimersByTime(9);
  expect(calls).toEqual([]);
  vi.advanceTimersByTime(100);
  expect(calls).toEqual(['kept']);
  vi.useRealTimers();
});
