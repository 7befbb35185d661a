import { expect, test } from 'vitest';

import type { LatencySummary } from '#web/live/latency-window.ts';
import type { ConnectionReport, LiveReport, StreamReport } from '#web/live/worker-messages.ts';
import { healthOf } from '#web/session/health.ts';

const latency = (total: number | null): LatencySummary => ({
  batching: null,
  network: null,
  server: null,
  delivery: null,
  paint: null,
  handler: null,
  pixel: null,
  total: total === null ? null : { p50: total, p99: total },
});

const stream = (over: Partial<StreamReport> = {}): StreamReport => ({
  stream: 'left-foot',
  rate: 200,
  jitterMs: 1,
  lost: 0,
  pending: 0,
  latency: latency(82),
  lastReadingAgeMs: 50,
  isSilent: false,
  latest: [],
  isClockMeasured: true,
  clockJumps: 0,
  ...over,
});

const report = (
  over: Partial<Omit<LiveReport, 'connection'>> & { connection?: Partial<ConnectionReport> } = {},
): LiveReport => ({
  fps: 60,
  longestFrameMs: 17,
  longestDrawMs: 1,
  delayMs: 80,
  skippedTicks: 0,
  storedAgeMs: 400,
  streams: [stream()],
  ...over,
  connection: {
    name: 'open',
    sinceMs: 9000,
    retryInMs: null,
    code: null,
    isSubscribed: true,
    ...over.connection,
  },
});

const words: Readonly<Record<string, string>> = { 'left-foot': 'Left foot', 'right-foot': 'Right foot' };
const health = (given: LiveReport | null, isFrozen = false) =>
  healthOf(given, { nameOf: (id) => words[id] ?? id, isFrozen });

test('when all is well one reads how old the picture is and how far it is stored', () => {
  expect(health(report())).toEqual({
    tone: 'live',
    sentence: 'Live: what you see happened 80\u202fms ago. Stored up to 0.4\u202fs ago.',
    announcement: 'Connected and live.',
  });
});

test('a lost connection says what is safe, and when it tries again', () => {
  const lost = health(report({ connection: { name: 'waiting', retryInMs: 2000, code: 1006 } }));
  expect(lost.tone).toBe('attention');
  expect(lost.sentence).toContain('next try in 2.0\u202fs.');
  expect(lost.sentence).toContain('Devices keep every reading until it is stored.');
});

test('numbers that change never reach the announcement, so that a screen reader is not flooded', () => {
  for (const given of [
    report(),
    report({ connection: { name: 'waiting', retryInMs: 1234 } }),
    report({ streams: [stream({ isSilent: true, lastReadingAgeMs: 3456 })] }),
    report({ storedAgeMs: 9876 }),
    report({ streams: [stream({ latency: latency(4321) })] }),
  ])
    expect(health(given).announcement).not.toMatch(/\d/);
});

test('a silent sensor is named, with the time since its last reading', () => {
  const streams = [
    stream({ isSilent: true, lastReadingAgeMs: 3000 }),
    stream({ stream: 'right-foot', isSilent: false }),
  ];
  expect(health(report({ streams })).sentence).toMatch(/^Left foot sensor: no readings for 3\.0\u202fs\./);
  const all = streams.map((given) => ({ ...given, isSilent: true }));
  expect(health(report({ streams: all })).sentence).toMatch(/^All sensors: no readings/);
});

test('a store that falls behind is told although the picture moves', () => {
  expect(health(report({ storedAgeMs: 7000 }))).toMatchObject({ tone: 'attention' });
});

test('readings that have not arrived yet are told beside what is live', () => {
  const gap = health(report({ streams: [stream({ pending: 1200 }), stream({ stream: 'right-foot' })] }));
  expect(gap.tone).toBe('attention');
  expect(gap.sentence).toMatch(/^Live: /);
  expect(gap.concern).toBe('1,200 readings have not arrived yet.');
  expect(gap.announcement).not.toMatch(/\d/);
});

test('a frozen picture does not claim to be live', () => {
  expect(health(report(), true).sentence).toMatch(/^Frozen picture; recording goes on\./);
  expect(health(report({ connection: { name: 'waiting' } }), true).sentence).toMatch(/^Reconnecting/);
});

test('what is not known is not said', () => {
  expect(health(report({ storedAgeMs: null, streams: [stream({ latency: latency(null) })] })).sentence).toBe(
    'Live.',
  );
});

test('before the first reading the page waits, without alarm', () => {
  expect(health(null).tone).toBe('waiting');
  expect(health(report({ streams: [] })).sentence).toBe('Connected. Waiting for the first reading.');
  expect(health(report({ streams: [], connection: { name: 'connecting', sinceMs: 100 } })).tone).toBe(
    'waiting',
  );
});

test('an end that does not heal by itself asks for action', () => {
  const ended = health(report({ connection: { name: 'closed', code: 4505 } }));
  expect(ended.tone).toBe('action');
  expect(ended.sentence).toContain('4505');
});
