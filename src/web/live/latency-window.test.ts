import { expect, test } from 'vitest';

import { createLatencyWindow, MAX_SAMPLES, quantile, WINDOW_MS } from '#web/live/latency-window.ts';

const sample = (paint: number, network = 1) => ({ batching: 45, network, server: 2, delivery: 3, paint });

test('quantiles by nearest rank', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
  expect(quantile(hundred, 0.5)).toBe(50);
  expect(quantile(hundred, 0.99)).toBe(99);
  expect(quantile([7], 0.99)).toBe(7);
});

test('each part and the whole', () => {
  const latency = createLatencyWindow();
  for (let i = 1; i <= 100; i++) latency.add(i, sample(i));
  const summary = latency.summarise(100);
  expect(summary.paint).toEqual({ p50: 50, p99: 99 });
  expect(summary.batching).toEqual({ p50: 45, p99: 45 });
  expect(summary.handler).toEqual({ p50: 6, p99: 6 });
  expect(summary.pixel).toEqual({ p50: 56, p99: 105 });
  expect(summary.total).toEqual({ p50: 101, p99: 150 });
});

test('what is not known is null, and makes the whole unknown', () => {
  const latency = createLatencyWindow();
  latency.add(0, sample(8, Number.NaN));
  const summary = latency.summarise(0);
  expect(summary.network).toBeNull();
  expect(summary.total).toBeNull();
  expect(summary.paint).toEqual({ p50: 8, p99: 8 });
});

test('only the last ten seconds count', () => {
  const latency = createLatencyWindow();
  latency.add(0, sample(900));
  latency.add(WINDOW_MS, sample(5));
  expect(latency.summarise(WINDOW_MS + 1).paint).toEqual({ p50: 5, p99: 5 });
  expect(latency.summarise(3 * WINDOW_MS).paint).toBeNull();
});

test('more samples than the maximum push out the oldest, counted', () => {
  const latency = createLatencyWindow();
  for (let i = 0; i < MAX_SAMPLES + 10; i++) latency.add(0, sample(i < 10 ? 1e6 : 5));
  expect(latency.dropped).toBe(10);
  expect(latency.summarise(0).paint).toEqual({ p50: 5, p99: 5 });
});

test('the frames behind the figures, oldest first, without those that are older than the window', () => {
  const latency = createLatencyWindow();
  latency.add(0, sample(900));
  latency.add(WINDOW_MS, sample(5));
  latency.add(WINDOW_MS + 1, sample(7, 2));
  expect(latency.recent(WINDOW_MS + 1)).toEqual([
    { atMs: WINDOW_MS, handler: 6, pixel: 11 },
    { atMs: WINDOW_MS + 1, handler: 7, pixel: 14 },
  ]);
});
