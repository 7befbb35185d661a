import { expect, test } from 'vitest';

import { seededRandom } from '#base/random.ts';
import type { HubMessage } from '#contract/live-messages.ts';
import { closeCodes } from '#protocol/codes.ts';
import { encodeLiveFrames, LIVE_HEADER_BYTES, writeLiveHeader } from '#protocol/live-codec.ts';
import type { LiveEffect, LiveEvent, LiveMachineOptions } from '#sdk/live-events.ts';
import { MAX_CHANNELS } from '#sdk/live-channels.ts';
import { createLiveMachine } from '#sdk/live-machine.ts';

const CHANNEL = 'session/a/readings';

/** A machine with a hand-moved clock, and the effects of the last event. */
function bench(options: Partial<LiveMachineOptions> = {}) {
  const machine = createLiveMachine({ random: seededRandom(7), ...options });
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

const ask = (ref: number, isRepeatable: boolean): LiveEvent => ({
  type: 'ask',
  ask: {
    ref,
    body: { type: 'publish', channel: 'room/a', event: 'said', data: ref },
    deadlineMs: 60_000,
    isRepeatable,
  },
});

test('what is asked while away waits; what was under way is sent again when it may be', () => {
  const b = bench();
  b.handle({ type: 'start' });
  b.handle(ask(1, false));
  b.open();
  expect(b.sent()).toMatchObject([{ type: 'publish', id: 1, data: 1 }, { type: 'probe' }]);
  b.handle(ask(2, true));
  expect(b.closed(1006)).toContainEqual(
    expect.objectContaining({ type: 'failed', ref: 1, code: 'unreachable' }),
  );
  b.waitOut();
  b.open();
  expect(b.sent()).toContainEqual(expect.objectContaining({ type: 'publish', data: 2 }));
  const [{ id }] = b.sent() as unknown as [{ id: number }];
  expect(b.hear({ type: 'published', id })).toMatchObject([{ type: 'answered', ref: 2 }]);
});

test('a server that drains is left when its answers have come, or after two seconds', () => {
  const b = bench();
  b.handle({ type: 'start' });
  b.open();
  b.handle(ask(1, false));
  expect(b.hear({ type: 'bye', afterMs: 1000 })).toEqual([]);
  b.handle(ask(2, false));
  expect(b.sent(), 'nothing more is asked of it').toEqual([]);
  expect(b.hear({ type: 'published', id: 1 })).toMatchObject([
    { type: 'answered', ref: 1 },
    { type: 'disconnect' },
    { type: 'state', state: { name: 'waiting' } },
  ]);
  b.waitOut();
  b.open();
  expect(b.sent()[0], 'what waited goes to the next').toMatchObject({ type: 'publish', data: 2 });
  b.hear({ type: 'bye', afterMs: 0 });
  expect(b.advance(2_000)).toContainEqual({ type: 'disconnect', code: 1000 });
});

test('many viewers that a restart closed do not come back together', () => {
  const waits = Array.from({ length: 200 }, (_, seed) => {
    const machine = createLiveMachine({ random: seededRandom(seed) });
    const now = { ms: 0, us: 0 };
    machine.handle({ type: 'start' }, now);
    machine.handle(
      { type: 'text', connection: 1, text: '{"type":"welcome","serverUs":0,"heartbeatMs":1000}' },
      now,
    );
    machine.handle({ type: 'closed', connection: 1, code: closeCodes.restarting, reason: '' }, now);
    return machine.wakeAtMs;
  });
  for (let second = 0; second < 5; second++)
    expect(waits.filter((waitMs) => Math.floor(waitMs / 1000) === second).length).toBeLessThan(80);
});

function refreshing() {
  const b = bench({ canRefresh: true });
  b.handle({ type: 'start' });
  b.handle({ type: 'ticket', connection: b.connection, ticket: 'first' });
  b.hear({
    type: 'welcome',
    serverUs: 5_000_000,
    heartbeatMs: 1_000_000,
    expiresAtUs: 5_000_000 + 100_000_000,
  });
  const due = (): LiveEffect[] => {
    for (let i = 0; i < 1000; i++) {
      const effects = b.advance(1_000);
      if (effects.some(({ type }) => type === 'fetchTicket')) return effects;
      b.hear({ type: 'heartbeat' });
    }
    throw new Error('no refresh');
  };
  return { b, due };
}

test('a new token is shown in the second half of the life of the old one, and again before that one ends', () => {
  const { b, due } = refreshing();
  const openedMs = b.ms;
  due();
  expect(b.ms - openedMs).toBeGreaterThanOrEqual(50_000);
  expect(b.ms - openedMs).toBeLessThan(85_000);
  b.handle({ type: 'ticket', connection: b.connection, ticket: 'second' });
  expect(b.sent()).toMatchObject([{ type: 'refresh', key: 'second' }]);
  const [{ id }] = b.sent() as unknown as [{ id: number }];
  const refreshedMs = b.ms;
  b.hear({ type: 'refreshed', id, expiresAtUs: 5_000_000 + (b.ms - 1000) * 1000 + 40_000_000 });
  due();
  expect(b.ms - refreshedMs).toBeGreaterThanOrEqual(20_000);
  expect(b.ms - refreshedMs).toBeLessThan(34_000);
  expect(b.machine.state.name).toBe('open');
});

test('a refresh that fails for now is tried again; one that fails for good is left to the server', () => {
  const { b, due } = refreshing();
  due();
  b.handle({ type: 'ticketFailed', connection: b.connection, code: 'x', message: '', temporary: true });
  const triedMs = b.ms;
  due();
  expect(b.ms - triedMs).toBe(5_000);
  b.handle({ type: 'ticketFailed', connection: b.connection, code: 'x', message: '', temporary: false });
  expect(b.machine.state.name).toBe('open');
  expect(() => due()).toThrow('no refresh');
  b.closed(closeCodes.expired);
  expect(b.machine.state.name).toBe('waiting');
});

test('a transport that cannot be opened is replaced, and the better one taken when it works again', () => {
  const b = bench({ transports: ['websocket', 'sse'] });
  b.handle({ type: 'subscribe', channel: CHANNEL });
  b.handle({ type: 'start' });
  for (let i = 0; i < 2; i++) {
    b.closed(1006);
    b.waitOut();
  }
  b.open();
  expect(b.machine.state).toEqual({ name: 'open', transport: 'sse' });
  const look = (): LiveEffect | undefined => {
    for (let i = 0; i < 1000; i++) {
      b.hear({ type: 'heartbeat' });
      const found = b.advance(500).find(({ type }) => type === 'try');
      if (found !== undefined) return found;
    }
    return undefined;
  };
  expect(look()).toEqual({ type: 'try', connection: b.connection, transport: 'websocket' });
  expect(b.handle({ type: 'tried', connection: b.connection, isOpen: false })).toEqual([]);
  look();
  b.handle({ type: 'tried', connection: b.connection, isOpen: true });
  b.waitOut();
  b.open();
  expect(b.machine.state).toEqual({ name: 'open', transport: 'websocket' });
  expect(b.sent()[0]).toMatchObject({ type: 'subscribe', channel: CHANNEL });
});

test('a handshake that takes all its time is not waited for twice', () => {
  const b = bench();
  b.handle({ type: 'start' });
  b.advance(11_000);
  b.waitOut();
  expect(b.machine.state).toEqual({ name: 'connecting', transport: 'sse' });
});

test('a server that refuses with a reason is not mistaken for a blocked transport', () => {
  const b = bench();
  b.handle({ type: 'start' });
  for (let i = 0; i < 8; i++) {
    b.closed(closeCodes.overloaded);
    b.waitOut();
    expect(b.machine.state).toEqual({ name: 'connecting', transport: 'websocket' });
  }
});
