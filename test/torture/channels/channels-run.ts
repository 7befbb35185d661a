/**
 * Owns one run of the torture of channels: Redis and two servers as real processes, a publisher a room, subscribers that
 * change transport and server all the time, and connections to Redis that are cut. It ends when every subscriber has
 * come to the last publication of each of its rooms, or has not for too long.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { createClient } from 'redis';

import { integerBelow, seededRandom, type Random } from '#base/random.ts';
import type { Position } from '#protocol/publication.ts';
import { startKymo, freePort, type KymoProcess } from '#test/support/kymo-process.ts';
import { startRedis, type TestRedis } from '#test/support/redis.ts';
import { createPublicationCheck, type PublicationCheck } from '#test/torture/channels/publication-check.ts';
import {
  startRoamingSubscriber,
  transports,
  type RoamingSubscriber,
} from '#test/torture/channels/roaming-subscriber.ts';
import { publishToRoom } from '#test/torture/channels/room-publisher.ts';

export interface ChannelsRunOptions {
  readonly publications: number;
  readonly rooms: number;
  readonly subscribers: number;
  readonly roomsPerSubscriber: number;
  readonly seed: number;
  readonly databaseUrl: string;
  /** For the servers' small files; one folder each is made in it. */
  readonly directory: string;
  /** Mean time between cuts of the servers' connections to Redis. */
  readonly cutMs: number;
  /** Mean time between losses of all that Redis holds; 0: never. Each is a gap that must be told. */
  readonly emptyMs: number;
  /** Mean time between halts of Redis, its connections open, for up to five seconds; 0: never. */
  readonly haltMs: number;
  /** Mean time between deaths of a server, which starts again; 0: never. */
  readonly killMs: number;
  readonly stayMs: number;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

export interface ChannelsOutcome {
  readonly isGood: boolean;
  readonly violations: readonly string[];
  /** Subscribers that did not come to the end of a room. */
  readonly unfinished: readonly string[];
  readonly published: number;
  readonly repeats: number;
  readonly delivered: number;
  readonly gaps: number;
  readonly resumptions: number;
  readonly connections: Readonly<Record<string, number>>;
  readonly failures: Readonly<Record<string, number>>;
  readonly troubles: Readonly<Record<string, number>>;
  readonly cuts: number;
  readonly emptied: number;
  readonly halts: number;
  readonly kills: number;
  readonly seconds: number;
}

const extensions = fileURLToPath(new URL('extensions', import.meta.url));
/** A hub looks for lost last messages every 10 s. */
const SETTLE_MS = 30_000;

export async function runChannels(options: ChannelsRunOptions): Promise<ChannelsOutcome> {
  const redis = await startRedis();
  const servers: TorturedKymo[] = [];
  try {
    for (const name of ['a', 'b']) servers.push(await startServer(options, redis, name));
    return await torture(options, servers, redis);
  } finally {
    await Promise.all(servers.map((server) => server.kill()));
    await redis.close();
  }
}

interface TorturedKymo {
  readonly address: string;
  readonly key: string;
  kill(): Promise<void>;
  /** Starts it again after a kill, on the same port. */
  start(): Promise<void>;
}

async function startServer(
  { directory, databaseUrl }: ChannelsRunOptions,
  redis: TestRedis,
  name: string,
): Promise<TorturedKymo> {
  const port = await freePort();
  const args = ['--database-url', databaseUrl, '--redis-url', redis.url, '--extensions', extensions];
  const launch = (): Promise<KymoProcess> => startKymo({ dataDir: `${directory}/${name}`, port, args });
  let running = await launch();
  return {
    address: `http://127.0.0.1:${port}`,
    key: new URL(running.address).hash.slice('#key='.length),
    kill: async () => void (await running.signal('SIGKILL')),
    async start() {
      running = await launch();
    },
  };
}

async function torture(
  options: ChannelsRunOptions,
  servers: readonly TorturedKymo[],
  redis: TestRedis,
): Promise<ChannelsOutcome> {
  const { seed, rooms, publications, say, signal, stayMs } = options;
  const random = seededRandom(seed);
  const check = createPublicationCheck();
  const addresses = servers.map(({ address }) => address);
  const { key } = servers[0]!;
  const names = Array.from({ length: rooms }, (_, i) => `room${i}`);
  const shared = { servers: () => addresses, key, check, stayMs };
  const subscribers = startSubscribers(options, names, shared);
  const startedMs = performance.now();
  const progress = createProgress(publications, check, say);
  const nemesis = startNemesis({ options, servers, redis, random });
  const troubles = new Map<string, number>();
  const repeats = await Promise.all(
    names.map((room, i) =>
      publishToRoom({
        ...shared,
        room,
        count: Math.floor(publications / rooms) + (i < publications % rooms ? 1 : 0),
        random: seededRandom(seed + i + 1),
        onProgress: progress.add,
        onTrouble: (reason) => troubles.set(reason, (troubles.get(reason) ?? 0) + 1),
        signal,
      }),
    ),
  );
  await nemesis.stop();
  for (const { subscriber } of subscribers) subscriber.settle();
  const unfinished = await waitForEnd(subscribers, await endsOf(names, addresses, key), signal);
  await Promise.all(subscribers.map(({ subscriber }) => subscriber.stop()));
  progress.stop();
  return {
    isGood:
      check.violations.length === 0 && unfinished.length === 0 && check.counts.acknowledged === publications,
    violations: check.violations,
    unfinished,
    published: check.counts.acknowledged,
    repeats: repeats.reduce((sum, one) => sum + one, 0),
    delivered: check.counts.delivered,
    gaps: check.counts.gaps,
    resumptions: check.counts.resumptions,
    connections: Object.fromEntries(
      transports.map((name) => [
        name,
        subscribers.reduce((sum, one) => sum + one.subscriber.connections[name], 0),
      ]),
    ),
    failures: sumOf(subscribers.map(({ subscriber }) => subscriber.failures)),
    troubles: sumOf([troubles]),
    ...nemesis.counts,
    seconds: (performance.now() - startedMs) / 1000,
  };
}

interface Following {
  readonly name: string;
  readonly rooms: readonly string[];
  readonly subscriber: RoamingSubscriber;
}

function startSubscribers(
  { subscribers, roomsPerSubscriber, seed }: ChannelsRunOptions,
  names: readonly string[],
  shared: { servers: () => readonly string[]; key: string; check: PublicationCheck; stayMs: number },
): Following[] {
  return Array.from({ length: subscribers }, (_, i) => {
    const name = `subscriber ${i}`;
    const rooms = Array.from(
      { length: Math.min(roomsPerSubscriber, names.length) },
      (__, k) => names[(i + k) % names.length]!,
    );
    const random = seededRandom(seed * 31 + i);
    return { name, rooms, subscriber: startRoamingSubscriber({ ...shared, name, rooms, random }) };
  });
}

interface Nemesis {
  readonly counts: {
    readonly cuts: number;
    readonly emptied: number;
    readonly halts: number;
    readonly kills: number;
  };
  /** Ends the faults; resolves when all is there again. */
  stop(): Promise<void>;
}

const HALT_MOST_MS = 5_000;

/** Does each kind of fault at times of its own; of those that take Redis away one at a time. */
function startNemesis(parts: {
  options: ChannelsRunOptions;
  servers: readonly TorturedKymo[];
  redis: TestRedis;
  random: Random;
}): Nemesis {
  const { options, servers, redis, random } = parts;
  const counts = { cuts: 0, emptied: 0, halts: 0, kills: 0 };
  const over = new AbortController();
  const pause = async (ms: number): Promise<void> => {
    await sleep(ms, undefined, { signal: over.signal }).catch(() => undefined);
  };
  const repeat = async (meanMs: number, act: () => Promise<void>): Promise<void> => {
    if (meanMs === 0) return;
    for (;;) {
      await pause(random.next() * 2 * meanMs);
      if (over.signal.aborted) return;
      await act();
    }
  };
  const control = createClient({ url: redis.url });
  control.on('error', () => undefined);
  const connected = control.connect();
  let isAway = false;
  const away = async (act: () => Promise<void>): Promise<void> => {
    if (isAway) return;
    isAway = true;
    await act();
    isAway = false;
  };
  const cut = async (): Promise<void> => {
    counts.cuts++;
    await connected;
    const kind = random.next() < 0.5 ? 'pubsub' : 'normal';
    await control.sendCommand(['CLIENT', 'KILL', 'TYPE', kind, 'SKIPME', 'yes']).catch(() => undefined);
  };
  const empty = async (): Promise<void> => {
    counts.emptied++;
    redis.signal('SIGKILL');
    await redis.restart();
  };
  const halt = async (): Promise<void> => {
    counts.halts++;
    redis.signal('SIGSTOP');
    await pause(random.next() * HALT_MOST_MS);
    redis.signal('SIGCONT');
  };
  const kill = async (): Promise<void> => {
    counts.kills++;
    const server = servers[integerBelow(random, servers.length)]!;
    await server.kill();
    await server.start();
  };
  const ended = Promise.all([
    repeat(options.cutMs, cut),
    repeat(options.emptyMs, () => away(empty)),
    repeat(options.haltMs, () => away(halt)),
    repeat(options.killMs, kill),
  ]);
  return {
    counts,
    async stop() {
      over.abort();
      await ended;
      control.destroy();
    },
  };
}

/** The last publication of each room, which both servers must agree on. */
async function endsOf(
  rooms: readonly string[],
  addresses: readonly string[],
  key: string,
): Promise<Map<string, Position>> {
  const ends = new Map<string, Position>();
  for (const room of rooms)
    for (const address of addresses) {
      const response = await fetch(`${address}/v1/channels/torture/${room}/messages?limit=1`, {
        headers: { authorization: `Bearer ${key}` },
      });
      const { position } = (await response.json()) as { position: Position };
      const known = ends.get(room) ?? position;
      if (known.epoch !== position.epoch || known.offset !== position.offset)
        throw new Error(`the servers differ over the end of ${room}`);
      ends.set(room, position);
    }
  return ends;
}

/** Resolves to what did not come to the last publication of its rooms in time. */
async function waitForEnd(
  subscribers: readonly Following[],
  ends: ReadonlyMap<string, Position>,
  signal: AbortSignal,
): Promise<string[]> {
  const missing = (): string[] =>
    subscribers.flatMap(({ name, rooms, subscriber }) =>
      rooms.flatMap((room) => {
        const at = subscriber.positionOf(room);
        const end = ends.get(room);
        return at?.epoch === end?.epoch && at?.offset === end?.offset
          ? []
          : [`${name} in ${room}: at ${at?.epoch} ${at?.offset}, the end is ${end?.epoch} ${end?.offset}`];
      }),
    );
  const untilMs = performance.now() + SETTLE_MS;
  while (missing().length > 0 && performance.now() < untilMs && !signal.aborted) await sleep(20);
  return missing();
}

function createProgress(
  publications: number,
  check: PublicationCheck,
  say: (text: string) => void,
): { add(count: number): void; stop(): void } {
  let done = 0;
  const startedMs = performance.now();
  const timer = setInterval(() => {
    const perSecond = (done / (performance.now() - startedMs)) * 1000;
    say(
      `${done} of ${publications} published (${perSecond.toFixed(0)}/s), ${check.counts.delivered} delivered, ` +
        `${check.counts.resumptions} recoveries, ${check.counts.gaps} gaps told, ${check.violations.length} violations`,
    );
  }, 5_000);
  return {
    add: (count) => {
      done += count;
    },
    stop: () => clearInterval(timer),
  };
}

function sumOf(counts: readonly ReadonlyMap<string, number>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const map of counts) for (const [name, count] of map) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}

/** A line for people and logs. */
export function summaryOf(outcome: ChannelsOutcome): string {
  const { published, delivered, resumptions, gaps, seconds, repeats, connections } = outcome;
  const verdict = outcome.isGood
    ? 'each subscriber saw every message once, in order, or was told of the gap'
    : `WRONG: ${outcome.violations.length} violations, ${outcome.unfinished.length} unfinished`;
  const by = Object.entries(connections)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');
  return (
    `${published} publications in ${seconds.toFixed(1)} s (${(published / seconds).toFixed(0)}/s), ` +
    `${delivered} deliveries over ${by} connections, ${resumptions} recoveries, ${gaps} gaps told, ` +
    `${repeats} times sent again, Redis cut ${outcome.cuts}, halted ${outcome.halts} and emptied ${outcome.emptied} times, ` +
    `servers killed ${outcome.kills} times: ${verdict}`
  );
}
