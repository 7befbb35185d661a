import { afterEach, expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { fail, ok } from '#base/result.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import type { DeviceIdentity, Frame, FrameSource } from '#contract/readings.ts';
import type { ReadingsAccepted, ReadingsRequest } from '#contract/rest.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { readingTimeUs } from '#protocol/data-codec.ts';
import { createGateway, defaultGatewayConfig, type Gateway } from '#ingest/gateway.ts';
import { createHttpReadings } from '#ingest/http-readings.ts';
import { bufferLimits } from '#ingest/stream-buffer.ts';
import { streamHandle } from '#test/support/frames.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

const device: DeviceIdentity = { deviceId: 'd1', orgId: 'o1' };
const gateways: Gateway[] = [];
afterEach(() => gateways.splice(0).forEach((gateway) => gateway.stop()));

const unused = (): never => {
  throw new Error('HTTP asks for nothing of this');
};

function setUp(creditPoolBytes = defaultGatewayConfig.creditPoolBytes) {
  const clock = createManualClock();
  const opened: { definition: StreamDefinition; epoch: string }[] = [];
  const sources = new Set<FrameSource>();
  const self = {
    clock,
    opened,
    sources,
    before: async (): Promise<void> => undefined,
    erasedSession: '',
    incarnation: 'first',
    /** Commits everything that waits. */
    commit() {
      const frames: Frame[] = [];
      for (const source of sources) {
        const taken = source.take(Number.MAX_SAFE_INTEGER);
        frames.push(...taken);
        const last = taken.at(-1);
        if (last !== undefined)
          source.settled({ committed: [{ from: 0, to: last.firstSeq + last.count }], lost: [] });
      }
      return frames;
    },
  };
  const gateway = createGateway({
    backend: {
      authenticate: unused,
      greet: unused,
      incarnation: async () => self.incarnation,
      checksumOf: unused,
      isErased: unused,
      endStream: unused,
      recordClock: unused,
      async openStream(_, { definition, epoch }) {
        await self.before();
        if (definition.segment === 'bad')
          return fail({ code: 'invalid-field', message: 'no', field: '/definition/segment' });
        if (definition.session === self.erasedSession) return fail({ code: 'erased', message: 'gone' });
        opened.push({ definition, epoch });
        return ok({ handle: streamHandle('h', definition, epoch), progress: { committed: [], lost: [] } });
      },
    },
    store: { due: unused, renew: () => undefined },
    bus: createMemoryBus(),
    clock,
    log: { debug: unused, info: unused, warn: () => undefined, error: unused },
    random: () => 0.5,
    config: { ...defaultGatewayConfig, creditPoolBytes },
  });
  gateways.push(gateway);
  const submit = createHttpReadings({ gateway, store: { due: (source) => void sources.add(source) }, clock });
  return { ...self, self, gateway, submit };
}

const one = (
  values: Record<string, number> = { x: 1 },
  more: Partial<ReadingsRequest> = {},
): ReadingsRequest => ({
  segment: 'left-foot',
  readings: [{ values }],
  ...more,
});

/** Lets everything that only waits for promises happen. */
async function turns(): Promise<void> {
  for (let i = 0; i < 30; i++) await Promise.resolve();
}

/** Submits, commits, and gives the answer with what was stored. */
async function stored(it: ReturnType<typeof setUp>, request: ReadingsRequest) {
  const answer = it.submit(device, request);
  answer.catch(() => undefined);
  await turns();
  const frames = it.commit();
  return { answer: await answer, frames };
}

test('readings are answered after COMMIT, numbered by the server', async () => {
  const it = setUp();
  let answer: ReadingsAccepted | undefined;
  const submitted = it.submit(device, one({ x: 1.5, y: -2 })).then((value) => (answer = value));
  await turns();
  expect(answer).toBe(undefined);
  const [frame] = it.commit();
  await submitted;
  const { definition, epoch } = it.opened[0]!;
  expect(answer).toEqual({
    session: definition.session,
    stream: definition.stream,
    epoch,
    firstSeq: 0,
    count: 1,
  });
  expect(definition).toMatchObject({
    segment: 'left-foot',
    sensor: 'http',
    axes: [
      { name: 'x', unit: '1' },
      { name: 'y', unit: '1' },
    ],
    rateHz: 1,
    encoding: 'float32',
    clock: 'none',
  });
  expect(frame).toMatchObject({ firstSeq: 0, count: 1, firstUs: it.clock.nowUs(), deltasUs: null });
  const view = new DataView(frame!.payload.buffer);
  expect([view.getFloat32(0, true), view.getFloat32(4, true)]).toEqual([1.5, -2]);
});

test('requests of one kind go on in one stream; of another kind in another, of the same session', async () => {
  const it = setUp();
  const first = await stored(it, one());
  const second = await stored(it, one());
  const other = await stored(it, one({ x: 1 }, { segment: 'right-foot' }));
  expect(second.answer).toEqual({ ...first.answer, firstSeq: 1 });
  expect(other.answer).toMatchObject({ session: first.answer.session, firstSeq: 0 });
  expect(other.answer.stream).not.toBe(first.answer.stream);
  expect(it.opened).toHaveLength(2);
});

test('several requests at once share the opening, and none takes the numbers of another', async () => {
  const it = setUp();
  const answers = Array.from({ length: 5 }, () => it.submit(device, one()));
  await turns();
  it.commit();
  expect((await Promise.all(answers)).map(({ firstSeq }) => firstSeq)).toEqual([0, 1, 2, 3, 4]);
  expect(it.opened).toHaveLength(1);
});

test('devices do not share streams', async () => {
  const it = setUp();
  const mine = await stored(it, one());
  const answer = it.submit({ deviceId: 'd2', orgId: 'o1' }, one());
  await turns();
  it.commit();
  expect((await answer).stream).not.toBe(mine.answer.stream);
});

test('a pause of ten minutes starts a new session', async () => {
  const it = setUp();
  const before = await stored(it, one());
  it.clock.advance(10 * 60_000 + 1);
  const after = await stored(it, one());
  expect(after.answer.session).not.toBe(before.answer.session);
});

test('given times are kept exactly', async () => {
  const it = setUp();
  const times = [-5, -5, 1_000_003];
  const { frames } = await stored(it, {
    segment: 'left-foot',
    readings: times.map((timeUs) => ({ timeUs, values: { x: 0 } })),
  });
  expect(it.opened[0]!.definition.clock).toBe('device');
  expect(times.map((_, i) => readingTimeUs(frames[0]!, i))).toEqual(times);
});

const reading = (timeUs: number | null) => ({ values: { x: 0 }, ...(timeUs === null ? {} : { timeUs }) });
test.each([
  ['falling times', [5, 4], '/readings/1/timeUs'],
  ['a span beyond 32 bits', [0, 2 ** 32], '/readings/1/timeUs'],
  ['times in some only', [1, null], '/readings'],
] as const)('%s are refused with the field', async (_, times, field) => {
  const it = setUp();
  await expect(it.submit(device, { segment: 'a', readings: times.map(reading) })).rejects.toMatchObject({
    code: 'invalid-field',
    field,
  });
  expect(it.opened).toEqual([]);
});

test.each([
  ['another axis', { y: 1 }],
  ['one axis less', {}],
  ['one axis more', { x: 1, y: 2 }],
])('a reading with %s than the first is refused', async (_, values) => {
  const it = setUp();
  await expect(
    it.submit(device, { segment: 'a', readings: [{ values: { x: 1 } }, { values }] }),
  ).rejects.toMatchObject({ code: 'invalid-field', field: '/readings/1/values' });
});

test.each([3.40282357e38, -1e39, 1e308])(
  '%d does not fit float32 and is refused with its field',
  async (value) => {
    const it = setUp();
    const readings = [{ values: { 'a/b~': 1 } }, { values: { 'a/b~': value } }];
    await expect(it.submit(device, { segment: 'a', readings })).rejects.toMatchObject({
      code: 'invalid-field',
      field: '/readings/1/values/a~1b~0',
    });
    expect(it.opened).toEqual([]);
  },
);

test('the largest and smallest float32 are stored', async () => {
  const it = setUp();
  const { frames } = await stored(
    it,
    one({ max: 3.4028234663852886e38, min: -3.4028234663852886e38, tiny: 1e-46 }),
  );
  const view = new DataView(frames[0]!.payload.buffer);
  expect([0, 4, 8].map((at) => view.getFloat32(at, true))).toEqual([
    3.4028234663852886e38, -3.4028234663852886e38, 0,
  ]);
});

test('names of object methods are axes like others', async () => {
  const it = setUp();
  const { frames } = await stored(
    it,
    one(JSON.parse('{"constructor":2,"toString":3}') as Record<string, number>, { units: {} }),
  );
  expect(it.opened[0]!.definition.axes).toEqual([
    { name: 'constructor', unit: '1' },
    { name: 'toString', unit: '1' },
  ]);
  expect(new DataView(frames[0]!.payload.buffer).getFloat32(0, true)).toBe(2);
  await expect(
    it.submit(device, {
      segment: 'a',
      readings: [{ values: JSON.parse('{"constructor":1}') as Record<string, number> }, { values: { x: 1 } }],
    }),
  ).rejects.toMatchObject({ field: '/readings/1/values' });
});

test('units are those that were given', async () => {
  const it = setUp();
  await stored(it, one({ x: 1, y: 2 }, { units: { y: 'm/s2' } }));
  expect(it.opened[0]!.definition.axes).toEqual([
    { name: 'x', unit: '1' },
    { name: 'y', unit: 'm/s2' },
  ]);
});

test('a refusal of the catalogue is passed on, and asked again next time', async () => {
  const it = setUp();
  const bad = one({ x: 1 }, { segment: 'bad' });
  await expect(it.submit(device, bad)).rejects.toMatchObject({
    code: 'invalid-field',
    field: '/definition/segment',
  });
  it.self.before = () => Promise.reject(new AppError('store-unavailable', 'down', { temporary: true }));
  await expect(it.submit(device, one())).rejects.toMatchObject({ code: 'store-unavailable' });
  it.self.before = async () => undefined;
  await expect(stored(it, one())).resolves.toMatchObject({ answer: { firstSeq: 0 } });
});

test('without a commit in time the answer says that nothing was acknowledged', async () => {
  const it = setUp();
  const outcome = it.submit(device, one()).catch((error: unknown) => error);
  await turns();
  it.clock.advance(5_000);
  expect(await outcome).toMatchObject({ code: 'store-unavailable', temporary: true });
});

test('a stream that the store refuses fails what waits, and the next request begins a new one', async () => {
  const it = setUp();
  const outcome = it.submit(device, one()).catch((error: unknown) => error);
  await turns();
  for (const source of it.sources) source.refused('no');
  expect(await outcome).toMatchObject({ code: 'stream-refused', temporary: false });
  it.sources.clear();
  await expect(stored(it, one())).resolves.toMatchObject({ answer: { firstSeq: 0 } });
  expect(it.opened).toHaveLength(2);
});

test('a stream that the store does not know any more is begun anew', async () => {
  const it = setUp();
  const outcome = it.submit(device, one()).catch((error: unknown) => error);
  await turns();
  for (const source of it.sources) source.unknown();
  expect(await outcome).toMatchObject({ code: 'overloaded', temporary: true });
  it.sources.clear();
  await expect(stored(it, one())).resolves.toMatchObject({ answer: { firstSeq: 0 } });
});

test('what waits of one stream is bounded in requests, and its buffer drops nothing', async () => {
  const it = setUp();
  const answers = Array.from({ length: bufferLimits.ringFrames }, () => it.submit(device, one()));
  const outcomes = Promise.allSettled(answers);
  await turns();
  it.commit();
  const refused = (await outcomes).filter((outcome) => outcome.status === 'rejected');
  expect(refused).toHaveLength(bufferLimits.ringFrames / 2);
  expect(refused[0]).toMatchObject({ reason: { code: 'overloaded', temporary: true } });
  expect(it.gateway.statistics.overwrittenFrames).toBe(0);
  await expect(stored(it, one())).resolves.toMatchObject({
    answer: { firstSeq: bufferLimits.ringFrames / 2 },
  });
});

test('what waits of one stream is bounded in bytes', async () => {
  const it = setUp();
  const axes = Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`a${i}`, i]));
  const large: ReadingsRequest = {
    segment: 'a',
    readings: Array.from({ length: 500 }, () => ({ values: axes })),
  };
  const outcomes = Promise.allSettled(Array.from({ length: 5 }, () => it.submit(device, large)));
  await turns();
  it.commit();
  expect((await outcomes).map(({ status }) => status)).toEqual([
    'fulfilled',
    'fulfilled',
    'rejected',
    'rejected',
    'rejected',
  ]);
  expect(it.gateway.statistics.overwrittenFrames).toBe(0);
});

test('streams that were used hold no credit, and those long unused no buffer', async () => {
  const it = setUp();
  for (let i = 0; i < 50; i++) await stored(it, one({ [`x${i}`]: 1 }));
  expect(it.gateway.statistics.credit.reservedBytes).toBe(0);
  expect(it.gateway.statistics.buffers).toBe(50);
  const before = it.opened.length;
  it.clock.advance(10 * 60_000 + 1);
  // Expired streams leave as they are met again.
  for (let i = 0; i < 50; i++) await stored(it, one({ [`x${i}`]: 1 }));
  expect(it.opened).toHaveLength(2 * before);
  await turns();
  it.clock.advance(1_000);
  expect(it.gateway.statistics.buffers).toBe(50);
});

test('an empty pool is answered as overloaded', async () => {
  const it = setUp(40);
  await expect(it.submit(device, one())).rejects.toMatchObject({ code: 'overloaded', temporary: true });
});

test('readings that come after their session was erased begin a new one', async () => {
  const it = setUp();
  const { answer } = await stored(it, one());
  it.self.erasedSession = answer.session;
  const later = await stored(it, { ...one(), segment: 'hand' });
  expect(later.answer.session).not.toBe(answer.session);
  expect(later.frames).toHaveLength(1);
});

test('what was answered is declared when another database may lack it; what waits is not', async () => {
  const it = setUp();
  await stored(it, one());
  await stored(it, one({ x: 2 }));
  const waiting = it.submit(device, one({ x: 3 }));
  await turns();
  it.clock.advance(1_000);
  await turns();
  it.self.incarnation = 'second';
  it.self.before = async () => {
    throw new AppError('store-unavailable', 'down', { temporary: true });
  };
  it.clock.advance(2_000);
  await turns();
  const [source] = it.sources;
  expect(source!.takeLosses()).toEqual([]);
  it.self.before = async () => undefined;
  it.clock.advance(1_000);
  await turns();
  expect(it.opened.at(-1)).toEqual(it.opened[0]);
  expect(source!.takeLosses()).toEqual([{ from: 0, to: 2, reason: 'server-restored' }]);
  it.commit();
  expect(await waiting).toMatchObject({ firstSeq: 2 });
});

test('a stream of which nothing was answered has nothing to declare', async () => {
  const it = setUp();
  const waiting = it.submit(device, one());
  await turns();
  it.clock.advance(1_000);
  await turns();
  it.self.incarnation = 'second';
  it.clock.advance(2_000);
  await turns();
  expect([...it.sources].flatMap((source) => source.takeLosses())).toEqual([]);
  it.commit();
  await waiting;
});
