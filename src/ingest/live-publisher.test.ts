import { expect, test } from 'vitest';

import { createMemoryBus } from '#bus/memory-bus.ts';
import type { Progress } from '#contract/live-messages.ts';
import type { LiveFrame } from '#protocol/live-codec.ts';
import { decodeLive, LIVE_HEADER_BYTES, writeLiveHeader } from '#protocol/live-codec.ts';
import { limits } from '#protocol/limits.ts';
import { committedTopic, createLivePublisher, readingsTopic } from '#ingest/live-publisher.ts';
import { frameOf, streamHandle } from '#test/support/frames.ts';

const handle = streamHandle('a');
const { session } = handle.definition;

function setUp() {
  const bus = createMemoryBus();
  const turns: (() => void)[] = [];
  const live = createLivePublisher(bus, (callback) => void turns.push(callback));
  return {
    bus,
    live,
    get scheduled() {
      return turns.length;
    },
    endTurn: () => turns.splice(0).forEach((callback) => callback()),
    readings(of = session): LiveFrame[][] {
      const messages: LiveFrame[][] = [];
      bus.subscribe(readingsTopic(of), (payload) => void messages.push(framesOf(payload)));
      return messages;
    },
    progress(of = session): Progress[][] {
      const messages: Progress[][] = [];
      bus.subscribe(
        committedTopic(of),
        (payload) => void messages.push(JSON.parse(new TextDecoder().decode(payload)) as Progress[]),
      );
      return messages;
    },
  };
}

function framesOf(payload: Uint8Array): LiveFrame[] {
  const bytes = new Uint8Array(LIVE_HEADER_BYTES + payload.length);
  writeLiveHeader(bytes, { channel: 1, offset: 0, publishedUs: 0 });
  bytes.set(payload, LIVE_HEADER_BYTES);
  const decoded = decodeLive(bytes);
  if (!decoded.ok) throw new Error(decoded.error.message);
  return [...decoded.value.frames];
}

test('frames of one turn leave as one message a session, in order', () => {
  const it = setUp();
  const seen = it.readings();
  const other = streamHandle('b', { session: '01900000-0000-7000-8000-00000000eeee' });
  const seenOfOther = it.readings(other.definition.session);
  it.live.frame(handle, frameOf(handle, 0, 5));
  it.live.frame(other, frameOf(other, 7, 1));
  it.live.frame(handle, frameOf(handle, 5, 5));
  expect(it.scheduled).toBe(1);
  expect(seen).toEqual([]);
  it.endTurn();
  expect(seen.map((frames) => frames.map(({ firstSeq }) => firstSeq))).toEqual([[0, 5]]);
  expect(seenOfOther.map((frames) => frames.map(({ firstSeq }) => firstSeq))).toEqual([[7]]);
  it.endTurn();
  expect(seen).toHaveLength(1);
  expect(it.live.counters.publishedFrames).toBe(3);
});

test('the tap sees every frame at once, also while nobody listens', () => {
  const seen: unknown[][] = [];
  const tap = { frame: (...both: unknown[]) => void seen.push(both) };
  const live = createLivePublisher(createMemoryBus(), () => undefined, tap);
  const frame = frameOf(handle, 0, 5);
  live.frame(handle, frame);
  expect(seen).toEqual([[handle, frame]]);
});

test('a frame arrives as it was received', () => {
  const it = setUp();
  const seen = it.readings();
  const { historical: _, ...frame } = frameOf(handle, 3, 2, {
    deltasUs: new Uint8Array([0, 0, 0, 0, 9, 0, 0, 0]),
    liveOnly: true,
    sentUs: -1,
    offsetUs: 77,
  });
  it.live.frame(handle, { ...frame, historical: false });
  it.endTurn();
  expect(seen).toEqual([[frame]]);
});

test('while nobody listens nothing is gathered', () => {
  const it = setUp();
  it.live.frame(handle, frameOf(handle, 0, 5));
  it.live.committed(handle, { committed: [{ from: 0, to: 5 }], lost: [] });
  expect(it.scheduled).toBe(0);
  const seen = it.readings();
  it.live.frame(handle, frameOf(handle, 5, 5));
  it.endTurn();
  expect(seen.flat().map(({ firstSeq }) => firstSeq)).toEqual([5]);
});

test('a turn that brings more than one message holds leaves as several, none lost', () => {
  const it = setUp();
  const seen = it.readings();
  const sizes: number[] = [];
  it.bus.subscribe(readingsTopic(session), (payload) => void sizes.push(payload.length));
  const count = 3 * Math.ceil(limits.messageBytes / frameOf(handle, 0, 500).payload.length);
  for (let i = 0; i < count; i++) it.live.frame(handle, frameOf(handle, i * 500, 500));
  it.endTurn();
  expect(seen.length).toBeGreaterThan(2);
  expect(seen.flat().map(({ firstSeq }) => firstSeq)).toEqual(
    Array.from({ length: count }, (_, i) => i * 500),
  );
  expect(Math.max(...sizes)).toBeLessThanOrEqual(limits.messageBytes);
});

test('many small frames stay below what the hub takes, headers included', () => {
  const it = setUp();
  const sizes: number[] = [];
  it.bus.subscribe(readingsTopic(session), (payload) => void sizes.push(payload.length));
  for (let i = 0; i < 30_000; i++) it.live.frame(handle, frameOf(handle, i, 1));
  it.endTurn();
  expect(Math.max(...sizes)).toBeLessThanOrEqual(limits.messageBytes);
  expect(it.live.counters.publishedFrames).toBe(30_000);
});

test('of what was committed in a turn the newest statement a stream leaves', () => {
  const it = setUp();
  const seen = it.progress();
  const other = streamHandle('b');
  it.live.committed(handle, { committed: [{ from: 0, to: 5 }], lost: [] });
  it.live.committed(other, { committed: [{ from: 3, to: 5 }], lost: [] });
  it.live.committed(handle, {
    committed: [
      { from: 0, to: 9 },
      { from: 20, to: 22 },
    ],
    lost: [{ from: 9, to: 12 }],
  });
  it.endTurn();
  expect(seen).toEqual([
    [
      { stream: handle.definition.stream, epoch: handle.epoch, next: 12, ranges: [[20, 22]], lost: 3 },
      { stream: other.definition.stream, epoch: other.epoch, next: 0, ranges: [[3, 5]], lost: 0 },
    ],
  ]);
});

test('of many ranges the newest are stated', () => {
  const it = setUp();
  const seen = it.progress();
  const committed = Array.from({ length: 50 }, (_, i) => ({ from: i * 10, to: i * 10 + 5 }));
  it.live.committed(handle, { committed, lost: [] });
  it.endTurn();
  expect(seen[0]![0]!.ranges).toHaveLength(limits.rangesPerAck);
  expect(seen[0]![0]!.ranges.at(-1)).toEqual([490, 495]);
});
