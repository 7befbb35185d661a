import { expect, test } from 'vitest';

import { seededRandom } from '#base/random.ts';
import type { HubMessage } from '#contract/live-messages.ts';
import { closeCodes } from '#protocol/codes.ts';
import { encodeLiveFrames, LIVE_HEADER_BYTES, writeLiveHeader } from '#protocol/live-codec.ts';
import type { LiveEffect, LiveEvent } from '#sdk/live-events.ts';
import { MAX_CHANNELS } from '#sdk/live-channels.ts';
import { createLiveMachine } from '#sdk/live-machine.ts';

const CHANNEL = 'session/a/readings';

/** A machine with a hand-moved clock, and the effects of the last event. */
function bench() {
  const machine = createLiveMachine({ random: seededRandom(7) });
  let ms = 1000;
  let connection = 0;
  let effects: LiveEffect[] = [];
  const handle = (event: LiveEvent): LiveEffect[] => {
    effects = machine.handle(event, { ms, us: ms * 1000 });
    for (const effect of effects) if (effect.type === 'fetchTicket') connection = effect.connection;
    return effects;
  };
  const hear = (message: HubMessage) => handle({ type: 'text', connection, text: JSON.stringify(message) });
  const sent = () =>
    effects.flatMap((effect) =>
      effect.type === 'send' ? [JSON.parse(effect.text) as { type: string }] : [],
    );
  const advance = (byMs: number) => {
    ms += byMs;
    return handle({ type: 'wake' });
  };
  return {
    machine,
    handle,
    hear,
    sent,
    advance,
    /** Time passes, no timer fires. */
    pass: (byMs: number) => (ms += byMs),
    get connection() {
      return connection;
    },
    get ms() {
      return ms;
    },
    open() {
      handle({ type: 'ticket', connection, ticket: 't' });
      return hear({ type: 'welcome', serverUs: 0, heartbeatMs: 1000 });
    },
    closed: (code: number) => handle({ type: 'closed', connection, code, reason: '' }),
    /** Goes to the end of the wait, whatever its length. */
    waitOut() {
      expect(machine.state.name).toBe('waiting');
      ms = machine.wakeAtMs;
      return handle({ type: 'wake' });
    },
  };
}

function live(channel: number, offset: number): Uint8Array {
  const frames = encodeLiveFrames([
    {
      streamId: '0190a0b0-c0d0-7000-8000-000000000001',
      epoch: '00000000000000ff',
      count: 1,
      firstSeq: 5,
      firstUs: 0,
      periodNs: 0,
      deltasUs: null,
      payload: new Uint8Array(4),
      liveOnly: false,
      sentUs: 0,
      arrivalUs: 0,
      offsetUs: 0,
    },
  ]);
  const bytes = new Uint8Array(LIVE_HEADER_BYTES + frames.length);
  writeLiveHeader(bytes, { channel, offset, publishedUs: 0 });
  bytes.set(frames, LIVE_HEADER_BYTES);
  return bytes;
}

test('start fetches a ticket, the ticket connects, the welcome opens and subscribes', () => {
  const b = bench();
  b.handle({ type: 'subscribe', channel: CHANNEL });
  expect(b.handle({ type: 'start' })).toEqual([
    { type: 'state', state: { name: 'connecting', transport: 'websocket' } },
    { type: 'fetchTicket', connection: 1 },
  ]);
  expect(b.handle({ type: 'ticket', connection: 1, ticket: 'abc' })).toEqual([
    { type: 'connect', connection: 1, transport: 'websocket', ticket: 'abc' },
  ]);
  b.hear({ type: 'welcome', serverUs: 0, heartbeatMs: 1000 });
  expect(b.machine.state).toEqual({ name: 'open', transport: 'websocket' });
  expect(b.sent()).toEqual([
    { type: 'subscribe', id: 1, channel: CHANNEL },
    { type: 'probe', id: 1, t0Us: 1_000_000 },
  ]);
});

test('readings reach their channel, and a jump of the offset tells how many ticks were skipped', () => {
  const b = bench();
  b.handle({ type: 'subscribe', channel: CHANNEL });
  b.handle({ type: 'start' });
  b.open();
  b.hear({ type: 'subscribed', id: 1, channel: CHANNEL, number: 9, lossClass: 'live' });
  const receive = (offset: number, channel = 9) =>
    b.handle({ type: 'binary', connection: b.connection, bytes: live(channel, offset) });
  expect(receive(40)[0]).toMatchObject({ type: 'readings', channel: CHANNEL, skipped: 0 });
  expect(receive(41)[0]).toMatchObject({ skipped: 0 });
  expect(receive(45)[0]).toMatchObject({ skipped: 3, message: { frames: [{ firstSeq: 5 }] } });
  // Another instance publishes now: its count says nothing about ours.
  expect(receive(2)[0]).toMatchObject({ skipped: 0 });
  expect(receive(3, 77)).toEqual([]);
});

test('after a lost connection the channels are subscribed again under the new numbers', () => {
  const b = bench();
  b.handle({ type: 'subscribe', channel: CHANNEL });
  b.handle({ type: 'start' });
  b.open();
  b.hear({ type: 'subscribed', id: 1, channel: CHANNEL, number: 9, lossClass: 'live' });
  b.closed(1006);
  expect(b.machine.state).toMatchObject({ name: 'waiting', attempt: 1, code: 1006 });
  b.waitOut();
  b.open();
  expect(b.sent()[0]).toEqual({ type: 'subscribe', id: 2, channel: CHANNEL });
  b.hear({ type: 'subscribed', id: 2, channel: CHANNEL, number: 4, lossClass: 'live' });
  const receive = (channel: number) =>
    b.handle({ type: 'binary', connection: b.connection, bytes: live(channel, 1) });
  expect(receive(9)).toEqual([]);
  expect(receive(4)).toHaveLength(1);
});

test('what an old connection still says changes nothing', () => {
  const b = bench();
  b.handle({ type: 'start' });
  const old = b.connection;
  b.open();
  b.closed(1006);
  const before = b.machine.state;
  expect(b.handle({ type: 'closed', connection: old, code: 4501, reason: '' })).toEqual([]);
  expect(b.handle({ type: 'ticket', connection: old, ticket: 'late' })).toEqual([]);
  expect(b.machine.state).toBe(before);
});

test('close codes below 4500 are waited out, those above end the client', () => {
  for (const [code, name] of [
    [1001, 'waiting'],
    [closeCodes.draining, 'waiting'],
    [closeCodes.slowConsumer, 'waiting'],
    [closeCodes.forbidden, 'closed'],
    [closeCodes.version, 'closed'],
  ] as const) {
    const b = bench();
    b.handle({ type: 'start' });
    b.open();
    b.closed(code);
    expect(b.machine.state.name, String(code)).toBe(name);
  }
});

test('a refused ticket is replaced a few times, then the client gives up', () => {
  const b = bench();
  b.handle({ type: 'start' });
  for (let i = 0; i < 3; i++) {
    b.closed(closeCodes.unauthenticated);
    b.waitOut();
  }
  b.closed(closeCodes.unauthenticated);
  expect(b.machine.state).toMatchObject({ name: 'closed', code: closeCodes.unauthenticated });
});

test('a key that is refused where tickets are made ends the client; a busy server does not', () => {
  const b = bench();
  b.handle({ type: 'start' });
  const fail = (code: string, temporary: boolean) =>
    b.handle({ type: 'ticketFailed', connection: b.connection, code, message: '', temporary });
  fail('overloaded', true);
  b.waitOut();
  fail('unauthenticated', false);
  expect(b.machine.state).toMatchObject({ name: 'closed', code: 'unauthenticated' });
  expect(b.machine.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
});

test('the waits grow, are bounded, differ, and start small again after a stable connection', () => {
  const b = bench();
  b.handle({ type: 'start' });
  const waits: number[] = [];
  for (let i = 0; i < 40; i++) {
    b.closed(1006);
    waits.push(b.machine.wakeAtMs - b.ms);
    b.waitOut();
  }
  expect(waits[0]).toBeLessThanOrEqual(500);
  expect(Math.max(...waits)).toBeGreaterThan(5000);
  expect(Math.max(...waits)).toBeLessThanOrEqual(10_000);
  expect(new Set(waits).size).toBe(waits.length);
  b.open();
  for (let i = 0; i < 8; i++) {
    b.advance(900);
    b.hear({ type: 'heartbeat' });
  }
  b.closed(1006);
  expect(b.machine.wakeAtMs - b.ms).toBeLessThanOrEqual(500);
});

test('a silent server is given up after three heartbeats, and the connection is opened anew', () => {
  const b = bench();
  b.handle({ type: 'start' });
  b.open();
  b.advance(2900);
  expect(b.machine.state.name).toBe('open');
  expect(b.advance(200)).toEqual([
    { type: 'disconnect', code: closeCodes.silent },
    { type: 'state', state: expect.objectContaining({ name: 'waiting', code: closeCodes.silent }) },
  ]);
  b.waitOut();
  expect(b.machine.state.name).toBe('connecting');
});

test('a handshake that does not end is given up', () => {
  const b = bench();
  b.handle({ type: 'start' });
  b.advance(9_000);
  expect(b.machine.state.name).toBe('connecting');
  b.advance(2_000);
  expect(b.machine.state.name).toBe('waiting');
});

test('a heartbeat or a probe leaves within every heartbeat interval', () => {
  const b = bench();
  b.handle({ type: 'start' });
  b.open();
  let silentMs = 0;
  for (let i = 0; i < 100; i++) {
    b.hear({ type: 'heartbeat' });
    const stepMs = Math.max(1, b.machine.wakeAtMs - b.ms);
    b.advance(stepMs);
    silentMs = b.sent().length === 0 ? silentMs + stepMs : 0;
    expect(silentMs).toBeLessThanOrEqual(1000);
  }
});

test('a heartbeat is answered by one even when no timer runs, as in a hidden page', () => {
  const b = bench();
  b.handle({ type: 'start' });
  b.open();
  b.pass(1500);
  b.hear({ type: 'heartbeat' });
  expect(b.sent()).toEqual([{ type: 'heartbeat' }]);
});

test('probes give the offset of the server clock', () => {
  const b = bench();
  b.handle({ type: 'start' });
  b.open();
  const effects = b.hear({ type: 'probe', id: 1, t0Us: 999_000, t1Us: 5_000_000, t2Us: 5_000_000 });
  expect(effects).toEqual([{ type: 'clock', estimate: { offsetUs: 4_000_500, roundTripUs: 1000 } }]);
  expect(b.hear({ type: 'probe', id: 99, t0Us: 999_999, t1Us: 0, t2Us: 0 })).toEqual([]);
});

test('a channel that may not be followed is given up, a passing failure is tried again', () => {
  const b = bench();
  b.handle({ type: 'subscribe', channel: CHANNEL });
  b.handle({ type: 'subscribe', channel: 'session/b/readings' });
  b.handle({ type: 'start' });
  b.open();
  expect(b.hear({ type: 'error', code: 'forbidden', message: 'no', id: 1 })).toEqual([
    { type: 'refused', channel: CHANNEL, code: 'forbidden', message: 'no' },
  ]);
  expect(b.hear({ type: 'error', code: 'overloaded', message: 'later', id: 2 })).toEqual([]);
  b.advance(2000);
  expect(b.sent()).toContainEqual({ type: 'subscribe', id: 3, channel: 'session/b/readings' });
});

test('a draining server is left, and its wish is waited for', () => {
  const b = bench();
  b.handle({ type: 'start' });
  b.open();
  expect(b.hear({ type: 'bye', afterMs: 4000 })[0]).toEqual({ type: 'disconnect', code: 1000 });
  expect(b.machine.wakeAtMs - b.ms).toBeGreaterThanOrEqual(4000);
});

// Timers beyond 2^31 ms fire at once: the client spun, and would have stayed away for 285 thousand years.
test('a server that wishes a viewer away for ever is asked again after a minute', () => {
  const b = bench();
  b.handle({ type: 'start' });
  b.open();
  b.hear({ type: 'bye', afterMs: Number.MAX_SAFE_INTEGER });
  expect(b.machine.wakeAtMs - b.ms).toBeGreaterThanOrEqual(60_000);
  expect(b.machine.wakeAtMs - b.ms).toBeLessThan(70_000);
});

test('hostile bytes and texts are reported and the connection lives', () => {
  const b = bench();
  b.handle({ type: 'start' });
  b.open();
  const { connection } = b;
  expect(b.handle({ type: 'text', connection, text: '{"type":"welcome"}' })[0]).toMatchObject({
    type: 'problem',
    code: 'invalid-field',
  });
  expect(b.handle({ type: 'binary', connection, bytes: new Uint8Array(3) })[0]).toMatchObject({
    type: 'problem',
    code: 'malformed-message',
  });
  expect(b.machine.state.name).toBe('open');
});

test('one channel more than the maximum is refused', () => {
  const b = bench();
  for (let i = 0; i < MAX_CHANNELS; i++)
    expect(b.handle({ type: 'subscribe', channel: `session/${i}/readings` })).toEqual([]);
  expect(b.handle({ type: 'subscribe', channel: CHANNEL })[0]).toMatchObject({
    type: 'refused',
    code: 'limit-exceeded',
  });
});

test('stop closes the socket, for good', () => {
  const b = bench();
  b.handle({ type: 'start' });
  b.open();
  expect(b.handle({ type: 'stop' })).toEqual([
    { type: 'disconnect', code: 1000 },
    { type: 'state', state: { name: 'closed', code: 'stopped', message: 'stopped by the caller' } },
  ]);
});
