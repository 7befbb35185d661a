/**
 * What class event promises, held against everything at once: random publications, disconnects, slow viewers, lost bus
 * messages, unreadable and late histories, histories that begin anew. Each viewer sees every message once, in order, or is
 * told of a gap. Seeded: a failure names its seed.
 */

import { expect, test } from 'vitest';

import { integerBelow, seededRandom, type Random } from '#base/random.ts';
import { createMemoryBroker } from '#bus/memory-broker.ts';
import type { HubMessage } from '#contract/live-messages.ts';
import type { CloseReason } from '#protocol/codes.ts';
import type { Position } from '#protocol/publication.ts';
import { createHub } from '#live/hub.ts';
import type { Outgoing, Transport, ViewerPort } from '#live/transport.ts';
import { createFaultyBroker, keyOf, type FaultyBroker } from '#test/support/faulty-broker.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { testPrincipal } from '#test/support/principals.ts';
import { createTestChannels } from '#test/support/test-channels.ts';

const channel = 'room/a';
const VIEWERS = 4;
/** Of the test's own definition (test-channels.ts). */
const HISTORY_MESSAGES = 200;

/** A client as the documentation asks for: it remembers one position, and trusts nothing else. */
interface Client {
  port: ViewerPort | null;
  position: Position | null;
  isSubscribed: boolean;
  isSlow: boolean;
  unsent: (() => void)[];
  seen: number;
  gaps: number;
  closes: (CloseReason | 'own')[];
}

function createWorld(random: Random) {
  const clock = createManualClock();
  const broker = createFaultyBroker(createMemoryBroker({ clock }), random.next);
  const channels = createTestChannels({
    clock,
    broker,
    onFailure: (cause) => expect.unreachable(String(cause)),
  });
  let turn: (() => void)[] = [];
  // Two instances on one broker: a viewer may come from one that knows more.
  const hubs = [1, 2].map(() =>
    createHub({
      channels,
      clock,
      authenticate: async () => null,
      // Small, so that every bound is met.
      limits: {
        tailMessages: 8,
        tailBytes: 4_000,
        restingMessages: 4,
        restingBytes: 1_000,
        recoveryMessages: 5,
        recoveryBytes: 2_000,
        highWaterBytes: 600,
        batchBytes: 900,
      },
      random,
      onFailure: (cause) => expect.unreachable(String(cause)),
      endOfTurn: (callback) => void turn.push(callback),
    }),
  );
  const definition = channels.find(channel)!.definition;
  const clients: Client[] = Array.from({ length: VIEWERS }, () => ({
    port: null,
    position: null,
    isSubscribed: false,
    isSlow: false,
    unsent: [],
    seen: 0,
    gaps: 0,
    closes: [],
  }));
  return {
    clock,
    broker,
    hubs,
    clients,
    async settle(): Promise<void> {
      for (let round = 0; round < 12; round++) {
        for (let i = 0; i < 60; i++) await Promise.resolve();
        const due = turn;
        turn = [];
        for (const callback of due) callback();
      }
    },
    publish: (n: number) =>
      channels.publishAs(
        definition,
        { orgId: 'o1', params: { room: 'a' } as never },
        { event: 'message', data: { text: `${n}`.padEnd(20, '.') } },
      ),
  };
}

type World = ReturnType<typeof createWorld>;

/** A gap is told only where there is one: the history reaches no further back, or is another and newer one. */
function holdGap(broker: FaultyBroker, from: Position, to: Position): void {
  const epochs = [...new Set([...broker.published.keys()].map((key) => key.split('/')[0]!))];
  // Nothing may have been published yet in the newest.
  const rank = (epoch: string): number => (epochs.indexOf(epoch) + epochs.length + 1) % (epochs.length + 1);
  if (from.epoch === to.epoch)
    expect(from.offset + 1, 'the history has no more').toBeLessThanOrEqual(
      newestOf(broker, from.epoch) - HISTORY_MESSAGES,
    );
  else expect(rank(to.epoch), 'a newer history').toBeGreaterThan(rank(from.epoch));
}

/** Takes a message, and fails where it does not follow what was taken before. */
function take({ broker }: World, client: Client, message: HubMessage): void {
  if (message.type === 'subscribed') {
    const known = client.position;
    const { position, recovered } = message;
    expect(position).toBeDefined();
    if (known !== null && recovered === true) expect(position).toEqual(known);
    else if (known !== null) {
      expect(recovered).toBe(false);
      holdGap(broker, known, position!);
      client.gaps++;
    }
    client.position = position!;
    client.isSubscribed = true;
  } else if (message.type === 'reset') {
    holdGap(broker, client.position!, message.position);
    client.position = message.position;
    client.gaps++;
  } else if (message.type === 'message') {
    const { epoch, offset } = client.position!;
    expect(message.offset).toBe(offset + 1);
    const { event, data } = message;
    const payload = broker.published.get(keyOf({ epoch, offset: offset + 1 }));
    expect(payload, 'what is given was published there').toBeDefined();
    expect({ event, data }).toEqual(JSON.parse(Buffer.from(payload!).toString()));
    client.position = { epoch, offset: offset + 1 };
    client.seen++;
  } else if (message.type === 'error') {
    // A subscription that could not be made is asked for again; it may be under way still.
    expect(['store-unavailable', 'timed-out', 'overloaded', 'conflict']).toContain(message.code);
  }
}

function connect(world: World, client: Client, random: Random): void {
  client.isSubscribed = false;
  client.unsent = [];
  client.isSlow = false;
  let isOpen = true;
  const transport: Transport = {
    write(items: readonly Outgoing[], sent) {
      for (const item of items)
        take(world, client, JSON.parse(Buffer.from(item.message).toString()) as HubMessage);
      if (client.isSlow) client.unsent.push(sent);
      else sent();
    },
    close(reason) {
      if (!isOpen) return;
      isOpen = false;
      client.closes.push(reason);
      const { port } = client;
      client.port = null;
      // Ended in its own time, as sockets do.
      void Promise.resolve().then(() => port?.ended());
    },
  };
  const port = world.hubs[integerBelow(random, 2)]!.connect(transport, testPrincipal());
  client.port = port;
  ask(client);
}

function ask(client: Client): void {
  client.port?.receive({
    type: 'subscribe',
    id: 1,
    channel,
    ...(client.position === null ? {} : { position: client.position }),
  });
}

async function step(world: World, random: Random, n: number): Promise<void> {
  const { broker, clients, clock } = world;
  const client = clients[integerBelow(random, VIEWERS)]!;
  const draw = integerBelow(random, 100);
  if (draw < 50) {
    for (let i = 1 + integerBelow(random, draw < 5 ? 30 : 3); i > 0; i--) await world.publish(n * 100 + i);
  } else if (draw < 60) {
    if (client.port === null) connect(world, client, random);
    else if (!client.isSubscribed) ask(client);
  } else if (draw < 66) {
    const { port } = client;
    client.port = null;
    port?.ended();
  } else if (draw < 72) client.isSlow = true;
  else if (draw < 78) wake(client);
  else if (draw < 82) broker.lossChance = random.next() < 0.5 ? 0.3 : 0;
  else if (draw < 84) broker.isUnreadable = !broker.isUnreadable;
  else if (draw < 86) broker.isSlow = !broker.isSlow;
  else if (draw < 90) broker.release();
  else if (draw < 92) broker.resume();
  else if (draw < 93) broker.forget();
  else if (draw < 97) clock.advance(integerBelow(random, 3_000));
  if (integerBelow(random, 3) === 0) await world.settle();
  for (const one of clients) one.port?.receive({ type: 'heartbeat' });
}

function wake(client: Client): void {
  client.isSlow = false;
  for (const sent of client.unsent.splice(0)) sent();
}

/** All faults end, everybody comes back, and after the longest silence everyone knows everything. */
async function heal(world: World, random: Random): Promise<void> {
  const { broker, clients, clock } = world;
  broker.lossChance = 0;
  broker.isUnreadable = false;
  broker.isSlow = false;
  broker.release();
  for (let second = 0; second < 14; second++) {
    for (const client of clients) {
      wake(client);
      if (client.port === null) connect(world, client, random);
      else if (!client.isSubscribed) ask(client);
      client.port?.receive({ type: 'heartbeat' });
    }
    await world.settle();
    clock.advance(1_000);
    await world.settle();
  }
}

function newestOf(broker: FaultyBroker, epoch: string): number {
  let newest = 0;
  for (const key of broker.published.keys()) {
    const [of, offset] = key.split('/');
    if (of === epoch) newest = Math.max(newest, Number(offset));
  }
  return newest;
}

async function run(seed: number) {
  const random = seededRandom(seed);
  const world = createWorld(random);
  for (let n = 1; n <= 120; n++) await step(world, random, n);
  await world.publish(1);
  await heal(world, random);
  const [first] = world.clients;
  for (const client of world.clients) {
    expect(client.position).toEqual(first!.position);
    expect(client.position!.offset).toBe(newestOf(world.broker, client.position!.epoch));
  }
  for (const client of world.clients) client.port?.ended();
  await world.settle();
  const none = { viewers: 0, channels: 0, subscriptions: 0, tailBytes: 0, underWay: 0 };
  const counters = world.hubs.map((hub) => hub.counters);
  for (const one of counters) expect(one).toMatchObject(none);
  return { counters, clients: world.clients };
}

test('each viewer of class event sees every message once and in order, or is told of the gap', async () => {
  const met = { seen: 0, gaps: 0, slow: 0, recovered: 0, resets: 0, gapsFound: 0, failures: 0, anew: 0 };
  for (let seed = 1; seed <= 50; seed++) {
    const { counters, clients } = await run(seed).catch((cause: unknown) => {
      throw new Error(`seed ${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    });
    for (const client of clients) {
      met.seen += client.seen;
      met.gaps += client.gaps;
      met.slow += client.closes.filter((reason) => reason === 'slowConsumer').length;
    }
    for (const one of counters) {
      met.recovered += one.messagesRecovered;
      met.resets += one.resets;
      met.gapsFound += one.gapsFound;
      met.failures += one.historyFailures;
      met.anew += one.historiesChanged;
    }
  }
  // The test is worth something only if all of this happened.
  for (const [what, count] of Object.entries(met)) expect(count, what).toBeGreaterThan(5);
}, 30_000);
