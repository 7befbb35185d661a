import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import type { HubMessage, Progress } from '#contract/live-messages.ts';
import type { CloseReason } from '#protocol/codes.ts';
import { decodeLive, encodeLiveFrames, type LiveFrame, type LiveMessage } from '#protocol/live-codec.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import { createHub } from '#live/hub.ts';
import type { Outgoing, Transport } from '#live/transport.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { testPrincipal } from '#test/support/principals.ts';
import { createTestChannels, type TestRule } from '#test/support/test-channels.ts';

const sessionA = '01890000-0000-7000-8000-00000000000a';
const sessionB = '01890000-0000-7000-8000-00000000000b';
const channelA = `session/${sessionA}/readings`;
const channelB = `session/${sessionB}/readings`;

function liveFrame(firstSeq: number, payloadBytes = 8): LiveFrame {
  return {
    streamId: sessionA,
    epoch: '00000000000000aa',
    count: 1,
    firstSeq,
    firstUs: 1000 * firstSeq,
    periodNs: 5_000_000,
    deltasUs: null,
    payload: new Uint8Array(payloadBytes).fill(firstSeq),
    liveOnly: false,
    sentUs: 1,
    arrivalUs: 2,
    offsetUs: 3,
  };
}

function progressOf(epoch: string, next: number): Progress {
  return { stream: sessionA, epoch, next, ranges: [], lost: 0 };
}

/** A transport that keeps what it was given and says "sent" only when told to. */
function createFakeTransport() {
  const writes: (readonly Outgoing[])[] = [];
  const unsent: (() => void)[] = [];
  let isStuck = false;
  let closedWith: CloseReason | null = null;
  const transport: Transport = {
    write(items, sent) {
      writes.push(items);
      if (isStuck) unsent.push(sent);
      else sent();
    },
    close(reason) {
      closedWith = reason;
    },
  };
  const items = (): Outgoing[] => writes.flat();
  return {
    transport,
    writes,
    stick: () => void (isStuck = true),
    unstick(): void {
      isStuck = false;
      for (const sent of unsent.splice(0)) sent();
    },
    closedWith: () => closedWith,
    control: (): HubMessage[] =>
      items()
        .filter((item) => item.isText)
        .map((item) => JSON.parse(Buffer.from(item.message).toString()) as HubMessage),
    live: (): LiveMessage[] =>
      items()
        .filter((item) => !item.isText)
        .map((item) => {
          const message = decodeLive(item.message);
          if (!message.ok) throw new Error(message.error.message);
          return message.value;
        }),
  };
}

interface Setup {
  readonly limits?: Partial<HubLimits>;
  readonly rule?: TestRule;
}

function setUp({ limits = {}, rule = () => true }: Setup = {}) {
  const clock = createManualClock();
  const bus = createMemoryBus();
  const failures: unknown[] = [];
  let turn: (() => void)[] = [];
  const hub = createHub({
    channels: createTestChannels({ clock, bus, rule, onFailure: (cause) => failures.push(cause) }),
    clock,
    authenticate: async () => null,
    limits,
    random: { next: () => 0.5 },
    onFailure: (cause) => failures.push(cause),
    endOfTurn: (callback) => void turn.push(callback),
  });
  /** Ends the turn of the event loop, and those that it leads to. */
  const tick = (): void => {
    for (let round = 0; round < 10 && turn.length > 0; round++) {
      const due = turn;
      turn = [];
      for (const callback of due) callback();
    }
  };
  const connect = (identity = 'someone') => {
    const fake = createFakeTransport();
    const port = hub.connect(fake.transport, testPrincipal({ subject: identity }));
    return { ...fake, port, send: (message: unknown) => port.receiveText(JSON.stringify(message)) };
  };
  const follow = async (viewer: ReturnType<typeof connect>, channel: string): Promise<void> => {
    viewer.send({ type: 'subscribe', id: 1, channel });
    await settled();
    tick();
  };
  const publish = (channel: string, firstSeq: number, payloadBytes = 8): void =>
    bus.publish(channel, encodeLiveFrames([liveFrame(firstSeq, payloadBytes)]));
  const publishProgress = (session: string, list: unknown): void =>
    bus.publish(`session/${session}/committed`, Buffer.from(JSON.stringify(list)));
  return { hub, bus, clock, failures, tick, connect, follow, publish, publishProgress };
}

/** Lets the promises of an authorisation run. */
async function settled(): Promise<void> {
  for (let i = 0; i < 40; i++) await Promise.resolve();
}

const seqsOf = (messages: readonly LiveMessage[]): number[] =>
  messages.flatMap((message) => message.frames.map((frame) => frame.firstSeq));

test('a viewer is welcomed, subscribes, and sees the readings of one turn in one message', async () => {
  const { connect, follow, publish, tick, hub } = setUp();
  const viewer = connect();
  await follow(viewer, channelA);
  publish(channelA, 1);
  publish(channelA, 2);
  tick();
  expect(viewer.control()).toEqual([
    { type: 'welcome', serverUs: 1_700_000_000_000_000, heartbeatMs: 5000 },
    { type: 'subscribed', id: 1, channel: channelA, number: 1, lossClass: 'live' },
  ]);
  expect(viewer.live()).toHaveLength(1);
  expect(viewer.live()[0]).toMatchObject({ channel: 1, offset: 1, publishedUs: 1_700_000_000_000_000 });
  expect(seqsOf(viewer.live())).toEqual([1, 2]);
  expect(hub.counters).toMatchObject({ viewers: 1, channels: 1, subscriptions: 1, ticks: 1 });
});

test('a tick is encoded once: all viewers of a channel are given the same bytes', async () => {
  const { connect, follow, publish, tick } = setUp();
  const viewers = [connect(), connect(), connect()];
  for (const viewer of viewers) await follow(viewer, channelA);
  publish(channelA, 1);
  tick();
  const buffers = viewers.map((viewer) => viewer.writes.at(-1)![0]!.framed);
  expect(buffers[1]).toBe(buffers[0]);
  expect(buffers[2]).toBe(buffers[0]);
});

test('what a viewer misses in several channels at a tick goes in one write', async () => {
  const { connect, follow, publish, publishProgress, tick } = setUp();
  const viewer = connect();
  await follow(viewer, channelA);
  await follow(viewer, channelB);
  const before = viewer.writes.length;
  publish(channelA, 1);
  publish(channelB, 2);
  publishProgress(sessionB, [progressOf('00000000000000aa', 7)]);
  tick();
  expect(viewer.writes.length).toBe(before + 1);
  expect(viewer.writes.at(-1)).toHaveLength(3);
});

test('the bus is listened to only while a channel has viewers', async () => {
  const { connect, follow, bus, hub } = setUp();
  const first = connect();
  const second = connect();
  expect(bus.hasListeners(channelA)).toBe(false);
  await follow(first, channelA);
  await follow(second, channelA);
  first.send({ type: 'unsubscribe', id: 2, channel: channelA });
  expect(first.control().at(-1)).toEqual({ type: 'unsubscribed', id: 2, channel: channelA });
  expect(bus.hasListeners(channelA)).toBe(true);
  second.port.ended();
  expect(bus.hasListeners(channelA)).toBe(false);
  expect(bus.hasListeners(`session/${sessionA}/committed`)).toBe(false);
  expect(hub.counters).toMatchObject({
    viewers: 1,
    channels: 0,
    subscriptions: 0,
    closesByReason: { peer: 1 },
  });
});

test('data of one channel never reach a viewer of another, also after channels closed and opened again', async () => {
  const { connect, follow, publish, tick } = setUp();
  const a = connect();
  const b = connect();
  await follow(a, channelA);
  await follow(b, channelB);
  publish(channelA, 1);
  publish(channelB, 2);
  tick();
  expect(seqsOf(a.live())).toEqual([1]);
  expect(seqsOf(b.live())).toEqual([2]);
  publish(channelA, 3);
  a.send({ type: 'unsubscribe', id: 2, channel: channelA });
  await follow(a, channelB);
  publish(channelB, 4);
  tick();
  expect(seqsOf(a.live())).toEqual([1, 4]);
  const numbers = a.control().flatMap((message) => (message.type === 'subscribed' ? [message.number] : []));
  expect(numbers).toEqual([1, 2]);
  expect(a.live().at(-1)!.channel).toBe(2);
});

test('a refused subscription is answered with its code and gives nothing', async () => {
  const { connect, follow, bus, hub } = setUp({
    rule: async (_name, { subject }) => {
      if (subject === 'owner') return true;
      throw new AppError('forbidden', 'not yours');
    },
  });
  const viewer = connect('stranger');
  await follow(viewer, channelA);
  expect(viewer.control().at(-1)).toEqual({
    type: 'error',
    code: 'forbidden',
    message: 'not yours',
    field: '/channel',
    id: 1,
  });
  expect(bus.hasListeners(channelA)).toBe(false);
  expect(hub.counters.errorsByCode).toEqual({ forbidden: 1 });
});

test('an authorisation that fails unexpectedly is reported and answered as internal', async () => {
  const cause = new Error('database gone');
  const { connect, follow, failures } = setUp({ rule: async () => Promise.reject(cause) });
  const viewer = connect();
  await follow(viewer, channelA);
  expect(viewer.control().at(-1)).toMatchObject({ type: 'error', code: 'internal', id: 1 });
  expect(failures).toEqual([cause]);
  await follow(viewer, channelA);
  expect(failures).toHaveLength(2);
});

test('unsubscribing while permission is asked leaves no subscription behind', async () => {
  const { connect, bus } = setUp();
  const viewer = connect();
  viewer.send({ type: 'subscribe', id: 1, channel: channelA });
  viewer.send({ type: 'subscribe', id: 2, channel: channelA });
  viewer.send({ type: 'unsubscribe', id: 3, channel: channelA });
  await settled();
  expect(viewer.control().slice(1)).toMatchObject([
    { type: 'error', code: 'conflict', id: 2 },
    { type: 'unsubscribed', id: 3 },
    { type: 'error', code: 'conflict', id: 1 },
  ]);
  expect(bus.hasListeners(channelA)).toBe(false);
});

test('a viewer that leaves while permission is asked does not join', async () => {
  const { connect, bus } = setUp();
  const viewer = connect();
  viewer.send({ type: 'subscribe', id: 1, channel: channelA });
  viewer.port.ended();
  await settled();
  expect(bus.hasListeners(channelA)).toBe(false);
});

test('subscribing again answers with the same number', async () => {
  const { connect, follow, hub } = setUp();
  const viewer = connect();
  await follow(viewer, channelA);
  await follow(viewer, channelA);
  expect(viewer.control().at(-1)).toMatchObject({ type: 'subscribed', number: 1, lossClass: 'live' });
  expect(hub.counters.subscriptions).toBe(1);
});

test('a bad message gets a typed error naming the field and the request, and the connection lives', async () => {
  const { connect, follow } = setUp();
  const viewer = connect();
  const bad: [string, unknown][] = [
    ['not json', { code: 'malformed-message' }],
    ['[]', { code: 'malformed-message' }],
    ['{"type":"dance"}', { code: 'invalid-field', field: '/type' }],
    ['{"type":"subscribe","id":5}', { code: 'invalid-field', field: '/channel', id: 5 }],
    [
      `{"type":"subscribe","id":6,"channel":"${channelA}","x":1}`,
      { code: 'invalid-field', field: '/x', id: 6 },
    ],
    ['{"type":"subscribe","id":-1,"channel":"a"}', { code: 'invalid-field', field: '/id' }],
    [
      '{"type":"subscribe","id":7,"channel":"session/1/readings"}',
      { code: 'not-found', field: '/channel', id: 7 },
    ],
    ['{"type":"hello","key":"k"}', { code: 'already-greeted' }],
    [`{"type":"${'x'.repeat(20_000)}"}`, { code: 'message-too-large' }],
  ];
  for (const [text, error] of bad) {
    viewer.port.receiveText(text);
    expect(viewer.control().at(-1)).toMatchObject({ type: 'error', ...(error as object) });
  }
  viewer.port.receiveBinary();
  expect(viewer.control().at(-1)).toMatchObject({ type: 'error', code: 'malformed-message' });
  expect(viewer.closedWith()).toBeNull();
  await follow(viewer, channelA);
  expect(viewer.control().at(-1)).toMatchObject({ type: 'subscribed' });
});

test('the 65th subscription of a connection is refused', async () => {
  const { connect, hub } = setUp();
  const viewer = connect();
  for (let i = 0; i < 65; i++) {
    const channel = `session/01890000-0000-7000-8000-${i.toString(16).padStart(12, '0')}/readings`;
    viewer.send({ type: 'subscribe', id: i, channel });
  }
  await settled();
  const errors = viewer.control().filter((message) => message.type === 'error');
  expect(errors).toMatchObject([{ code: 'limit-exceeded', field: '/channel', id: 64 }]);
  expect(hub.counters).toMatchObject({ subscriptions: 64, channels: 64 });
});

test('a probe is answered at once with the times of receipt and of sending', () => {
  const { connect } = setUp();
  const viewer = connect();
  viewer.send({ type: 'probe', id: 9, t0Us: 5 });
  expect(viewer.control().at(-1)).toEqual({
    type: 'probe',
    id: 9,
    t0Us: 5,
    t1Us: 1_700_000_000_000_000,
    t2Us: 1_700_000_000_000_000,
  });
});

test('a viewer that does not take its bytes is skipped and goes on with the newest', async () => {
  const { connect, follow, publish, tick, hub } = setUp({
    limits: { highWaterBytes: 1000, ringTicks: 4, batchBytes: 500 },
  });
  const slow = connect();
  const fast = connect();
  await follow(slow, channelA);
  await follow(fast, channelA);
  slow.stick();
  for (let seq = 1; seq <= 50; seq++) {
    publish(channelA, seq, 100);
    tick();
  }
  expect(seqsOf(fast.live())).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  const before = seqsOf(slow.live());
  expect(before).toEqual([1, 2, 3, 4, 5]);
  expect(hub.counters).toMatchObject({ laggingViewers: 1, ticksSkipped: 0, ticksEvicted: 41 });

  slow.unstick();
  tick();
  // Four ticks are kept; two of 216 bytes fit into a batch of 500.
  expect(seqsOf(slow.live())).toEqual([...before, 49, 50]);
  expect(slow.live().map((message) => message.offset)).toEqual([...before, 49, 50]);
  expect(hub.counters).toMatchObject({ laggingViewers: 0, ticksSkipped: 43 });
});

test('ticks are kept for laggards only, bounded in bytes', async () => {
  const { connect, follow, publish, tick, hub } = setUp({
    limits: { highWaterBytes: 100, ringBytes: 1000, batchBytes: 1_000_000 },
  });
  const viewer = connect();
  await follow(viewer, channelA);
  for (let seq = 1; seq <= 20; seq++) {
    publish(channelA, seq, 300);
    tick();
  }
  expect(hub.counters.ticksEvicted).toBe(0);
  viewer.stick();
  for (let seq = 21; seq <= 40; seq++) {
    publish(channelA, seq, 300);
    tick();
  }
  viewer.unstick();
  tick();
  // 21 was written, 22 to 40 waited; 416 bytes each, so two fit in 1,000.
  expect(hub.counters.ticksEvicted).toBe(17);
  expect(seqsOf(viewer.live()).slice(-3)).toEqual([21, 39, 40]);
});

test('channels that do not fit into one write take turns, and none starves', async () => {
  const { connect, follow, publish, tick } = setUp({ limits: { batchBytes: 500, highWaterBytes: 100 } });
  const viewer = connect();
  const channels = ['a', 'b', 'c', 'd', 'e'].map(
    (x) => `session/01890000-0000-7000-8000-00000000000${x}/readings`,
  );
  for (const channel of channels) await follow(viewer, channel);
  // Two ticks fit into a write, five channels have one each time that the viewer takes a write.
  for (let round = 0; round < 10; round++) {
    viewer.stick();
    for (const [i, channel] of channels.entries()) publish(channel, i, 100);
    tick();
    viewer.unstick();
  }
  const seen = seqsOf(viewer.live());
  expect(seen).toHaveLength(20);
  for (const i of channels.keys()) expect(seen.filter((seq) => seq === i).length).toBeGreaterThanOrEqual(3);
});

test('what did not fit into one write follows when that has left, without anything new', async () => {
  const { connect, follow, publish, tick } = setUp({ limits: { batchBytes: 250 } });
  const viewer = connect();
  await follow(viewer, channelA);
  await follow(viewer, channelB);
  publish(channelA, 1, 100);
  publish(channelB, 2, 100);
  const before = viewer.writes.length;
  tick();
  expect(seqsOf(viewer.live())).toEqual([1, 2]);
  expect(viewer.writes.length - before).toBe(2);
});

test('a burst beyond the size of a tick is sealed into several, none lost', async () => {
  const { connect, follow, publish, tick } = setUp({ limits: { tickBytes: 500 } });
  const viewer = connect();
  await follow(viewer, channelA);
  for (let seq = 1; seq <= 10; seq++) publish(channelA, seq, 100);
  tick();
  expect(seqsOf(viewer.live())).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(viewer.live().map((message) => message.offset)).toEqual([1, 2, 3, 4, 5]);
});

test('an oversized or empty payload from the bus is dropped, the oversized counted', async () => {
  const { connect, follow, bus, tick, hub } = setUp({ limits: { payloadBytes: 100 } });
  const viewer = connect();
  await follow(viewer, channelA);
  bus.publish(channelA, new Uint8Array(101));
  bus.publish(channelA, new Uint8Array(0));
  bus.publish(`session/${sessionA}/committed`, new Uint8Array(101));
  tick();
  expect(viewer.live()).toEqual([]);
  expect(hub.counters).toMatchObject({ busPayloads: 3, busOversized: 2 });
});

test('committed conflates to the newest per (stream, epoch), also for a viewer that was slow', async () => {
  const { connect, follow, publish, publishProgress, tick } = setUp({ limits: { highWaterBytes: 100 } });
  const viewer = connect();
  await follow(viewer, channelA);
  publishProgress(sessionA, [progressOf('00000000000000aa', 1), progressOf('00000000000000bb', 1)]);
  publishProgress(sessionA, [progressOf('00000000000000aa', 2)]);
  tick();
  expect(viewer.control().at(-1)).toEqual({
    type: 'committed',
    channel: 1,
    streams: [progressOf('00000000000000bb', 1), progressOf('00000000000000aa', 2)],
  });
  viewer.stick();
  publish(channelA, 1, 200);
  tick();
  const before = viewer.writes.length;
  for (let next = 3; next < 20; next++) {
    publishProgress(sessionA, [progressOf('00000000000000aa', next)]);
    tick();
  }
  expect(viewer.writes.length).toBe(before);
  viewer.unstick();
  tick();
  expect(viewer.control().at(-1)).toMatchObject({ streams: [progressOf('00000000000000aa', 19)] });
});

test('a viewer that joins later is told the progress that is known', async () => {
  const { connect, follow, publishProgress, tick } = setUp();
  const first = connect();
  await follow(first, channelA);
  publishProgress(sessionA, [progressOf('00000000000000aa', 12)]);
  tick();
  const second = connect();
  await follow(second, channelA);
  expect(second.control().slice(1)).toMatchObject([
    { type: 'subscribed' },
    { type: 'committed', streams: [{ next: 12 }] },
  ]);
});

test('malformed progress from the bus is counted and goes nowhere', async () => {
  const { connect, follow, publishProgress, tick, hub } = setUp();
  const viewer = connect();
  await follow(viewer, channelA);
  publishProgress(sessionA, { stream: 'no list' });
  publishProgress(sessionA, [{ stream: sessionA }]);
  tick();
  expect(viewer.control().filter((message) => message.type === 'committed')).toEqual([]);
  expect(hub.counters.busMalformed).toBe(2);
});

test('a channel remembers the progress of a bounded number of epochs, the newest', async () => {
  const { connect, follow, publishProgress, tick, hub } = setUp({ limits: { progressEntries: 2 } });
  const viewer = connect();
  await follow(viewer, channelA);
  for (const epoch of ['aa', 'bb', 'aa', 'cc'])
    publishProgress(sessionA, [progressOf(`00000000000000${epoch}`, 1)]);
  tick();
  const last = viewer.control().at(-1)!;
  expect(last.type === 'committed' && last.streams.map((one) => one.epoch.slice(-2))).toEqual(['aa', 'cc']);
  expect(hub.counters.progressEvicted).toBe(1);
});

test('a flood of requests is told why and closed', () => {
  const { connect, hub } = setUp({ limits: { requestBurst: 3, requestsPerSecond: 1 } });
  const viewer = connect();
  for (let i = 0; i < 5; i++) viewer.send({ type: 'heartbeat' });
  expect(viewer.control().at(-1)).toMatchObject({ type: 'error', code: 'limit-exceeded' });
  expect(viewer.control().filter((message) => message.type === 'error')).toHaveLength(1);
  expect(viewer.closedWith()).toBe('protocol');
  expect(hub.counters).toMatchObject({ requests: 4, viewers: 0, closesByReason: { protocol: 1 } });
});

test('a steady rate of requests within the limit is no flood', () => {
  const { connect, clock } = setUp({ limits: { requestBurst: 3, requestsPerSecond: 10 } });
  const viewer = connect();
  for (let i = 0; i < 100; i++) {
    clock.advance(100);
    viewer.send({ type: 'probe', id: i, t0Us: 0 });
  }
  expect(viewer.closedWith()).toBeNull();
});

test('a viewer that asks and never reads is closed as slow before its replies pile up', () => {
  const { connect, clock, hub } = setUp({ limits: { controlUnsentBytes: 1000 } });
  const viewer = connect();
  viewer.stick();
  for (let i = 0; i < 50; i++) {
    clock.advance(100);
    viewer.send({ type: 'probe', id: i, t0Us: 0 });
  }
  expect(viewer.closedWith()).toBe('slowConsumer');
  const bytes = viewer.writes.flat().reduce((sum, item) => sum + item.framed.length, 0);
  expect(bytes).toBeLessThan(1200);
  expect(hub.counters.closesByReason).toEqual({ slowConsumer: 1 });
});

test('heartbeats are sent when nothing else was, and a viewer silent for three is closed', () => {
  const { connect, clock, hub } = setUp();
  const silent = connect();
  const alive = connect();
  for (let second = 1; second <= 16; second++) {
    clock.advance(1000);
    if (second % 5 === 0) alive.send({ type: 'heartbeat' });
  }
  expect(silent.closedWith()).toBe('silent');
  expect(silent.control().filter((message) => message.type === 'heartbeat')).toHaveLength(3);
  expect(alive.closedWith()).toBeNull();
  alive.port.ended();
  silent.port.ended();
  expect(clock.timerCount).toBe(0);
  expect(hub.counters).toMatchObject({ viewers: 0, closesByReason: { silent: 1, peer: 1 } });
});

test('one viewer too many is closed as overloaded', () => {
  const { connect, hub } = setUp({ limits: { viewers: 1 } });
  const first = connect();
  const second = connect();
  expect(second.closedWith()).toBe('overloaded');
  expect(second.control()).toEqual([]);
  expect(first.closedWith()).toBeNull();
  expect(hub.counters.viewers).toBe(1);
});

test('draining says bye, closes as restarting, refuses newcomers, and waits for all to be gone', async () => {
  const { connect, follow, hub, bus, clock } = setUp();
  const viewer = connect();
  await follow(viewer, channelA);
  let isDrained = false;
  const draining = hub.drain().then(() => void (isDrained = true));
  expect(viewer.closedWith()).toBeNull();
  clock.advance(10);
  expect(viewer.control().at(-1)).toEqual({ type: 'bye', afterMs: 0 });
  expect(viewer.closedWith()).toBe('restarting');
  expect(bus.hasListeners(channelA)).toBe(false);
  const late = connect();
  expect(late.closedWith()).toBe('restarting');
  viewer.port.ended();
  await settled();
  expect(isDrained).toBe(false);
  late.port.ended();
  await draining;
});

// The closing handshake may take seconds, and each of those requests asked the database.
test('who was closed is not heard any more: nothing is looked up or counted for it', async () => {
  const asked: string[] = [];
  const { connect, clock, hub } = setUp({
    rule: async (name) => {
      asked.push(name);
      return true;
    },
  });
  const viewer = connect();
  clock.advance(20_000);
  expect(viewer.closedWith()).toBe('silent');
  viewer.send({ type: 'subscribe', id: 1, channel: channelA });
  viewer.port.receiveBinary();
  await settled();
  expect(asked).toEqual([]);
  expect(hub.counters.errorsByCode).toEqual({});
});

test('nothing is handled or sent after the end', async () => {
  const { connect, follow, publish, tick } = setUp();
  const viewer = connect();
  await follow(viewer, channelA);
  publish(channelA, 1);
  viewer.port.ended();
  const before = viewer.writes.length;
  tick();
  viewer.send({ type: 'probe', id: 1, t0Us: 0 });
  viewer.port.receiveBinary();
  expect(viewer.writes.length).toBe(before);
});
