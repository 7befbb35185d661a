/** Durable channels on a real PostgreSQL: the suite of brokers with two ends, and several processes, one of which dies. */

import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { testBrokerConformance } from '#bus/broker-conformance.ts';
import type { Broker } from '#bus/broker.ts';
import type { Bus } from '#bus/bus.ts';
import { createDurableBroker, type DurableBroker } from '#bus/durable-broker.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import { publicationLimits, type Publication } from '#protocol/publication.ts';
import { createChannelLog } from '#store/channel-log.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';

let database: TestDatabase;
/** Of two instances. */
let pools: [Pools, Pools];
let tenant: Tenant;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = [await openPools(database.ownerUrl), await openPools(database.ownerUrl)];
  tenant = await createTenant(database.ownerUrl, pools[0], 'A');
});

afterAll(async () => {
  for (const one of pools) await one.close();
  await database.drop();
});

/** Two ends of one bus: what one publishes comes to the other in a later turn, as over a network. */
function createLinkedBuses(): [Bus, Bus] {
  const ends = [createMemoryBus(), createMemoryBus()] as const;
  const linked = (own: Bus, other: Bus): Bus => ({
    ...own,
    publish(topic, payload) {
      own.publish(topic, payload);
      const copy = payload.slice();
      setImmediate(() => other.publish(topic, copy));
    },
  });
  return [linked(ends[0], ends[1]), linked(ends[1], ends[0])];
}

/** Addresses of one test, which are no organisation's, as channels of the tenant that no other test uses. */
function within(prefix: string, broker: Broker): Broker {
  const real = (address: string): string => `${tenant.orgId}/${prefix}/${address}`;
  return {
    ...broker,
    publish: (request) => broker.publish({ ...request, address: real(request.address) }),
    history: (address, query) => broker.history(real(address), query),
    listen: (address, listener) => broker.listen(real(address), listener),
  };
}

let made = 0;
testBrokerConformance(
  async () => {
    const prefix = String(made++);
    const buses = createLinkedBuses();
    const ends = buses.map((bus, i) =>
      within(prefix, createDurableBroker({ log: createChannelLog(pools[i]!.app), bus, clock: systemClock })),
    );
    return { publisher: ends[0]!, listener: ends[1]!, passTime: () => Promise.resolve() };
  },
  { isForever: true, largestPayloadBytes: publicationLimits.payloadBytes },
);

const program = fileURLToPath(new URL('../support/publishing-process.ts', import.meta.url));

function startPublisher(
  args: readonly string[],
  bus: Bus,
): { child: ChildProcess; ended: Promise<string | null> } {
  const child = fork(program, [database.ownerUrl, ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  child.on('message', ({ topic, payload }: { topic: string; payload: string }) =>
    bus.publish(topic, new Uint8Array(Buffer.from(payload, 'base64'))),
  );
  return { child, ended: new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal))) };
}

/** A viewer's side of a channel: it takes what comes in order, and reads the history where something is missing. */
async function follow(broker: DurableBroker, address: string) {
  const texts: string[] = [];
  let offset = 0;
  let work: Promise<void> = Promise.resolve();
  const take = ({ offset: at, payload }: Publication): void => {
    if (at !== offset + 1) return;
    offset = at;
    texts.push(new TextDecoder().decode(payload));
  };
  const fill = async (): Promise<void> => {
    const { publications } = await broker.history(address, { after: offset, limit: 256 });
    for (const publication of publications) take(publication);
  };
  const listening = broker.listen(address, {
    publication: (_, publication) =>
      void (work = work.then(() => (publication.offset > offset + 1 ? fill() : take(publication)))),
    resumed: () => void (work = work.then(fill)),
  });
  await listening.ready;
  return { texts, fill, rest: () => work };
}

test('processes that publish to one channel at once give it one history, which a listener hears in order', async () => {
  const bus = createMemoryBus();
  const broker = createDurableBroker({ log: createChannelLog(pools[0].app), bus, clock: systemClock });
  const address = `${tenant.orgId}/processes`;
  const follower = await follow(broker, address);
  const count = 150;
  const labels = ['a', 'b', 'c'];
  const ends = await Promise.all(
    labels.map((label) => startPublisher([address, label, String(count)], bus).ended),
  );
  expect(ends).toEqual([null, null, null]);
  await expect.poll(() => follower.texts.length, { timeout: 10_000 }).toBe(labels.length * count);
  for (const label of labels)
    expect(follower.texts.filter((text) => text.startsWith(`${label} `))).toEqual(
      Array.from({ length: count }, (_, n) => `${label} ${n}`),
    );
  expect((await broker.history(address, { newest: true, limit: 0 })).newest).toBe(labels.length * count);
  await broker.close();
});

test('what a process committed and died before announcing is in the history, and the next announcement shows the hole', async () => {
  const bus = createMemoryBus();
  const broker = createDurableBroker({ log: createChannelLog(pools[0].app), bus, clock: systemClock });
  const address = `${tenant.orgId}/death`;
  const follower = await follow(broker, address);
  const publish = (text: string, key: string): Promise<unknown> =>
    broker.publish({
      address,
      payload: new TextEncoder().encode(text),
      history: { messages: 0, seconds: 0 },
      key,
    });
  await publish('before', 'first');
  expect(await startPublisher([address, 'killed', '1', '--die'], bus).ended).toBe('SIGKILL');
  // Nothing was announced; whoever asks for the newest offset finds it.
  await follower.rest();
  expect(follower.texts).toEqual(['before']);
  expect((await broker.history(address, { newest: true, limit: 0 })).newest).toBe(2);
  await follower.fill();
  expect(follower.texts).toEqual(['before', 'killed 0']);
  // Who sent it never heard, and sends it again under its key: it is there once.
  expect(await publish('killed 0', 'killed 0')).toMatchObject({ position: { offset: 2 }, isDuplicate: true });

  // Without anybody asking, the next message does it.
  expect(await startPublisher([address, 'again', '1', '--die'], bus).ended).toBe('SIGKILL');
  await publish('after', 'last');
  await expect
    .poll(() => follower.texts, { timeout: 5_000 })
    .toEqual(['before', 'killed 0', 'again 0', 'after']);
  expect(broker.counters.holes).toBe(1);
  await broker.close();
});
