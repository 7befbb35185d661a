import { expect, test } from 'vitest';

import { fail, ok, type Result } from '#base/result.ts';
import type { Frame, StreamHandle } from '#contract/readings.ts';
import type { CloseReason } from '#protocol/codes.ts';
import { frameBytes, type WireError } from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';
import type { DeviceMessage, ServerMessage } from '#protocol/messages.ts';
import { createCreditLedger, createCreditPool } from '#ingest/credit.ts';
import { newGatewayCounters, type Open } from '#ingest/gateway-output.ts';
import { createGatewaySession } from '#ingest/gateway-session.ts';
import { sessionLimits } from '#ingest/session-limits.ts';
import { bufferLimits, createStreamBuffer, type StreamBuffer } from '#ingest/stream-buffer.ts';
import { dataBytes, frameOf, READING_BYTES, streamHandle, wireFrame } from '#test/support/frames.ts';

const NOW_US = 1_700_000_000_000_000;
const WINDOW_BYTES = 20_000;
const QUIET_BYTES = 1_000;
const QUIET_AFTER_MS = 10_000;
const device = { deviceId: 'device', orgId: 'org' };
const greeting = { identity: device, generation: 7, incarnation: '00000000-0000-4000-8000-000000000000' };

function setUp(options: { poolBytes?: number; windowBytes?: number } = {}) {
  const { poolBytes = 1_000_000, windowBytes = WINDOW_BYTES } = options;
  const pool = createCreditPool(poolBytes);
  const counters = newGatewayCounters();
  const sent: ServerMessage[] = [];
  const asked: string[] = [];
  const opens: Open[] = [];
  const clocks: number[] = [];
  const live: Frame[] = [];
  let closed: CloseReason | null | undefined;
  let acksAsked = 0;
  let nowMs = 0;
  const session = createGatewaySession({
    output: {
      send: (message) => void sent.push(message),
      close(reason) {
        expect(closed, 'closed once').toBe(undefined);
        closed = reason;
      },
      authenticate: (key) => void asked.push(`authenticate ${key}`),
      openStream: (request) => void opens.push(request),
      lostStream: ({ handle }) => void asked.push(`lost ${handle.definition.segment}`),
      wentBack: () => void asked.push('wentBack'),
      endStream: (_, message) => void asked.push(`end ${message.ref} ${message.ended}`),
      recordClock: ({ offsetUs }) => void clocks.push(offsetUs),
      commandReceived: (id) => void asked.push(`received ${id}`),
      commandResult: ({ id }) => void asked.push(`result ${id}`),
      due: ({ handle }) => void asked.push(`due ${handle.definition.segment}`),
      live: (_, frame) => void live.push(frame),
      ackSoon: () => void acksAsked++,
    },
    openLedger: () =>
      createCreditLedger(pool, {
        quietBytes: QUIET_BYTES,
        initialBytes: windowBytes,
        maxBytes: 8 * windowBytes,
      }),
    reclaim: { quietAfterMs: QUIET_AFTER_MS, mayAsk: () => true },
    counters,
    startedMs: 0,
    heartbeatMs: 5_000,
  });
  const bufferCounters = { overwrittenFrames: 0, droppedLosses: 0 };
  const self = {
    session,
    counters,
    pool,
    sent,
    asked,
    opens,
    clocks,
    live,
    get closed() {
      return closed;
    },
    get acksAsked() {
      return acksAsked;
    },
    last: () => sent.at(-1),
    codes: () => sent.flatMap((message) => (message.type === 'error' ? [message.code] : [])),
    say: (message: DeviceMessage, atMs = nowMs) => {
      nowMs = atMs;
      session.control(ok(message), NOW_US, atMs);
    },
    data: (...parameters: Parameters<typeof dataBytes>) =>
      session.data(dataBytes(...parameters), NOW_US, nowMs),
    tick(atMs: number) {
      nowMs = atMs;
      session.tick(atMs);
    },
    greet() {
      self.say(hello);
      session.authenticated(greeting, NOW_US);
      return self;
    },
    open(ref: number, handle: StreamHandle = streamHandle(`s${ref}`)): StreamBuffer {
      const buffer = createStreamBuffer(handle, bufferCounters, {
        committed: () => undefined,
        dead: () => undefined,
      });
      self.say(openMessage(ref, handle));
      session.opened(opens.at(-1)!, ok({ buffer, progress: { committed: [], lost: [] }, newest: null }));
      return buffer;
    },
  };
  return self;
}

const hello: DeviceMessage = { type: 'hello', version: 1, agent: 'test', key: 'k' };

function openMessage(ref: number, { definition, epoch } = streamHandle(`s${ref}`)): Open {
  return { type: 'open', ref, epoch, definition };
}

/** Takes everything as the store would, and settles [0, to). */
function settle(buffer: StreamBuffer, to: number): void {
  buffer.take(Number.MAX_SAFE_INTEGER);
  buffer.settled({ committed: to === 0 ? [] : [{ from: 0, to }], lost: [] });
}

const everyMessage: DeviceMessage[] = [
  openMessage(1),
  { type: 'tombstone', ref: 1, from: 0, to: 1, reason: 'sensor-fault' },
  { type: 'close', ref: 1, next: 0, ended: true },
  { type: 'probe', id: 1, t0Us: 0 },
  { type: 'clock', deviceUs: 0, offsetUs: 0, roundTripUs: 0 },
  { type: 'commandResult', id: '01900000-0000-7000-8000-000000000001', ok: true },
  { type: 'reclaimed', id: 1, durable: 0 },
  { type: 'heartbeat' },
];

test('hello asks who this is, and welcome gives the first credit', () => {
  const it = setUp().greet();
  expect(it.asked).toEqual(['authenticate k']);
  expect(it.last()).toEqual({
    type: 'welcome',
    version: 1,
    incarnation: greeting.incarnation,
    generation: 7,
    serverUs: NOW_US,
    heartbeatMs: 5_000,
    credit: { durable: WINDOW_BYTES, live: sessionLimits.liveWindowBytes },
  });
  expect(it.session.identity).toEqual(device);
  expect(it.session.isReady).toBe(true);
});

test('a stranger holds no credit', () => {
  const it = setUp();
  expect(it.pool.reservedBytes).toBe(0);
  it.say(hello);
  expect(it.pool.reservedBytes).toBe(0);
  it.session.authenticated(greeting, NOW_US);
  expect(it.pool.reservedBytes).toBe(WINDOW_BYTES);
});

test.each(everyMessage)('$type before hello is refused, and so it is before welcome', (message) => {
  const it = setUp();
  it.say(message);
  it.say(hello);
  it.say(message);
  expect(it.codes()).toEqual(['hello-required', 'hello-required']);
  expect(it.asked).toEqual(['authenticate k']);
  expect(it.opens).toEqual([]);
  expect(it.closed).toBe(undefined);
});

test('data before welcome is refused and not counted as received', () => {
  const it = setUp();
  it.data([wireFrame(1, 0, 1)]);
  expect(it.codes()).toEqual(['hello-required']);
  expect(it.counters.bytes).toBe(0);
});

test('hello comes once', () => {
  const it = setUp();
  it.say(hello);
  it.say(hello);
  it.session.authenticated(greeting, NOW_US);
  it.say(hello);
  expect(it.codes()).toEqual(['already-greeted', 'already-greeted']);
  expect(it.asked).toEqual(['authenticate k']);
});

test('another version is refused and closed', () => {
  const it = setUp();
  it.say({ ...hello, version: 2 });
  expect(it.codes()).toEqual(['unsupported-version']);
  expect(it.closed).toBe('version');
});

test('an unknown key is closed for good', () => {
  const it = setUp();
  it.say(hello);
  it.session.authenticated(null, NOW_US);
  expect(it.codes()).toEqual(['unauthenticated']);
  expect(it.closed).toBe('unauthenticated');
});

test('an answer that comes after the connection has gone changes nothing', () => {
  const it = setUp();
  it.say(hello);
  it.session.disconnected();
  it.session.authenticated(greeting, NOW_US);
  expect(it.sent).toEqual([]);
  expect(it.pool.reservedBytes).toBe(0);
});

test.each(['hello', 'authenticating', 'ready'])('bye closes the socket in phase %s', (phase) => {
  const it = setUp();
  if (phase !== 'hello') it.say(hello);
  if (phase === 'ready') it.session.authenticated(greeting, NOW_US);
  it.say({ type: 'bye' });
  expect(it.closed).toBe(null);
  expect(it.pool.reservedBytes).toBe(0);
  it.say({ type: 'heartbeat' });
  it.data([wireFrame(1, 0, 1)]);
  it.tick(1e9);
  expect(it.codes()).toEqual([]);
});

test('hello has five seconds, welcome included', () => {
  for (const says of [false, true]) {
    const it = setUp();
    if (says) it.say(hello);
    it.tick(limits.helloMs - 1);
    expect(it.closed).toBe(undefined);
    it.tick(limits.helloMs);
    expect(it.closed).toBe('helloTimeout');
  }
});

test('a peer that is silent for three heartbeats is closed; anything it says counts', () => {
  const it = setUp().greet();
  it.tick(14_999);
  expect(it.closed).toBe(undefined);
  it.say({ type: 'heartbeat' }, 14_999);
  it.tick(29_998);
  expect(it.closed).toBe(undefined);
  it.tick(29_999);
  expect(it.closed).toBe('silent');
});

test('the server is heard every heartbeat, and says nothing more while it has other things to say', () => {
  const it = setUp().greet();
  it.tick(4_999);
  expect(it.last()).toMatchObject({ type: 'welcome' });
  it.tick(5_000);
  expect(it.last()).toEqual({ type: 'heartbeat' });
  it.say({ type: 'probe', id: 3, t0Us: 5 }, 6_000);
  it.tick(10_500);
  expect(it.sent.filter((message) => message.type === 'heartbeat')).toHaveLength(1);
});

test('a probe is answered at once with the moment of its receipt', () => {
  const it = setUp().greet();
  it.say({ type: 'probe', id: 9, t0Us: -4 });
  expect(it.last()).toEqual({ type: 'probe', id: 9, t0Us: -4, t1Us: NOW_US, t2Us: NOW_US });
});

test('clock observations travel with frames, and are kept only so often', () => {
  const it = setUp().greet();
  it.open(1);
  for (let i = 1; i <= 20; i++) it.say({ type: 'clock', deviceUs: 0, offsetUs: i, roundTripUs: 1 });
  expect(it.clocks).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(it.counters.skippedClocks).toBe(12);
  it.data([wireFrame(1, 0, 1)]);
  expect(it.live[0]).toMatchObject({ offsetUs: 20 });
  it.say({ type: 'clock', deviceUs: 0, offsetUs: 21, roundTripUs: 1 }, 5_000);
  expect(it.clocks.at(-1)).toBe(21);
});

test('an open stream takes frames: they wait for the store and are shown', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  expect(it.last()).toEqual({ type: 'opened', ref: 1, settled: { next: 0, ranges: [] } });
  it.data([wireFrame(1, 0, 10)]);
  expect(it.asked).toContain('due s1');
  const expected = frameOf(buffer.handle, 0, 10, { arrivalUs: NOW_US });
  expect(buffer.take(100)).toEqual([expected]);
  expect(it.live).toEqual([expected]);
  expect(it.counters).toMatchObject({ frames: 1, readings: 10 });
});

test('live-only frames are shown and never stored; historical ones are stored and not shown', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  it.data([wireFrame(1, 0, 10)], { liveOnly: true });
  expect(buffer.isEmpty).toBe(true);
  expect(it.live).toHaveLength(1);
  it.data([wireFrame(1, 0, 10)], { historical: true });
  expect(it.live).toHaveLength(1);
  expect(buffer.take(100)).toEqual([expect.objectContaining({ historical: true, firstSeq: 0 })]);
  expect(it.counters).toMatchObject({ liveOnlyFrames: 1, historicalFrames: 1 });
});

test('a stream without a clock gets the time of arrival, and no offset', () => {
  const it = setUp().greet();
  const buffer = it.open(1, streamHandle('s1', { clock: 'none' }));
  it.say({ type: 'clock', deviceUs: 0, offsetUs: 5, roundTripUs: 1 });
  it.data([wireFrame(1, 0, 2, { deltasUs: new Uint8Array(8) })]);
  expect(buffer.take(100)[0]).toMatchObject({ firstUs: NOW_US, deltasUs: null, offsetUs: 0 });
});

test('frames of unknown streams and of a wrong size are refused each by itself; their neighbours are taken', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  const wrong = { payload: new Uint8Array(READING_BYTES - 4) };
  it.data([wireFrame(9, 0, 1), wireFrame(1, 0, 5), wireFrame(1, 5, 1, wrong)]);
  expect(it.sent.filter((message) => message.type === 'error')).toEqual([
    expect.objectContaining({ code: 'unknown-stream', ref: 9, field: '/frames/0' }),
    expect.objectContaining({ code: 'invalid-field', ref: 1, field: '/frames/2/payload' }),
  ]);
  expect(buffer.take(100).map((frame) => frame.firstSeq)).toEqual([0]);
  buffer.settled({ committed: [], lost: [] });
  it.session.disconnected();
  expect(it.pool.reservedBytes).toBe(0);
});

test('bytes that are no data message are refused and cost no credit', () => {
  const it = setUp().greet();
  it.session.data(new Uint8Array([1, 2, 3]), NOW_US, 0);
  it.session.data(dataBytes([wireFrame(1, 0, 1)]).subarray(0, 40), NOW_US, 0);
  expect(it.codes()).toEqual(['malformed-message', 'malformed-message']);
  expect(it.closed).toBe(undefined);
});

test('durable bytes beyond the grant close for good, and are not stored', () => {
  const it = setUp({ windowBytes: 1_000 }).greet();
  const buffer = it.open(1);
  const count = Math.floor((1_000 - 32) / READING_BYTES);
  it.data([wireFrame(1, 0, count)]);
  it.data([wireFrame(1, count, 1)]);
  expect(it.codes()).toEqual(['credit-exceeded']);
  expect(it.closed).toBe('creditExceeded');
  expect(buffer.take(1_000).map((frame) => frame.firstSeq)).toEqual([0]);
});

test('live bytes beyond the grant close for good; the durable account is another', () => {
  const it = setUp({ windowBytes: 1_000_000, poolBytes: 2_000_000 }).greet();
  it.open(1);
  const bytes = frameBytes(wireFrame(1, 0, 500));
  for (let left = sessionLimits.liveWindowBytes; left >= bytes; left -= bytes)
    it.data([wireFrame(1, 0, 500)], { liveOnly: true });
  expect(it.closed).toBe(undefined);
  it.data([wireFrame(1, 0, 500)]);
  it.data([wireFrame(1, 0, 500)], { liveOnly: true });
  expect(it.closed).toBe('creditExceeded');
});

test('live credit comes back with time, not with the store', () => {
  const it = setUp().greet();
  it.open(1);
  const bytes = frameBytes(wireFrame(1, 0, 500));
  for (let second = 1; second <= 10; second++) {
    for (let left = sessionLimits.liveWindowBytes; left >= bytes; left -= bytes)
      it.data([wireFrame(1, 0, 500)], { liveOnly: true });
    it.tick(second * 1_000);
    expect(it.last()).toMatchObject({ type: 'credit' });
  }
  expect(it.closed).toBe(undefined);
  expect(it.live.length).toBeGreaterThan(10 * Math.floor(sessionLimits.liveWindowBytes / bytes) - 1);
});

test('one acknowledgement a turn says what settled in all streams, with cumulative credit', () => {
  const it = setUp().greet();
  const first = it.open(1);
  const second = it.open(2);
  it.data([wireFrame(1, 0, 10), wireFrame(2, 0, 20)]);
  settle(first, 10);
  settle(second, 20);
  expect(it.acksAsked).toBe(1);
  it.session.sendAck();
  const bytes = frameBytes(wireFrame(1, 0, 10)) + frameBytes(wireFrame(2, 0, 20));
  expect(it.last()).toEqual({
    type: 'ack',
    streams: [
      { ref: 1, next: 10, ranges: [] },
      { ref: 2, next: 20, ranges: [] },
    ],
    credit: { durable: WINDOW_BYTES + bytes, live: sessionLimits.liveWindowBytes },
  });
  it.session.sendAck();
  expect(it.sent.filter((message) => message.type === 'ack')).toHaveLength(1);
  settle(first, 10);
  expect(it.acksAsked).toBe(2);
});

test('an acknowledgement holds the first unsettled number and at most 32 ranges beyond it', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  const committed = Array.from({ length: 50 }, (_, i) => ({ from: i * 10, to: i * 10 + 5 }));
  buffer.settled({ committed, lost: [{ from: 5, to: 8 }] });
  it.session.sendAck();
  const ack = it.last();
  expect(ack).toMatchObject({ streams: [{ ref: 1, next: 8 }] });
  const ranges = ack?.type === 'ack' ? ack.streams[0]!.ranges : [];
  expect(ranges).toHaveLength(limits.rangesPerAck);
  expect(ranges[0]).toEqual([10, 15]);
});

test('credit that was free again only later is told by the tick, once', () => {
  const it = setUp({ poolBytes: WINDOW_BYTES }).greet();
  const other = createCreditLedger(it.pool, { quietBytes: 5e4, initialBytes: 5e4, maxBytes: 5e4 });
  expect(it.pool.reservedBytes).toBe(WINDOW_BYTES);
  expect(other.grantedBytes).toBeLessThan(WINDOW_BYTES / 2);
  const buffer = it.open(1);
  it.data([wireFrame(1, 0, 500)]);
  buffer.take(500);
  // Given back to the pool, and taken by another before this session asks.
  buffer.settled({ committed: [], lost: [] });
  it.tick(1_000);
  const credits = it.sent.filter((message) => message.type === 'credit').length;
  it.tick(2_000);
  expect(it.sent.filter((message) => message.type === 'credit')).toHaveLength(credits);
});

/** A device that holds its first window in a pool of which more than half is reserved. */
function quietSession() {
  const it = setUp({ poolBytes: 1.5 * WINDOW_BYTES }).greet();
  it.open(1);
  return it;
}

function questions(it: ReturnType<typeof setUp>) {
  return it.sent.filter((message) => message.type === 'reclaim');
}

test('a device that sends nothing while credit is scarce is asked once for what it does not use', () => {
  const it = quietSession();
  it.tick(QUIET_AFTER_MS - 1);
  expect(questions(it)).toEqual([]);
  it.tick(QUIET_AFTER_MS);
  it.tick(QUIET_AFTER_MS + 1_000);
  expect(questions(it)).toEqual([{ type: 'reclaim', id: 1, durable: QUIET_BYTES }]);
  expect(it.pool.reservedBytes).toBe(WINDOW_BYTES);
  it.say({ type: 'reclaimed', id: 1, durable: QUIET_BYTES });
  expect(it.pool.reservedBytes).toBe(QUIET_BYTES);
  expect(it.counters.reclaimedBytes).toBe(WINDOW_BYTES - QUIET_BYTES);
  it.tick(QUIET_AFTER_MS + 2_000);
  expect(it.sent.some(({ type }) => type === 'credit')).toBe(false);
});

test('nobody is asked while there is credit enough', () => {
  const it = setUp().greet();
  it.tick(QUIET_AFTER_MS);
  expect(questions(it)).toEqual([]);
});

test.each([true, false])('a quiet device that sends gets its window at once, live-only %s', (liveOnly) => {
  const it = quietSession();
  it.tick(QUIET_AFTER_MS);
  it.say({ type: 'reclaimed', id: 1, durable: QUIET_BYTES });
  it.data([wireFrame(1, 0, 1)], { liveOnly });
  const credit = it.sent.findLast(({ type }) => type === 'credit');
  expect(credit).toMatchObject({ credit: { durable: WINDOW_BYTES } });
  expect(it.pool.reservedBytes).toBe(WINDOW_BYTES);
});

test('what was on its way when a device was asked is taken, and nothing more is stated until it answers', () => {
  const it = quietSession();
  it.tick(QUIET_AFTER_MS);
  it.data([wireFrame(1, 0, 500)]);
  const used = frameBytes(wireFrame(1, 0, 500));
  expect(used).toBeGreaterThan(QUIET_BYTES);
  it.session.sendAck();
  it.tick(QUIET_AFTER_MS + 1_000);
  expect(it.sent.filter(({ type }) => type === 'credit' || type === 'ack')).toEqual([]);
  it.say({ type: 'reclaimed', id: 1, durable: used });
  // It is quiet no longer.
  expect(it.last()).toMatchObject({ type: 'credit', credit: { durable: WINDOW_BYTES } });
  expect(it.closed).toBe(undefined);
});

test('an answer that cannot be is refused, and one that nobody waits for ignored', () => {
  const it = quietSession();
  it.say({ type: 'reclaimed', id: 1, durable: 0 });
  it.tick(QUIET_AFTER_MS);
  it.say({ type: 'reclaimed', id: 2, durable: 0 });
  expect(it.codes()).toEqual([]);
  it.say({ type: 'reclaimed', id: 1, durable: WINDOW_BYTES + 1 });
  expect(it.last()).toMatchObject({ code: 'invalid-field', field: '/durable' });
  expect(it.pool.reservedBytes).toBe(WINDOW_BYTES);
});

test('a device that does not answer keeps its credit and is not asked again', () => {
  const it = quietSession();
  it.tick(QUIET_AFTER_MS);
  for (let i = 1; i < 20; i++) {
    it.say({ type: 'heartbeat' }, QUIET_AFTER_MS + i * 1_000);
    it.tick(QUIET_AFTER_MS + i * 1_000);
  }
  expect(questions(it)).toHaveLength(1);
  expect(it.sent.findLast(({ type }) => type === 'credit')).toMatchObject({
    credit: { durable: WINDOW_BYTES },
  });
  it.say({ type: 'reclaimed', id: 1, durable: QUIET_BYTES });
  expect(it.pool.reservedBytes).toBe(WINDOW_BYTES);
  it.data([wireFrame(1, 0, 400)]);
  expect(it.closed).toBe(undefined);
});

test('several dropped frames of one turn make one rewind, from the oldest', () => {
  const it = setUp({ windowBytes: 1_000_000, poolBytes: 4_000_000 }).greet();
  const buffer = it.open(1);
  for (let i = 0; i < bufferLimits.ringFrames + 5; i++) it.data([wireFrame(1, i, 1)]);
  it.session.sendAck();
  expect(it.sent.filter((message) => message.type === 'rewind')).toEqual([
    { type: 'rewind', ref: 1, fromSeq: 0 },
  ]);
  buffer.rewind(3);
  it.session.sendAck();
  expect(it.last()).toEqual({ type: 'rewind', ref: 1, fromSeq: 3 });
});

test('a rewind follows the acknowledgement of the same flush', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  buffer.settled({ committed: [{ from: 0, to: 5 }], lost: [] });
  buffer.rewind(5);
  it.session.sendAck();
  expect(it.sent.slice(-2).map((message) => message.type)).toEqual(['ack', 'rewind']);
});

test('a refused stream is closed with its code; the others live, and what was on its way is no fault', () => {
  const it = setUp().greet();
  const bad = it.open(1);
  const good = it.open(2);
  bad.refused('not this');
  expect(it.last()).toMatchObject({ type: 'error', code: 'stream-refused', ref: 1 });
  for (let i = 0; i < 2 * sessionLimits.faults; i++) it.data([wireFrame(1, i, 1)]);
  it.say({ type: 'tombstone', ref: 1, from: 0, to: 1, reason: 'sensor-fault' });
  it.say({ type: 'close', ref: 1, next: 0, ended: true });
  expect(it.codes()).toEqual(['stream-refused']);
  expect(it.counters.lateFrames).toBe(2 * sessionLimits.faults);
  it.data([wireFrame(2, 0, 1)]);
  expect(good.take(10)).toHaveLength(1);
  it.session.disconnected();
  good.settled({ committed: [], lost: [] });
  expect(it.pool.reservedBytes).toBe(0);
});

test('a stream that the store does not know ends the connection, to be begun anew', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  buffer.unknown();
  buffer.unknown();
  expect(it.asked.filter((question) => question.startsWith('lost'))).toEqual(['lost s1']);
  it.session.lost();
  expect(it.closed).toBe('internal');
});

test('a reference is taken from open to closed, and then free again', () => {
  const it = setUp().greet();
  it.say(openMessage(1));
  it.say(openMessage(1));
  expect(it.codes()).toEqual(['reference-in-use']);
  const buffer = it.open(2);
  it.say({ ...openMessage(3), ref: 2 });
  expect(it.codes()).toEqual(['reference-in-use', 'reference-in-use']);
  it.say({ type: 'close', ref: 2, next: 0, ended: true });
  it.session.streamEnded(buffer);
  it.open(2);
  expect(it.last()).toMatchObject({ type: 'opened', ref: 2 });
  it.data([wireFrame(2, 0, 1)]);
  expect(it.counters.frames).toBe(1);
});

test('an open stream may be opened again under its reference, which asks once more and changes nothing', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  it.say({ ...openMessage(1), held: [[0, 5]] });
  expect(it.opens.at(-1)).toMatchObject({ ref: 1, held: [[0, 5]] });
  const newest = { seq: 4, crc32: 9, timeUs: 7 };
  it.session.opened(
    it.opens.at(-1)!,
    ok({ buffer, progress: { committed: [{ from: 0, to: 5 }], lost: [] }, newest }),
  );
  expect(it.last()).toEqual({ type: 'opened', ref: 1, settled: { next: 5, ranges: [] }, newest });
  it.data([wireFrame(1, 5, 1)]);
  settle(buffer, 6);
  it.session.sendAck();
  expect(it.last()).toMatchObject({ type: 'ack', streams: [{ ref: 1, next: 6 }] });
  expect(it.codes()).toEqual([]);
});

test('a stream that is refused when it is opened again is open no longer', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  it.say(openMessage(1));
  it.session.opened(it.opens.at(-1)!, fail({ code: 'new-epoch-required', message: 'a copy' }));
  expect(buffer.listener).toBe(null);
  it.open(1);
  expect(it.last()).toMatchObject({ type: 'opened', ref: 1 });
});

test('a stream that turns out to be erased when it is opened again is discarded', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  it.say(openMessage(1));
  it.session.opened(it.opens.at(-1)!, fail({ code: 'erased', message: 'gone' }));
  expect(it.last()).toMatchObject({ type: 'opened', ref: 1, discarded: true });
  expect(buffer.listener).toBe(null);
});

test('the same stream under two references is refused', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  it.say(openMessage(2));
  it.session.opened(it.opens.at(-1)!, ok({ buffer, progress: { committed: [], lost: [] }, newest: null }));
  expect(it.last()).toMatchObject({ code: 'reference-in-use', ref: 2 });
  it.data([wireFrame(1, 0, 1)]);
  expect(it.counters.frames).toBe(1);
});

test('at most so many streams are open or being opened', () => {
  const it = setUp().greet();
  for (let ref = 0; ref < limits.streamsPerConnection; ref++) it.say(openMessage(ref));
  it.say(openMessage(limits.streamsPerConnection));
  expect(it.codes()).toEqual(['limit-exceeded']);
  expect(it.opens).toHaveLength(limits.streamsPerConnection);
});

test('an opening that failed for now is answered, frees the reference, and is no fault of the device', () => {
  const it = setUp().greet();
  const busy: WireError = { code: 'store-unavailable', message: 'later' };
  for (let i = 0; i < 3 * sessionLimits.faults; i++) {
    it.say(openMessage(1), i * 100);
    it.session.opened(it.opens.at(-1)!, fail(busy));
  }
  expect(it.closed).toBe(undefined);
  expect(it.last()).toMatchObject({ code: 'store-unavailable', ref: 1 });
  it.open(1);
  expect(it.last()).toMatchObject({ type: 'opened' });
});

test('an opening that is answered after the connection has gone leaves the buffer to others', () => {
  const it = setUp().greet();
  it.say(openMessage(1));
  it.session.disconnected();
  const buffer = createStreamBuffer(
    streamHandle(),
    { overwrittenFrames: 0, droppedLosses: 0 },
    {
      committed: () => undefined,
      dead: () => undefined,
    },
  );
  it.session.opened(it.opens[0]!, ok({ buffer, progress: { committed: [], lost: [] }, newest: null }));
  expect(buffer.listener).toBe(null);
});

test('a tombstone waits for the store; an empty or reversed range is refused', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  it.say({ type: 'tombstone', ref: 1, from: 5, to: 9, reason: 'sensor-fault' });
  it.say({ type: 'tombstone', ref: 1, from: 5, to: 5, reason: 'sensor-fault' });
  it.say({ type: 'tombstone', ref: 1, from: 9, to: 5, reason: 'sensor-fault' });
  expect(it.codes()).toEqual(['invalid-field', 'invalid-field']);
  expect(buffer.takeLosses()).toEqual([{ from: 5, to: 9, reason: 'sensor-fault' }]);
  expect(it.asked).toContain('due s1');
});

test.each(['tombstone', 'close'] as const)('%s of a stream that was never opened is refused', (type) => {
  const it = setUp().greet();
  it.say(everyMessage.find((message) => message.type === type)!);
  expect(it.last()).toMatchObject({ code: 'unknown-stream', ref: 1, field: '/ref' });
});

test('close is recorded and answered when everything before its end is settled, once', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  it.data([wireFrame(1, 0, 10)]);
  it.say({ type: 'close', ref: 1, next: 10, ended: true });
  expect(it.asked).not.toContain('end 1 true');
  buffer.take(100);
  buffer.settled({ committed: [{ from: 0, to: 9 }], lost: [] });
  it.session.sendAck();
  expect(it.asked).not.toContain('end 1 true');
  buffer.settled({ committed: [{ from: 0, to: 9 }], lost: [{ from: 9, to: 10 }] });
  it.session.sendAck();
  it.session.sendAck();
  it.tick(1_000);
  expect(it.asked.filter((what) => what === 'end 1 true')).toHaveLength(1);
  it.session.streamEnded(buffer);
  expect(it.last()).toEqual({ type: 'closed', ref: 1 });
  expect(buffer.listener).toBe(null);
});

test('close after everything has settled, and of a stream with no readings, is recorded at once', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  settle(buffer, 10);
  it.session.sendAck();
  it.say({ type: 'close', ref: 1, next: 10, ended: false });
  expect(it.asked).toContain('end 1 false');
  it.open(2);
  it.say({ type: 'close', ref: 2, next: 0, ended: true });
  expect(it.asked).toContain('end 2 true');
});

test('an end that could not be recorded is tried again, and the connection lives', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  it.say({ type: 'close', ref: 1, next: 0, ended: true });
  it.session.endFailed(buffer);
  it.tick(1_000);
  expect(it.asked.filter((what) => what === 'end 1 true')).toHaveLength(2);
  expect(it.closed).toBe(undefined);
});

test('streams keep their frames when the socket has gone, and hear nothing of this connection', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  it.data([wireFrame(1, 0, 10)]);
  it.session.disconnected();
  expect(buffer.listener).toBe(null);
  expect(buffer.pendingReadings()).toBe(10);
  expect(it.pool.reservedBytes).toBe(frameBytes(wireFrame(1, 0, 10)));
  settle(buffer, 10);
  it.session.sendAck();
  expect(it.pool.reservedBytes).toBe(0);
  expect(it.last()).toMatchObject({ type: 'opened' });
});

test('a stream that a newer connection opened stays with that one', () => {
  const old = setUp().greet();
  const handle = streamHandle();
  const buffer = old.open(1, handle);
  const newer = setUp().greet();
  newer.say(openMessage(1, handle));
  newer.session.opened(newer.opens[0]!, ok({ buffer, progress: { committed: [], lost: [] }, newest: null }));
  old.session.disconnected();
  settle(buffer, 3);
  newer.session.sendAck();
  expect(newer.last()).toMatchObject({ type: 'ack', streams: [{ ref: 1, next: 3 }] });
});

test('messages that did not parse are answered, and too many faults close for good', () => {
  const it = setUp().greet();
  const broken = fail<WireError>({ code: 'invalid-field', message: 'no', field: '/x' });
  for (let i = 0; i < sessionLimits.faults; i++) it.session.control(broken, NOW_US, 0);
  expect(it.closed).toBe(undefined);
  it.session.control(broken, NOW_US, 0);
  expect(it.closed).toBe('protocol');
  expect(it.counters.errors['invalid-field']).toBe(sessionLimits.faults + 1);
});

test('faults are forgiven with time', () => {
  const it = setUp().greet();
  const broken = fail<WireError>({ code: 'invalid-field', message: 'no' });
  for (let i = 0; i < 10 * sessionLimits.faults; i++) it.session.control(broken, NOW_US, i * 1_000);
  expect(it.closed).toBe(undefined);
});

test('a message of many bad frames stops being read when it has closed the connection', () => {
  const it = setUp({ windowBytes: 100_000, poolBytes: 200_000 }).greet();
  const frames = Array.from({ length: 32 }, () => wireFrame(9, 0, 1));
  for (let i = 0; i < 10; i++) it.data(frames);
  expect(it.closed).toBe('protocol');
  expect(it.counters.errors['unknown-stream']).toBe(sessionLimits.faults + 1);
});

test('more control messages than allowed close for good and are counted', () => {
  const it = setUp().greet();
  for (let i = 1; i < sessionLimits.controlBurst; i++) it.say({ type: 'heartbeat' });
  expect(it.closed).toBe(undefined);
  it.say({ type: 'heartbeat' });
  expect(it.codes()).toEqual(['limit-exceeded']);
  expect(it.closed).toBe('protocol');
  expect(it.counters.controlFloods).toBe(1);
});

test('a steady rate of control messages is allowed for ever', () => {
  const it = setUp().greet();
  const everyMs = 1_000 / sessionLimits.controlPerSecond;
  for (let i = 0; i < 20 * sessionLimits.controlBurst; i++) it.say({ type: 'heartbeat' }, i * everyMs);
  expect(it.closed).toBe(undefined);
});

test('the burst holds every stream opened and closed at once', () => {
  const it = setUp().greet();
  for (let ref = 0; ref < limits.streamsPerConnection; ref++) {
    const buffer = it.open(ref);
    it.say({ type: 'close', ref, next: 0, ended: true });
    it.session.streamEnded(buffer);
  }
  expect(it.closed).toBe(undefined);
});

test('what a device answers to a command is passed on', () => {
  const it = setUp().greet();
  const id = '01900000-0000-7000-8000-000000000001';
  it.say({ type: 'commandResult', id, ok: true });
  expect(it.asked).toContain(`result ${id}`);
});

const ERASED: Result<never, WireError> = fail({ code: 'erased', message: 'gone' });
const EVERYTHING = { next: 2 ** 53 - 1, ranges: [] };

test('an erased stream is opened as discarded; what comes is acknowledged, and neither stored nor shown', () => {
  const it = setUp().greet();
  it.open(2);
  it.say(openMessage(1));
  it.session.opened(it.opens.at(-1)!, ERASED);
  expect(it.last()).toEqual({ type: 'opened', ref: 1, settled: EVERYTHING, discarded: true });
  it.data([wireFrame(1, 0, 10), wireFrame(2, 0, 10)]);
  it.data([wireFrame(1, 10, 10)], { liveOnly: true });
  it.say({ type: 'tombstone', ref: 1, from: 20, to: 30, reason: 'sensor-fault' });
  expect(it.codes()).toEqual([]);
  expect(it.live.map((frame) => frame.streamId)).toEqual([streamHandle('s2').definition.stream]);
  expect(it.asked.filter((question) => question.startsWith('due'))).toEqual(['due s2']);
  expect(it.acksAsked).toBe(1);
  it.session.sendAck();
  expect(it.last()).toMatchObject({ type: 'ack', streams: [{ ref: 1, ...EVERYTHING }] });
  expect(it.counters).toMatchObject({ discardedFrames: 2, frames: 1 });
});

test('credit of discarded frames comes back at once', () => {
  const it = setUp().greet();
  it.say(openMessage(1));
  it.session.opened(it.opens.at(-1)!, ERASED);
  for (let i = 0; i < 50; i++) {
    it.data([wireFrame(1, i * 100, 100)]);
    it.session.sendAck();
  }
  expect(it.closed).toBe(undefined);
});

test('the device gives the reference of an erased stream back, and may use it for another', () => {
  const it = setUp().greet();
  it.say(openMessage(1));
  it.session.opened(it.opens.at(-1)!, ERASED);
  it.say(openMessage(1, streamHandle('other')));
  expect(it.codes()).toEqual(['reference-in-use']);
  it.say({ type: 'close', ref: 1, next: 20, ended: true });
  expect(it.last()).toEqual({ type: 'closed', ref: 1 });
  it.open(1, streamHandle('other'));
  expect(it.last()).toEqual({ type: 'opened', ref: 1, settled: { next: 0, ranges: [] } });
});

test('a stream that is erased while it is open is discarded from then on; its neighbours go on', () => {
  const it = setUp().greet();
  const gone = it.open(1);
  const kept = it.open(2);
  it.data([wireFrame(1, 0, 10), wireFrame(2, 0, 10)]);
  gone.take(100);
  gone.unknown();
  it.session.erased(gone);
  expect(it.last()).toEqual({ type: 'opened', ref: 1, settled: EVERYTHING, discarded: true });
  it.data([wireFrame(1, 10, 10), wireFrame(2, 10, 10)]);
  expect(it.counters.discardedFrames).toBe(1);
  settle(kept, 20);
  it.session.sendAck();
  expect(it.closed).toBe(undefined);
  expect(it.last()).toMatchObject({
    type: 'ack',
    streams: [{ ref: 2, next: 20 }, { ref: 1 }],
  });
});

test('times that a stream without a clock has no use for are paid back with the frame', () => {
  const it = setUp().greet();
  const buffer = it.open(1, streamHandle('s1', { clock: 'none' }));
  it.data([wireFrame(1, 0, 5, { deltasUs: new Uint8Array(20) })]);
  settle(buffer, 5);
  it.session.disconnected();
  expect(it.pool.reservedBytes).toBe(0);
});

test('what was declared lost and is held after all is not settled for its device, until it comes or is lost here too', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  it.say({ ...openMessage(1), held: [[2, 6]] });
  const progress = { committed: [{ from: 0, to: 2 }], lost: [{ from: 2, to: 8 }] };
  it.session.opened(it.opens.at(-1)!, ok({ buffer, progress, newest: null }));
  expect(it.last()).toMatchObject({ type: 'opened', settled: { next: 2, ranges: [[6, 8]] } });
  it.data([wireFrame(1, 2, 2)]);
  buffer.take(10);
  buffer.settled({ committed: [{ from: 0, to: 4 }], lost: [{ from: 4, to: 8 }] });
  it.session.sendAck();
  expect(it.last()).toMatchObject({ type: 'ack', streams: [{ next: 4, ranges: [[6, 8]] }] });
  it.say({ type: 'tombstone', ref: 1, from: 4, to: 6, reason: 'device-store-full' });
  buffer.settled({ committed: [{ from: 0, to: 4 }], lost: [{ from: 4, to: 8 }] });
  it.session.sendAck();
  expect(it.last()).toMatchObject({ type: 'ack', streams: [{ next: 8, ranges: [] }] });
});

test('a store that says less than before is doubted; one that moves readings from lost to stored is not', () => {
  const it = setUp().greet();
  const buffer = it.open(1);
  const doubts = () => it.asked.filter((question) => question === 'wentBack').length;
  buffer.settled({ committed: [{ from: 0, to: 10 }], lost: [{ from: 10, to: 20 }] });
  buffer.settled({ committed: [{ from: 0, to: 25 }], lost: [] });
  expect(doubts()).toBe(0);
  buffer.settled({ committed: [{ from: 0, to: 24 }], lost: [] });
  expect(doubts()).toBe(1);
  buffer.settled({ committed: [{ from: 0, to: 24 }], lost: [] });
  expect(doubts()).toBe(1);
});
