import { expect, test } from 'vitest';

import { testBrokerConformance } from '#bus/broker-conformance.ts';
import { createMemoryBroker } from '#bus/memory-broker.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

testBrokerConformance(async ({ keySeconds }) => {
  const clock = createManualClock();
  const broker = createMemoryBroker({ clock, keySeconds });
  return {
    publisher: broker,
    listener: broker,
    // oxlint-disable-next-line typescript/require-await -- the time of this clock passes at once
    passTime: async (ms) => clock.advance(ms),
  };
});

const history = { messages: 10, seconds: 60 };
const publication = (address: string, size = 1, key: string | null = null) => ({
  address,
  payload: new Uint8Array(size),
  history,
  key,
});

test('addresses beyond the maximum go, least recently used first, and come back in a new epoch', async () => {
  const broker = createMemoryBroker({ clock: createManualClock(), maxAddresses: 3 });
  const first = await broker.publish(publication('a'));
  for (const address of ['b', 'c']) await broker.publish(publication(address));
  await broker.history('a', { newest: true, limit: 0 });
  await broker.publish(publication('d'));
  expect(broker.held.addresses).toBe(3);
  expect(broker.counters.evictedAddresses).toBe(1);
  expect((await broker.publish(publication('a'))).position).toEqual({ ...first.position, offset: 2 });
  const again = await broker.publish(publication('b'));
  expect(again.position.offset).toBe(1);
  expect(broker.counters.evictedAddresses).toBe(2);
});

test('an evicted address has another epoch than before', async () => {
  const broker = createMemoryBroker({ clock: createManualClock(), maxAddresses: 1 });
  const { epoch } = (await broker.publish(publication('a'))).position;
  await broker.publish(publication('b'));
  expect((await broker.history('a', { after: 0, limit: 1 })).epoch).not.toBe(epoch);
});

test('who reads addresses that nobody published to drives out no history, and they keep their epoch', async () => {
  const broker = createMemoryBroker({ clock: createManualClock(), maxAddresses: 3 });
  const { position } = await broker.publish(publication('a'));
  for (let i = 0; i < 100; i++) await broker.history(`made-up-${i}`, { newest: true, limit: 1 });
  expect(broker.counters.evictedAddresses).toBe(0);
  expect((await broker.history('a', { newest: true, limit: 1 })).epoch).toBe(position.epoch);
  const { epoch, newest } = await broker.history('made-up-99', { newest: true, limit: 1 });
  expect(newest).toBe(0);
  expect((await broker.publish(publication('made-up-99'))).position).toEqual({ epoch, offset: 1 });
});

test('bytes beyond the maximum take whole addresses, but never the one just written', async () => {
  const broker = createMemoryBroker({ clock: createManualClock(), maxBytes: 1000 });
  for (const address of ['a', 'b', 'c']) await broker.publish(publication(address, 300));
  expect(broker.held).toEqual({ addresses: 3, bytes: 900, keys: 0 });
  await broker.publish(publication('c', 300));
  expect(broker.held).toEqual({ addresses: 2, bytes: 900, keys: 0 });
  await broker.publish(publication('huge', 5000));
  expect(broker.held).toEqual({ addresses: 1, bytes: 5000, keys: 0 });
  expect((await broker.history('huge', { newest: true, limit: 1 })).publications).toHaveLength(1);
});

test('bytes are given back when publications leave by number and by time', async () => {
  const clock = createManualClock();
  const broker = createMemoryBroker({ clock });
  for (let i = 0; i < 30; i++) await broker.publish(publication('a', 10));
  expect(broker.held.bytes).toBe(100);
  clock.advance(60_000);
  await broker.history('a', { newest: true, limit: 0 });
  expect(broker.held.bytes).toBe(0);
});

test('keys beyond the maximum are forgotten, oldest first, and counted', async () => {
  const broker = createMemoryBroker({ clock: createManualClock(), maxKeys: 2 });
  for (const key of ['1', '2', '3']) await broker.publish(publication('a', 1, key));
  expect(broker.held.keys).toBe(2);
  expect(broker.counters.evictedKeys).toBe(1);
  expect((await broker.publish(publication('a', 1, '3'))).isDuplicate).toBe(true);
  expect((await broker.publish(publication('a', 1, '1'))).isDuplicate).toBe(false);
  expect(broker.counters).toMatchObject({ published: 4, duplicates: 1 });
});

test('a key that evicted its address still prevents the second publication', async () => {
  const broker = createMemoryBroker({ clock: createManualClock(), maxAddresses: 1 });
  const { position } = await broker.publish(publication('a', 1, 'k'));
  await broker.publish(publication('b'));
  expect(await broker.publish(publication('a', 1, 'k'))).toEqual({ position, isDuplicate: true });
});

test('a listener that publishes does not put the others out of order', async () => {
  const broker = createMemoryBroker({ clock: createManualClock() });
  const offsets: number[] = [];
  let answer: Promise<unknown> | undefined;
  broker.listen('a', {
    publication: () => void (answer ??= broker.publish(publication('a'))),
    resumed: () => undefined,
  });
  broker.listen('a', { publication: (_, { offset }) => void offsets.push(offset), resumed: () => undefined });
  await broker.publish(publication('a'));
  await answer;
  expect(offsets).toEqual([1, 2]);
});
