import { afterEach, expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { fail, ok } from '#base/result.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import type { DeviceIdentity, FrameSource } from '#contract/readings.ts';
import type { CloseReason } from '#protocol/codes.ts';
import type { DeviceMessage, ServerMessage } from '#protocol/messages.ts';
import type { IngestBackend } from '#ingest/ingest-backend.ts';
import { createGateway, defaultGatewayConfig, type Gateway, type GatewayConfig } from '#ingest/gateway.ts';
import { dataBytes, streamHandle, wireFrame } from '#test/support/frames.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

const unavailable = new AppError('store-unavailable', 'inner detail', { temporary: true });
const incarnations = {
  first: '00000000-0000-4000-8000-000000000000',
  second: '00000000-0000-4000-8000-000000000002',
};
const device: DeviceIdentity = { deviceId: 'd1', orgId: 'o1' };

const gateways: Gateway[] = [];
afterEach(() => gateways.splice(0).forEach((gateway) => gateway.stop()));

/** A database of which a test says how it answers. */
interface FakeDatabase {
  readonly calls: string[];
  generation: number;
  committed: { from: number; to: number }[];
  checksum: number | null;
  isErased: boolean;
  incarnation: string;
  /** What greetings still say. */
  staleIncarnation: string | null;
  /** Draws a generation. */
  greet: () => Promise<number>;
  /** Runs before each call is answered: to fail or to delay it. */
  before: (call: string) => Promise<void>;
}

function fakeDatabase(): FakeDatabase {
  const fake: FakeDatabase = {
    calls: [],
    generation: 0,
    committed: [],
    checksum: null,
    isErased: false,
    incarnation: incarnations.first,
    staleIncarnation: null,
    greet: async () => ++fake.generation,
    before: async () => undefined,
  };
  return fake;
}

function backendOf(fake: FakeDatabase): IngestBackend {
  return {
    async authenticate(key, address) {
      fake.calls.push(`authenticate ${key} ${address}`);
      await fake.before('authenticate');
      return key === 'good' ? device : null;
    },
    async greet(identity) {
      fake.calls.push('greet');
      await fake.before('greet');
      return {
        identity,
        generation: await fake.greet(),
        incarnation: fake.staleIncarnation ?? fake.incarnation,
      };
    },
    async incarnation(gone) {
      await fake.before('incarnation');
      if (gone === fake.incarnation) fake.incarnation = incarnations.second;
      return fake.incarnation;
    },
    async openStream(_, { definition, epoch, previousStoreLost }) {
      fake.calls.push(`open ${definition.segment} ${previousStoreLost}`);
      await fake.before('open');
      if (definition.segment === 'refused')
        return fail({ code: 'stream-mismatch', message: 'no', field: '/definition/axes' });
      const handle = streamHandle('x', definition, epoch);
      return ok({ handle, progress: { committed: fake.committed, lost: [] } });
    },
    async checksumOf(_, seq) {
      fake.calls.push(`checksum ${seq}`);
      await fake.before('checksum');
      return fake.checksum === null ? null : { crc32: fake.checksum, timeUs: 7 };
    },
    async isErased() {
      await fake.before('isErased');
      return fake.isErased;
    },
    async endStream(_, ended) {
      fake.calls.push(`end ${ended}`);
      await fake.before('end');
    },
    recordClock: () => void fake.calls.push('clock'),
  };
}

function setUp(config: Partial<GatewayConfig> = {}) {
  const clock = createManualClock();
  const fake = fakeDatabase();
  const due: FrameSource[] = [];
  const warnings: string[] = [];
  const note = (message: string): void => void warnings.push(message);
  const gateway = createGateway({
    backend: backendOf(fake),
    store: { due: (source) => void due.push(source), renew: () => void fake.calls.push('renew') },
    bus: createMemoryBus(),
    clock,
    log: { debug: () => undefined, info: () => undefined, warn: note, error: note },
    random: () => 0.5,
    config: { ...defaultGatewayConfig, ...config },
  });
  gateways.push(gateway);
  return { clock, fake, due, warnings, gateway, connect: connector(gateway) };
}

function connector(gateway: Gateway) {
  return (known: DeviceIdentity | null = null, address = '192.0.2.1') => {
    const sent: ServerMessage[] = [];
    let closed: CloseReason | null | undefined;
    let greeted = 0;
    const connection = gateway.connect(
      {
        address,
        sendText: (text) => void sent.push(JSON.parse(text) as ServerMessage),
        close: (reason) => void (closed = reason),
        greeted: () => void greeted++,
      },
      known,
    );
    const self = {
      sent,
      connection,
      get closed() {
        return closed;
      },
      get greeted() {
        return greeted;
      },
      last: () => sent.at(-1),
      types: () => sent.map((message) => message.type),
      say: (message: DeviceMessage) => connection.text(JSON.stringify(message)),
      async greet(key = 'good') {
        self.say({ type: 'hello', version: 1, agent: 'test', key });
        await settled();
        return self;
      },
      async open(ref: number, more: Partial<Extract<DeviceMessage, { type: 'open' }>> = {}) {
        const { definition, epoch } = streamHandle(`s${ref}`);
        self.say({ type: 'open', ref, epoch, definition, ...more });
        await settled();
        return self;
      },
    };
    return self;
  };
}

/** Lets everything that only waits for promises happen. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

test('hello is looked up with the address that its failures count for', async () => {
  const { fake, connect } = setUp();
  const one = await connect(null, '198.51.100.7').greet();
  expect(fake.calls).toEqual(['authenticate good 198.51.100.7', 'greet']);
  expect(one.types()).toEqual(['welcome']);
  expect(one.greeted).toBe(1);
});

test('who was known at the handshake is not looked up again', async () => {
  const { fake, connect } = setUp();
  await connect(device).greet('');
  expect(fake.calls).toEqual(['greet']);
});

test.each(['', 'bad'])('hello with the key "%s" is closed as unauthenticated', async (key) => {
  const { gateway, connect } = setUp();
  const one = await connect().greet(key);
  expect(one.closed).toBe('unauthenticated');
  expect(one.greeted).toBe(0);
  expect(gateway.statistics.connections).toBe(0);
});

test('a text that is no message is answered with the field, and the connection lives', async () => {
  const { connect } = setUp();
  const one = await connect().greet();
  one.connection.text('{"type":"probe","id":1}');
  expect(one.last()).toMatchObject({ type: 'error', code: 'invalid-field', field: '/t0Us' });
  one.say({ type: 'probe', id: 1, t0Us: 0 });
  expect(one.last()).toMatchObject({ type: 'probe' });
});

test('a newer connection of the device closes the older one, which hears nothing more', async () => {
  const { gateway, connect } = setUp();
  const older = await connect().greet();
  const newer = await connect().greet();
  expect(older.closed).toBe('superseded');
  expect(newer.closed).toBe(undefined);
  expect(newer.last()).toMatchObject({ type: 'welcome', generation: 2 });
  expect(gateway.statistics).toMatchObject({ superseded: 1, connections: 1 });
  older.connection.gone();
  const third = await connect().greet();
  expect(newer.closed).toBe('superseded');
  expect(third.closed).toBe(undefined);
});

test('epochs of one stream are opened in the order in which the device asks, and other streams do not wait', async () => {
  const { fake, connect } = setUp();
  const one = await connect(device).greet();
  const answers: (() => void)[] = [];
  fake.before = (call) =>
    call === 'open' ? new Promise((resolve) => void answers.push(resolve)) : Promise.resolve();
  const { definition } = streamHandle('s1');
  await one.open(1, { definition, epoch: '1111111111111111' });
  // The older epoch is closed by this one only when the database has heard of it before.
  await one.open(2, { definition, epoch: '2222222222222222', previousStoreLost: true });
  await one.open(3);
  const opens = (): string[] => fake.calls.filter((call) => call.startsWith('open'));
  expect(opens()).toEqual(['open s1 false', 'open s3 false']);
  answers.shift()!();
  await settled();
  expect(opens()).toEqual(['open s1 false', 'open s3 false', 'open s1 true']);
  for (const answer of answers) answer();
  await settled();
  expect(one.sent.flatMap((message) => (message.type === 'opened' ? [message.ref] : []))).toEqual([1, 3, 2]);
});

test('another incarnation is noticed while nothing happens: devices come back and hear no acknowledgement before', async () => {
  const { clock, fake, due, gateway, warnings, connect } = setUp();
  const one = await (await connect(device).greet()).open(1);
  const other = await connect({ deviceId: 'd2', orgId: 'o1' }).greet();
  one.connection.binary(dataBytes([wireFrame(1, 0, 2)]));
  const source = due.at(-1)!;
  source.take(1_000);
  clock.advance(2_000);
  await settled();
  expect(one.closed).toBe(undefined);

  const stranger = connect();
  fake.incarnation = incarnations.second;
  clock.advance(3_000);
  await settled();
  expect(one.closed).toBe('draining');
  expect(one.last()).toEqual({ type: 'bye', afterMs: 1_000 });
  expect(other.closed).toBe('draining');
  expect(stranger.closed).toBe(undefined);
  expect(fake.calls).toContain('renew');
  expect(warnings).toHaveLength(1);
  expect(gateway.statistics).toMatchObject({ databaseChanges: 1, connections: 1 });

  const sent = one.sent.length;
  source.settled({ committed: [{ from: 0, to: 2 }], lost: [] });
  await settled();
  expect(one.sent).toHaveLength(sent);
  const again = await connect(device).greet();
  expect(again.last()).toMatchObject({ type: 'welcome', incarnation: incarnations.second });
  clock.advance(4_000);
  await settled();
  expect(again.closed).toBe(undefined);
});

test('a device that is greeted by another database than the others sends them away first', async () => {
  const { fake, connect } = setUp();
  const one = await connect(device).greet();
  fake.incarnation = incarnations.second;
  const other = await connect({ deviceId: 'd2', orgId: 'o1' }).greet();
  expect(one.closed).toBe('draining');
  expect(other.last()).toMatchObject({ type: 'welcome', incarnation: incarnations.second });
});

test('readings that are missing again make the database another one, whatever it says', async () => {
  const { clock, fake, due, gateway, connect } = setUp();
  const one = await (await connect(device).greet()).open(1);
  const idle = await connect({ deviceId: 'd2', orgId: 'o1' }).greet();
  one.connection.binary(dataBytes([wireFrame(1, 0, 2)]));
  const source = due.at(-1)!;
  source.take(1_000);
  source.settled({ committed: [{ from: 0, to: 2 }], lost: [] });
  await settled();
  expect(idle.closed).toBe(undefined);
  // It cannot be asked just now.
  fake.before = async (call) => {
    if (call === 'incarnation') throw unavailable;
  };
  source.settled({ committed: [], lost: [] });
  await settled();
  expect(idle.closed).toBe(undefined);
  fake.before = async () => undefined;
  clock.advance(3_000);
  await settled();
  expect([one.closed, idle.closed]).toEqual(['draining', 'draining']);
  expect(gateway.statistics.databaseChanges).toBe(1);
});

test('a greeting that comes late from the database before is not used', async () => {
  const { fake, connect } = setUp();
  fake.incarnation = incarnations.second;
  fake.staleIncarnation = incarnations.first;
  const one = await connect(device).greet();
  expect(one.types()).toEqual([]);
  expect(one.closed).toBe('overloaded');
});

test('an end that another database recorded is not confirmed: it may lack readings before it', async () => {
  const { fake, due, connect } = setUp();
  const one = await (await connect(device).greet()).open(1);
  one.connection.binary(dataBytes([wireFrame(1, 0, 10)]));
  due.at(-1)!.take(100);
  due.at(-1)!.settled({ committed: [{ from: 0, to: 10 }], lost: [] });
  await settled();
  fake.incarnation = incarnations.second;
  one.connection.text(JSON.stringify({ type: 'close', ref: 1, next: 10, ended: true }));
  await settled();
  expect(fake.calls).toContain('end true');
  expect(one.sent.filter((message) => message.type === 'closed')).toEqual([]);
  expect(one.sent.at(-1)).toMatchObject({ type: 'bye' });
});

test('while the database does not answer, nothing is thought of its incarnation', async () => {
  const { clock, fake, gateway, connect } = setUp();
  const one = await connect(device).greet();
  fake.before = async (call) => {
    if (call === 'incarnation') throw unavailable;
  };
  clock.advance(10_000);
  await settled();
  expect(one.closed).toBe(undefined);
  expect(gateway.statistics.databaseChanges).toBe(0);
});

test('a hello that was long under way does not put out the connection that was made since', async () => {
  const { gateway, connect } = setUp();
  const old = connect();
  const living = await connect().greet();
  await old.greet();
  expect(old.closed).toBe('superseded');
  expect(old.types()).toEqual([]);
  expect(living.closed).toBe(undefined);
  expect(gateway.statistics.connections).toBe(1);
  await connect().greet();
  expect(living.closed).toBe('superseded');
});

test('when answers of the database overtake each other, the newer connection lives', async () => {
  const { fake, gateway, connect } = setUp();
  const answers: (() => void)[] = [];
  fake.greet = () => {
    const mine = ++fake.generation;
    return new Promise((resolve) => answers.push(() => resolve(mine)));
  };
  const first = await connect().greet();
  const second = await connect().greet();
  answers[1]!();
  await settled();
  answers[0]!();
  await settled();
  expect(second.types()).toEqual(['welcome']);
  expect(second.closed).toBe(undefined);
  expect(first.closed).toBe('superseded');
  expect(first.types()).toEqual([]);
  expect(gateway.statistics.connections).toBe(1);
});

test('a device that connects in a loop does not occupy the database', async () => {
  const { fake, gateway, connect } = setUp();
  const answers: (() => void)[] = [];
  fake.greet = () => new Promise((resolve) => answers.push(() => resolve(++fake.generation)));
  const many = await Promise.all(Array.from({ length: 10 }, () => connect().greet()));
  expect(answers).toHaveLength(4);
  expect(many.map(({ closed }) => closed)).toEqual([
    ...Array.from({ length: 4 }, () => undefined),
    ...Array.from({ length: 6 }, () => 'overloaded'),
  ]);
  expect(gateway.statistics.refusedGreetings).toBe(6);
  const other = connect({ deviceId: 'd2', orgId: 'o1' }).greet('');
  await settled();
  expect(answers).toHaveLength(5);
  for (const answer of answers) answer();
  await settled();
  expect((await other).types()).toEqual(['welcome']);
  const again = await connect().greet();
  expect(again.closed).toBe(undefined);
});

test('a connection that has gone before its greeting supersedes nobody', async () => {
  const { fake, connect } = setUp();
  const living = await connect().greet();
  let answer = (): void => undefined;
  fake.greet = () => new Promise((resolve) => (answer = () => resolve(99)));
  const gone = await connect().greet();
  gone.connection.gone();
  answer();
  await settled();
  expect(living.closed).toBe(undefined);
});

test('a stream opens, and its frames are offered to the store', async () => {
  const { due, fake, connect } = setUp();
  const one = await connect().greet();
  await one.open(4, { previousStoreLost: true });
  expect(fake.calls.at(-1)).toBe('open s4 true');
  expect(one.last()).toEqual({ type: 'opened', ref: 4, settled: { next: 0, ranges: [] } });
  one.connection.binary(dataBytes([wireFrame(4, 0, 10)]));
  expect(due.at(-1)!.take(100)).toHaveLength(1);
  due.at(-1)!.settled({ committed: [{ from: 0, to: 10 }], lost: [] });
  await settled();
  expect(one.last()).toMatchObject({ type: 'ack', streams: [{ ref: 4, next: 10 }] });
});

test('a refusal of the catalogue is passed on with its field', async () => {
  const { connect } = setUp();
  const one = await connect().greet();
  await one.open(1, { definition: streamHandle('refused').definition });
  expect(one.last()).toMatchObject({
    type: 'error',
    code: 'stream-mismatch',
    field: '/definition/axes',
    ref: 1,
  });
});

test('the proof of a resume is compared with what is stored', async () => {
  const { fake, connect } = setUp();
  const one = await connect().greet();
  fake.committed = [{ from: 0, to: 100 }];
  const newest = { seq: 99, crc32: 5 };
  fake.checksum = 6;
  await one.open(1, { newest });
  expect(one.last()).toMatchObject({ code: 'new-epoch-required', field: '/newest/crc32', ref: 1 });
  fake.checksum = 5;
  await one.open(1, { newest });
  expect(one.last()).toMatchObject({ type: 'opened', settled: { next: 100 } });
  fake.checksum = null;
  await one.open(2, { newest });
  expect(one.last()).toMatchObject({ type: 'opened', ref: 2 });
});

test('the newest committed reading is stated for the device to compare, unless the device has proven it', async () => {
  const { fake, connect } = setUp();
  const one = await connect().greet();
  await one.open(1);
  expect(one.last()).toEqual({ type: 'opened', ref: 1, settled: { next: 0, ranges: [] } });
  fake.committed = [{ from: 0, to: 100 }];
  fake.checksum = 5;
  await one.open(2, { newest: { seq: 99, crc32: 5 } });
  expect(one.last()).not.toHaveProperty('newest');
  await one.open(3, { newest: { seq: 98, crc32: 5 } });
  expect(one.last()).toMatchObject({ type: 'opened', newest: { seq: 99, timeUs: 7, crc32: 5 } });
  const { definition } = streamHandle('s4');
  await one.open(4, { definition: { ...definition, clock: 'none' } });
  expect(one.last()).toMatchObject({ newest: { seq: 99, crc32: 5 } });
  expect(one.last()).not.toHaveProperty('newest.timeUs');
  // Retention may have dropped it.
  fake.checksum = null;
  await one.open(5);
  expect(one.last()).not.toHaveProperty('newest');
});

test('of what a device holds the newest that is committed is stated, whatever else is', async () => {
  const { fake, connect } = setUp();
  const one = await connect().greet();
  fake.committed = [
    { from: 0, to: 100 },
    { from: 110, to: 150 },
  ];
  fake.checksum = 5;
  await one.open(1, { held: [[90, 105]] });
  expect(one.last()).toMatchObject({ newest: { seq: 99 }, settled: { next: 100, ranges: [[110, 150]] } });
  // The same reference, further down; ranges in no order, overlapping and empty ones, do no harm.
  const held: [number, number][] = [
    [80, 95],
    [40, 40],
    [20, 85],
  ];
  await one.open(1, { held });
  expect(one.last()).toMatchObject({ newest: { seq: 94 } });
  await one.open(1, { held: [[100, 110]] });
  expect(one.last()).not.toHaveProperty('newest');
});

test('a proof of what this server does not have is not looked for', async () => {
  const { fake, connect } = setUp();
  const one = await connect().greet();
  await one.open(1, { newest: { seq: 99, crc32: 5 } });
  expect(one.last()).toMatchObject({ type: 'opened' });
  expect(fake.calls.some((call) => call.startsWith('checksum'))).toBe(false);
});

test.each(['open', 'checksum'])(
  'a database that fails at %s is answered as temporary, and the connection lives',
  async (call) => {
    const { fake, connect } = setUp();
    const one = await connect().greet();
    fake.committed = [{ from: 0, to: 100 }];
    fake.checksum = 5;
    let isDown = true;
    fake.before = async (what) => {
      if (isDown && what === call) throw unavailable;
    };
    await one.open(1, { newest: { seq: 1, crc32: 5 } });
    expect(one.last()).toMatchObject({ type: 'error', code: 'store-unavailable', ref: 1 });
    expect(JSON.stringify(one.last())).not.toContain('inner detail');
    isDown = false;
    await one.open(1);
    expect(one.last()).toMatchObject({ type: 'opened' });
    expect(one.closed).toBe(undefined);
  },
);

test('a bug behind an opening is logged, and the device is told nothing of it', async () => {
  const { fake, warnings, connect } = setUp();
  const one = await connect().greet();
  fake.before = async (call) => {
    if (call === 'open') throw new TypeError('x is not a function');
  };
  await one.open(1);
  expect(one.last()).toMatchObject({ code: 'internal', message: 'the stream could not be opened' });
  expect(warnings).toEqual(['a stream could not be opened']);
});

test.each(['authenticate', 'greet'])('a database that fails at %s has the device come back', async (call) => {
  const { fake, gateway, connect } = setUp();
  fake.before = async (what) => {
    if (what === call) throw unavailable;
  };
  const one = await connect().greet();
  expect(one.closed).toBe('overloaded');
  expect(one.greeted).toBe(0);
  expect(gateway.statistics.connections).toBe(0);
});

test('an end that the database does not take is tried again until it does', async () => {
  const { clock, fake, connect } = setUp();
  const one = await connect().greet();
  await one.open(1);
  let failures = 2;
  fake.before = async (what) => {
    if (what === 'end' && failures-- > 0) throw unavailable;
  };
  one.say({ type: 'close', ref: 1, next: 0, ended: true });
  for (let second = 0; second < 4; second++) {
    await settled();
    clock.advance(1_000);
  }
  await settled();
  expect(fake.calls.filter((call) => call === 'end true')).toHaveLength(3);
  expect(one.sent.filter((message) => message.type === 'closed')).toEqual([{ type: 'closed', ref: 1 }]);
  expect(one.closed).toBe(undefined);
});

test('a buffer outlives its connection while it holds frames; the next connection drops them and begins its own', async () => {
  const { clock, due, gateway, connect } = setUp();
  const one = await connect().greet();
  await one.open(1);
  one.connection.binary(dataBytes([wireFrame(1, 0, 10)]));
  const old = due.at(-1)!;
  one.connection.gone();
  clock.advance(1_000);
  expect(gateway.statistics.buffers).toBe(1);
  expect(old.pendingReadings()).toBe(10);
  const two = await connect().greet();
  await two.open(1);
  expect(gateway.statistics.buffers).toBe(1);
  expect(old.pendingReadings()).toBe(0);
  two.connection.binary(dataBytes([wireFrame(1, 0, 10)]));
  expect(due.at(-1)).not.toBe(old);
  due.at(-1)!.take(100);
  due.at(-1)!.settled({ committed: [{ from: 0, to: 10 }], lost: [] });
  await settled();
  expect(two.last()).toMatchObject({ type: 'ack', streams: [{ ref: 1, next: 10 }] });
  two.connection.gone();
  clock.advance(1_000);
  expect(gateway.statistics.buffers).toBe(0);
  expect(gateway.statistics.credit.reservedBytes).toBe(0);
});

test('a stream keeps the buffer in which its frames are, however long the check of its opening takes', async () => {
  const { clock, due, fake, gateway, connect } = setUp();
  fake.committed = [{ from: 0, to: 100 }];
  fake.checksum = 5;
  let answer = (): void => undefined;
  fake.before = (what) =>
    what === 'checksum' ? new Promise((resolve) => (answer = resolve)) : Promise.resolve();
  const one = await connect().greet();
  await one.open(1, { newest: { seq: 99, crc32: 5 } });
  // Idle buffers are looked for in the meantime.
  clock.advance(3_000);
  fake.before = () => Promise.resolve();
  answer();
  await settled();
  one.connection.binary(dataBytes([wireFrame(1, 100, 10)]));
  await one.open(1, { newest: { seq: 99, crc32: 5 } });
  one.connection.binary(dataBytes([wireFrame(1, 110, 10)]));
  expect(new Set(due).size).toBe(1);
  expect(due.at(-1)!.pendingReadings()).toBe(20);
  expect(gateway.statistics.buffers).toBe(1);
});

test('the store turns an older connection away for good, and one that opened too early for the time being', async () => {
  const { due, gateway, connect } = setUp();
  const one = await connect(device).greet();
  await one.open(1);
  one.connection.binary(dataBytes([wireFrame(1, 0, 10)]));
  due.at(-1)!.outdated();
  expect(one.last()).toMatchObject({ type: 'error', code: 'overloaded', ref: 1 });
  expect(one.closed).toBe(undefined);
  await one.open(1);
  expect(one.last()).toMatchObject({ type: 'opened', ref: 1 });
  one.connection.binary(dataBytes([wireFrame(1, 0, 10)]));
  due.at(-1)!.superseded();
  expect(one.closed).toBe('superseded');
  expect(gateway.statistics.credit.reservedBytes).toBe(0);
});

test('more open streams than there may be are refused for now', async () => {
  const { connect } = setUp({ maxBuffers: 1 });
  const one = await connect().greet();
  await one.open(1);
  await one.open(2);
  expect(one.last()).toMatchObject({ code: 'overloaded', ref: 2 });
});

test('more open streams than there may be are refused also when they are opened at the same moment', async () => {
  const { gateway, connect } = setUp({ maxBuffers: 1 });
  const one = await connect().greet();
  await Promise.all([one.open(1), one.open(2)]);
  expect(one.types().slice(-2)).toEqual(['opened', 'error']);
  expect(one.last()).toMatchObject({ code: 'overloaded', ref: 2 });
  expect(gateway.statistics.buffers).toBe(1);
});

test('a revoked device is disconnected, and others are not', async () => {
  const { gateway, connect } = setUp();
  const one = await connect().greet();
  const other = await connect({ deviceId: 'd2', orgId: 'o1' }).greet('');
  gateway.disconnect('d1');
  expect(one.closed).toBe('unauthenticated');
  expect(other.closed).toBe(undefined);
});

test('silent strangers are closed after five seconds', () => {
  const { clock, gateway, connect } = setUp();
  const one = connect();
  clock.advance(6_000);
  expect(one.closed).toBe('helloTimeout');
  expect(gateway.statistics.connections).toBe(0);
});

test('a short heartbeat is kept', async () => {
  const { clock, connect } = setUp({ heartbeatMs: 100 });
  const one = await connect().greet();
  for (let i = 0; i < 10; i++) {
    one.say({ type: 'heartbeat' });
    clock.advance(100);
  }
  expect(one.types().filter((type) => type === 'heartbeat').length).toBeGreaterThanOrEqual(5);
  expect(one.closed).toBe(undefined);
});

test('draining tells every device when to come back, takes what still comes, and refuses new ones', async () => {
  const { due, gateway, connect } = setUp({ drainSpreadMs: 2_000 });
  const one = await connect().greet();
  await one.open(1);
  gateway.drain();
  expect(one.last()).toEqual({ type: 'bye', afterMs: 1_000 });
  one.connection.binary(dataBytes([wireFrame(1, 0, 10)]));
  expect(due).toHaveLength(1);
  expect(connect().closed).toBe('draining');
  gateway.stop();
  expect(one.closed).toBe('draining');
  expect(gateway.statistics.connections).toBe(0);
});

test('what HTTP wants unsettled is taken from the same pool', () => {
  const { gateway } = setUp({ creditPoolBytes: 1_000 });
  const credit = gateway.createSpotCredit(10_000);
  expect(credit.take(500)).toBe(true);
  expect(gateway.statistics.credit.reservedBytes).toBe(500);
  expect(credit.take(500)).toBe(false);
});

test.each([
  [true, undefined, { type: 'opened', ref: 1, discarded: true }],
  [false, 'internal', { type: 'opened', ref: 1, settled: { next: 0 } }],
])(
  'of a stream that the store does not know it is asked whether it was erased: %s',
  async (isErased, closed, last) => {
    const it = setUp();
    const one = await (await it.connect().greet()).open(1);
    one.connection.binary(dataBytes([wireFrame(1, 0, 10)]));
    it.fake.isErased = isErased;
    it.due[0]!.take(100);
    it.due[0]!.unknown();
    await settled();
    expect(one.last()).toMatchObject(last);
    expect(one.closed).toBe(closed);
  },
);

test('a stream whose readings were committed and that is not there any more makes the database another one', async () => {
  const it = setUp();
  it.fake.committed = [{ from: 0, to: 5 }];
  const one = await (await it.connect().greet()).open(1);
  one.connection.binary(dataBytes([wireFrame(1, 5, 10)]));
  it.due[0]!.take(100);
  it.due[0]!.unknown();
  await settled();
  expect(it.fake.incarnation).toBe(incarnations.second);
  expect(it.gateway.statistics.databaseChanges).toBe(1);
  expect(it.gateway.statistics.connections).toBe(0);
});

test('when it cannot be asked whether a stream was erased, all is opened anew', async () => {
  const it = setUp();
  const one = await (await it.connect().greet()).open(1);
  one.connection.binary(dataBytes([wireFrame(1, 0, 10)]));
  it.fake.before = async () => Promise.reject(new Error('down'));
  it.due[0]!.take(100);
  it.due[0]!.unknown();
  await settled();
  expect(one.closed).toBe('internal');
});

const IDLE = 10_000;
/** A second or two on a machine that does nothing else. */
const CROWD_MS = 60_000;
/** So many readings cost about a kilobyte. */
const READINGS = 80;

/** Devices that hold a connection with an open stream each, greeted in lots. */
async function crowd(it: ReturnType<typeof setUp>) {
  const devices = Array.from({ length: IDLE }, (_, i) => it.connect({ deviceId: `d${i}`, orgId: 'o1' }));
  await Promise.all(devices.map((one) => one.greet('')));
  const { definition, epoch } = streamHandle('s');
  for (const [i, one] of devices.entries()) {
    const stream = `01900000-0000-7000-8000-${i.toString(16).padStart(12, '0')}`;
    one.say({ type: 'open', ref: 1, epoch, definition: { ...definition, stream } });
  }
  await settled();
  return devices;
}

/** The durable credit that a device has, in all. */
function grantOf(one: Awaited<ReturnType<typeof crowd>>[number]): number {
  const grants = one.sent.flatMap((message) => ('credit' in message ? [message.credit.durable] : []));
  return grants.at(-1)!;
}

test(
  'beside 10,000 idle connections one that sends gets a window at once, in the default pool',
  async () => {
    const it = setUp();
    const { credit } = it.gateway.statistics;
    await crowd(it);
    expect(it.gateway.statistics.connections).toBe(IDLE);
    expect(credit.reservedBytes).toBeLessThan(0.65 * credit.totalBytes);
    const late = it.connect({ deviceId: 'late', orgId: 'o1' });
    await late.greet('');
    await late.open(1);
    expect(grantOf(late)).toBe(defaultGatewayConfig.windowQuietBytes);
    late.connection.binary(dataBytes([wireFrame(1, 0, READINGS)]));
    expect(grantOf(late)).toBe(defaultGatewayConfig.windowInitialBytes);
    expect(it.due).toHaveLength(1);
  },
  CROWD_MS,
);

test(
  '10,000 connections that were in use and then rest give credit back to one that sends',
  async () => {
    const it = setUp();
    const { credit } = it.gateway.statistics;
    const devices = await crowd(it);
    for (const one of devices) {
      one.connection.binary(dataBytes([wireFrame(1, 0, READINGS)]));
      const source = it.due.at(-1)!;
      source.take(READINGS);
      source.settled({ committed: [{ from: 0, to: READINGS }], lost: [] });
    }
    expect(it.due).toHaveLength(IDLE);
    // First windows have used up their share.
    expect(credit.reservedBytes).toBeGreaterThan(0.85 * credit.totalBytes);
    for (let second = 0; second < 60 && credit.reservedBytes > 0.5 * credit.totalBytes; second++) {
      it.clock.advance(1_000);
      for (const one of devices) {
        const last = one.last();
        if (last?.type === 'reclaim') one.say({ type: 'reclaimed', id: last.id, durable: last.durable });
        else if (second % 10 === 0) one.say({ type: 'heartbeat' });
      }
      expect(credit.reservedBytes).toBeLessThanOrEqual(credit.totalBytes);
    }
    expect(credit.reservedBytes).toBeLessThanOrEqual(0.5 * credit.totalBytes);
    const late = it.connect({ deviceId: 'late', orgId: 'o1' });
    await late.greet('');
    expect(grantOf(late)).toBe(defaultGatewayConfig.windowInitialBytes);
  },
  CROWD_MS,
);
