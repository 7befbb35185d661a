/**
 * Owns the proof of draining: two real servers over Redis behind a load balancer are restarted one after the other while
 * subscribers follow and a publisher publishes. Nobody misses anything, and those who are sent away come back evenly.
 */

import { fileURLToPath } from 'node:url';

import { afterAll, expect, test } from 'vitest';

import { defaultHubLimits } from '#live/hub-limits.ts';
import { closeCodes } from '#protocol/codes.ts';
import type { LiveClient } from '#sdk/live-api.ts';
import { connectLive } from '#sdk/live-client.ts';
import { startBalancer } from '#test/support/balancer.ts';
import { freePort, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';
import { startRedis } from '#test/support/redis.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

const CLIENTS = 300;
const ROOMS = 4;
const SPREAD_MS = 4_000;
/** 80 a second in all: a connection may publish 100. */
const PUBLISH_MS = 50;

const extensions = fileURLToPath(new URL('../../bench/channels/extension', import.meta.url));
const cleanUps: (() => unknown)[] = [];
afterAll(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

interface Follower {
  readonly room: string;
  readonly seen: number[];
  gaps: number;
  isOpen: boolean;
  /** How often a connection was tried in vain. */
  attempts: number;
  /** When it was open, in milliseconds, and what it had been closed with. */
  readonly returns: number[];
  readonly codes: (number | string)[];
}

test('two servers restarted in turn under load: nothing is lost, and no second sees twice the mean of returns', async () => {
  const data = createTemporaryDirectory();
  cleanUps.push(() => data.remove());
  const redis = await startRedis();
  cleanUps.push(() => redis.close());
  const ports = [await freePort(), await freePort()] as const;
  const start = async (port: number): Promise<KymoProcess> => {
    const server = await startKymo({
      dataDir: data.path,
      port,
      args: ['--redis-url', redis.url, '--extensions', extensions, '--drain-spread-ms', String(SPREAD_MS)],
    });
    cleanUps.push(() => server.signal('SIGTERM'));
    return server;
  };
  const servers = [await start(ports[0]), await start(ports[1])];
  const balancer = await startBalancer(ports);
  cleanUps.push(() => balancer.close());
  const key = new URLSearchParams(new URL(servers[0]!.address).hash.slice(1)).get('key') ?? '';
  const open = (onState: (name: string, code: number | string) => void): LiveClient => {
    const client = connectLive({
      url: `ws://127.0.0.1:${balancer.port}/v1/live`,
      token: () => key,
      transports: ['websocket'],
      onState: (state) => onState(state.name, 'code' in state ? state.code : ''),
    });
    cleanUps.push(() => client.close());
    return client;
  };

  const published = Array.from({ length: ROOMS }, () => 0);
  const refused: unknown[] = [];
  const pending = new Set<Promise<unknown>>();
  const followers = Array.from({ length: CLIENTS }, (_, i): Follower => {
    const follower: Follower = {
      room: `bench/r${i % ROOMS}`,
      seen: [],
      gaps: 0,
      isOpen: false,
      attempts: 0,
      returns: [],
      codes: [],
    };
    const client = open((name, code) => {
      if (name === 'open') follower.returns.push(performance.now());
      if (name === 'waiting' && follower.isOpen) follower.codes.push(code);
      // The balancer hears late of a server that has gone: who is sent there tries again.
      else if (name === 'waiting') follower.attempts++;
      follower.isOpen = name === 'open';
    });
    client.subscribe(follower.room, {
      onMessage: ({ data: message }) => void follower.seen.push((message as { n: number }).n),
      onReset: () => void follower.gaps++,
    });
    return follower;
  });
  const standing = (): string => {
    const closed = followers.filter(({ isOpen }) => !isOpen);
    const behind = followers.filter(({ seen, room }) => seen.length < published[Number(room.at(-1))]!);
    return `not open: ${closed.length} ${JSON.stringify(closed[0]?.codes)}; published ${published.join(', ')}, pending ${pending.size}, behind: ${behind.length}, the first at ${behind[0]?.seen.length} ${JSON.stringify(behind[0]?.codes)} in ${behind[0]?.room}`;
  };
  await until(() => followers.every(({ returns }) => returns.length === 1), standing);

  const publisher = open(() => undefined);
  const timer = setInterval(() => {
    for (let room = 0; room < ROOMS; room++) {
      const n = ++published[room]!;
      const sent = publisher
        .publish(
          `bench/r${room}`,
          'message',
          { n, sentUs: 0, text: '' },
          { key: `${room}/${n}`, timeoutMs: 20_000 },
        )
        .catch((error: unknown) => refused.push(error))
        .finally(() => pending.delete(sent));
      pending.add(sent);
    }
  }, PUBLISH_MS);

  const storms: number[][] = [];
  for (const [i, server] of servers.entries()) {
    const before = followers.map(({ returns }) => returns.length);
    const startedMs = performance.now();
    expect(await server.signal('SIGTERM')).toBe(0);
    await until(() => followers.every(({ isOpen }) => isOpen), standing);
    storms.push(
      followers.flatMap(({ returns }, at) =>
        returns.slice(before[at]).map((ms) => Math.floor((ms - startedMs) / 1_000)),
      ),
    );
    servers[i] = await start(ports[i]!);
  }
  clearInterval(timer);
  await Promise.all(pending);
  await until(
    () => followers.every(({ seen, room }) => seen.length >= published[Number(room.at(-1))]!),
    standing,
  );

  expect(refused).toEqual([]);
  expect(followers.filter(({ attempts }) => attempts > 0).length).toBeLessThan(CLIENTS / 4);
  for (const { seen, room, gaps, codes } of followers) {
    expect(gaps).toBe(0);
    expect(seen).toEqual(Array.from({ length: published[Number(room.at(-1))]! }, (_, n) => n + 1));
    for (const code of codes) expect(code).toBe(closeCodes.draining);
  }
  for (const seconds of storms) {
    const counts = Map.groupBy(seconds, (second) => second);
    const most = Math.max(...[...counts.values()].map((inSecond) => inSecond.length));
    // Few are sent away sooner than many: 50 a second (hub-limits.ts).
    const mean =
      seconds.length / (Math.min(SPREAD_MS, seconds.length * defaultHubLimits.drainSpacingMs) / 1_000);
    expect(seconds.length).toBeGreaterThanOrEqual(CLIENTS / 4);
    expect(most).toBeLessThanOrEqual(2 * mean);
  }
}, 120_000);

/** Fails with what `standing` says when it takes too long. */
async function until(isSo: () => boolean, standing: () => string): Promise<void> {
  const giveUpMs = performance.now() + 45_000;
  while (!isSo()) {
    if (performance.now() > giveUpMs) throw new Error(standing());
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
