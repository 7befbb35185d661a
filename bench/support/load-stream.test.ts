import { expect, test } from 'vitest';

import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';
import { createStreamLoad } from '#bench/support/load-stream.ts';

function openStream() {
  const stream = createStreamLoad({ ref: 4, stream: 0, seed: 1, rateHz: 200, readingsPerFrame: 10 });
  stream.begin(1_000_000);
  const send = (sentUs: number): [number, number] | null => {
    const frame = stream.next();
    if (frame === null) return null;
    stream.markSent(frame, sentUs);
    return [frame.firstSeq, frame.count];
  };
  return { stream, send, latency: createLatencyHistogram() };
}

test('frames follow each other at their sampled times, and an acknowledgement times those it covers', () => {
  const { stream, send, latency } = openStream();
  expect(stream.next()).toBeNull();
  stream.sample(10);
  stream.sample(10);
  expect(stream.next()).toMatchObject({ ref: 4, firstSeq: 0, count: 10, firstUs: 1_000_000 });
  expect(send(5_000)).toEqual([0, 10]);
  expect(stream.next()).toMatchObject({ firstSeq: 10, firstUs: 1_050_000 });
  expect(send(6_000)).toEqual([10, 10]);
  expect(send(7_000)).toBeNull();
  expect(stream.settle({ next: 10, ranges: [] }, 9_000, latency)).toBe(10);
  expect(latency.count).toBe(1);
  expect(latency.maxMs()).toBe(4);
  expect(stream.unacknowledged).toBe(10);
  expect(stream.settle({ next: 20, ranges: [] }, 9_000, latency)).toBe(10);
  expect(stream.report()).toMatchObject({ sentTo: 20, next: 20, startUs: 1_000_000 });
});

test('after a rewind it sends again from there, without what is settled, and aligned to frames', () => {
  const { stream, send, latency } = openStream();
  stream.sample(60);
  for (let i = 0; i < 6; i++) send(i);
  stream.rewind(0);
  // Settled up to 15, and 30 to 40.
  stream.settle({ next: 15, ranges: [[30, 40]] }, 9_000, latency);
  expect(latency.count).toBe(0);
  expect([send(10), send(11), send(12), send(13), send(14)]).toEqual([
    [15, 5],
    [20, 10],
    [40, 10],
    [50, 10],
    null,
  ]);
  expect(stream.resent).toBe(35);
  expect(stream.sentTo).toBe(60);
  expect(stream.acknowledged).toBe(25);
});

test('a frame that would open an overlap with a settled range ends before it', () => {
  const { stream, send, latency } = openStream();
  stream.sample(20);
  stream.settle({ next: 0, ranges: [[4, 10]] }, 0, latency);
  expect([send(0), send(1), send(2)]).toEqual([[0, 4], [10, 10], null]);
});

test('too many frames on their way are counted, and the older ones still timed', () => {
  const { stream, send, latency } = openStream();
  stream.sample(Number.POSITIVE_INFINITY);
  for (let i = 0; i < 2050; i++) send(i);
  expect(stream.unmeasuredFrames).toBe(2);
  stream.settle({ next: 20_500, ranges: [] }, 3_000, latency);
  expect(latency.count).toBe(2048);
});
