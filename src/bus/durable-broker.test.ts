import { expect, test } from 'vitest';

import {
  createDurableBroker,
  durableLimits,
  type DurableBroker,
  type DurableLog,
} from '#bus/durable-broker.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import { decodeAnnouncement, encodeAnnouncement } from '#bus/announcements.ts';
import { publicationLimits, type Appended, type Publication } from '#protocol/publication.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (payload: Uint8Array): string => new TextDecoder().decode(payload);
const history = { messages: 0, seconds: 0 };
const request = (text: string, address = 'org/a', key: string | null = null) => ({
  address,
  payload: bytes(text),
  history,
  key,
});
/** Lets everything that is not waiting for something outside come to rest. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Append {
  readonly address: string;
  readonly texts: readonly string[];
  succeed(): void;
  fail(error: Error): void;
}

/** A log whose transactions end when the test says so. */
function createHeldLog() {
  const open: Append[] = [];
  const kept = new Map<string, { key: string | null; payload: Uint8Array }[]>();
  const log: DurableLog = {
    append: (address, messages) =>
      new Promise((resolve, reject) => {
        open.push({
          address,
          texts: messages.map(({ payload }) => textOf(payload)),
          fail: reject,
          succeed() {
            const stored = kept.get(address) ?? [];
            kept.set(address, stored);
            resolve(
              messages.map((message): Appended => {
                const known = message.key === null ? -1 : stored.findIndex(({ key }) => key === message.key);
                if (known < 0) stored.push(message);
                const offset = known < 0 ? stored.length : known + 1;
                const isNewest = offset === stored.length;
                return {
                  position: { epoch: 'e', offset },
                  timeUs: offset,
                  isDuplicate: known >= 0,
                  isNewest,
                };
              }),
            );
          },
        });
      }),
    page: () => Promise.reject(new Error('not asked')),
  };
  return { log, open };
}

function start() {
  const { log, open } = createHeldLog();
  const bus = createMemoryBus();
  const clock = createManualClock();
  const broker = createDurableBroker({ log, bus, clock });
  return { broker, bus, clock, open };
}

function hear(broker: DurableBroker, address = 'org/a') {
  const heard: string[] = [];
  let resumes = 0;
  const { stop } = broker.listen(address, {
    publication: (epoch, { offset, payload }: Publication) =>
      heard.push(`${epoch}${offset} ${textOf(payload)}`),
    resumed: () => resumes++,
  });
  return { heard, stop, resumes: () => resumes };
}

test('a message is announced after its commit, never before', async () => {
  const { broker, open } = start();
  const { heard } = hear(broker);
  const published = broker.publish(request('a'));
  await settle();
  expect(heard).toEqual([]);
  open[0]!.succeed();
  expect(await published).toEqual({ position: { epoch: 'e', offset: 1 }, isDuplicate: false });
  expect(heard).toEqual(['e1 a']);
});

test('what waits for an address shares a transaction, and each message has its own answer', async () => {
  const { broker, open } = start();
  const { heard } = hear(broker);
  const count = durableLimits.batch + 6;
  const published = Array.from({ length: count }, (_, i) => broker.publish(request(`m${i}`)));
  await settle();
  expect(open.map(({ texts }) => texts.length)).toEqual([1]);
  open[0]!.succeed();
  await settle();
  expect(open.map(({ texts }) => texts.length)).toEqual([1, durableLimits.batch]);
  open[1]!.succeed();
  await settle();
  open[2]!.succeed();
  const offsets = (await Promise.all(published)).map(({ position }) => position.offset);
  expect(offsets).toEqual(Array.from({ length: count }, (_, i) => i + 1));
  expect(heard).toEqual(offsets.map((offset) => `e${offset} m${offset - 1}`));
  expect(broker.counters).toMatchObject({ published: count, appends: 3 });
});

test('a transaction that fails is told to all in it and announced to nobody, and the next goes on', async () => {
  const { broker, open } = start();
  const { heard } = hear(broker);
  const first = broker.publish(request('a'));
  const second = broker.publish(request('b'));
  await settle();
  open[0]!.fail(new Error('no database'));
  await expect(first).rejects.toThrow('no database');
  await settle();
  open[1]!.succeed();
  expect((await second).position.offset).toBe(1);
  expect(heard).toEqual(['e1 b']);
});

test('addresses do not wait for each other, and at most so many transactions are under way', async () => {
  const { broker, open } = start();
  const names = Array.from({ length: durableLimits.appends + 2 }, (_, i) => `org/${i}`);
  const published = ['a', 'b'].flatMap((text) => names.map((name) => broker.publish(request(text, name))));
  await settle();
  expect(open.map(({ address }) => address)).toEqual(names.slice(0, durableLimits.appends));
  // Those who have waited longest come next, not who has just been served.
  open[1]!.succeed();
  await settle();
  expect(open.at(-1)!.address).toBe(names[durableLimits.appends]);
  for (let i = 0; i < open.length; i++) {
    if (i !== 1) open[i]!.succeed();
    await settle();
  }
  await Promise.all(published);
});

test('beyond the maximum a message is sent away, and counted', async () => {
  const { broker, open } = start();
  const waiting = Array.from({ length: durableLimits.waiting + 1 }, () => broker.publish(request('x')));
  await expect(broker.publish(request('y'))).rejects.toMatchObject({ code: 'overloaded', temporary: true });
  expect(broker.counters.refused).toBe(1);
  for (let i = 0; i < open.length; i++) {
    open[i]!.succeed();
    await settle();
  }
  await Promise.all(waiting);
  const large = { ...request(''), payload: new Uint8Array(publicationLimits.payloadBytes + 1) };
  await expect(broker.publish(large)).rejects.toMatchObject({ code: 'message-too-large' });
});

test('who repeats the newest message makes its announcement come again, which a listener hears once', async () => {
  const { broker, bus, open } = start();
  const { heard } = hear(broker);
  let announced = 0;
  bus.subscribe('durable/org/a', () => announced++);
  for (const [text, key] of [
    ['a', 'k1'],
    ['a', 'k1'],
    ['b', 'k2'],
    ['a', 'k1'],
  ] as const) {
    const published = broker.publish(request(text, 'org/a', key));
    open.at(-1)!.succeed();
    await published;
  }
  expect(announced).toBe(3);
  expect(heard).toEqual(['e1 a', 'e2 b']);
  expect(broker.counters).toMatchObject({ published: 2, duplicates: 2 });
});

const appended = (offset: number, epoch = 'e'): Appended => ({
  position: { epoch, offset },
  timeUs: 1,
  isDuplicate: false,
  isNewest: true,
});

test('announcements that come in another order are put in order', () => {
  const { broker, clock } = start();
  const { heard } = hear(broker);
  for (const offset of [1, 4, 3, 2, 3, 6]) broker.announce('org/a', appended(offset), bytes('x'));
  expect(heard).toEqual(['e1 x', 'e2 x', 'e3 x', 'e4 x']);
  clock.advance(durableLimits.holdMs - 1);
  expect(heard).toHaveLength(4);
  broker.announce('org/a', appended(5), bytes('x'));
  expect(heard.slice(4)).toEqual(['e5 x', 'e6 x']);
  clock.advance(durableLimits.holdMs);
  expect(broker.counters.holes).toBe(0);
});

test('an announcement that never comes is passed over after a moment, and what is late then is left out', () => {
  const { broker, clock } = start();
  const { heard } = hear(broker);
  for (const offset of [1, 3, 5]) broker.announce('org/a', appended(offset), bytes('x'));
  expect(heard).toEqual(['e1 x']);
  clock.advance(durableLimits.holdMs);
  expect(heard).toEqual(['e1 x', 'e3 x', 'e5 x']);
  broker.announce('org/a', appended(2), bytes('x'));
  broker.announce('org/a', appended(6), bytes('x'));
  expect(heard.slice(3)).toEqual(['e6 x']);
  expect(broker.counters.holes).toBe(1);
});

test('so many are held and no more', () => {
  const { broker } = start();
  const { heard } = hear(broker);
  broker.announce('org/a', appended(1), bytes('x'));
  for (let i = 0; i < durableLimits.held; i++) {
    expect(heard).toHaveLength(1);
    broker.announce('org/a', appended(3 + i), bytes('x'));
  }
  expect(heard).toHaveLength(1 + durableLimits.held);
});

test('another epoch begins anew, after what was held of the last', () => {
  const { broker } = start();
  const { heard } = hear(broker);
  broker.announce('org/a', appended(7), bytes('x'));
  broker.announce('org/a', appended(9), bytes('x'));
  broker.announce('org/a', appended(3, 'f'), bytes('y'));
  broker.announce('org/a', appended(4, 'f'), bytes('y'));
  expect(heard).toEqual(['e7 x', 'e9 x', 'f3 y', 'f4 y']);
});

test('whoever listens is told that announcements may have been missed, and nobody after close', async () => {
  const { broker, bus } = start();
  const first = hear(broker);
  const second = hear(broker, 'org/b');
  broker.resumed();
  expect([first.resumes(), second.resumes()]).toEqual([1, 1]);
  second.stop();
  second.stop();
  broker.resumed();
  expect([first.resumes(), second.resumes()]).toEqual([2, 1]);
  expect(bus.hasListeners('durable/org/b')).toBe(false);
  await broker.close();
  broker.announce('org/a', appended(1), bytes('x'));
  expect(first.heard).toEqual([]);
  await expect(broker.publish(request('late'))).rejects.toMatchObject({ code: 'store-unavailable' });
  await expect(
    broker.listen('org/a', { publication: () => undefined, resumed: () => undefined }).ready,
  ).rejects.toThrow('closed');
});

test('an announcement carries what it says, and foreign bytes are none', () => {
  const epoch = '0123456789abcdef';
  const told: Appended = { ...appended(2 ** 40, epoch), timeUs: 1_800_000_000_000_001 };
  const encoded = encodeAnnouncement(told, bytes('payload'));
  const decoded = decodeAnnouncement(encoded)!;
  expect(decoded.epoch).toBe(epoch);
  expect(decoded.publication).toMatchObject({ offset: 2 ** 40, timeUs: told.timeUs });
  expect(textOf(decoded.publication.payload)).toBe('payload');
  for (let end = 0; end < 18 + epoch.length; end++)
    expect(decodeAnnouncement(encoded.subarray(0, end))).toBe(null);
  expect(decodeAnnouncement(Uint8Array.from(encoded, (byte, i) => (i === 0 ? 2 : byte)))).toBe(null);
});
