/**
 * Owns a real server process for hostile sockets, with an honest device that streams all the while: its keys, its metrics,
 * and how long the honest device waits for its acknowledgements.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { openDevice } from '#sdk/device-client.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { runKymo, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';

/** Devices whose keys the hostile clients have: stolen ones, for what only an identified device can do. */
const STOLEN_KEYS = 4;
const PUSH_MS = 50;
const RATE_HZ = 200;

export interface BesiegedServer {
  readonly port: number;
  readonly origin: string;
  readonly deviceKeys: readonly string[];
  readonly accessKey: string;
  readonly honest: HonestDevice;
  /** By name, labels included; as GET /metrics gives them. */
  metrics(): Promise<ReadonlyMap<string, number>>;
  /** Has the server forget what nobody holds, so that its memory can be compared. */
  collectGarbage(): Promise<void>;
  /** Ends everything. Returns the exit code of the server. */
  stop(): Promise<number | null>;
}

export interface HonestDevice {
  /** The longest wait of a reading for its acknowledgement since the last call, milliseconds. */
  takeLongestWaitMs(): number;
  readonly reconnects: number;
  /** Pushes nothing more; true when all is acknowledged. */
  finish(): Promise<boolean>;
  readonly pushedReadings: number;
}

export async function startBesieged(): Promise<BesiegedServer> {
  const endings: (() => Promise<unknown>)[] = [];
  const endAll = async (): Promise<void> => {
    for (const end of endings.splice(0).toReversed()) await end();
  };
  try {
    const dataDir = await mkdtemp(join(tmpdir(), 'kymo-siege-'));
    endings.push(() => rm(dataDir, { recursive: true, force: true }));
    // Of its own, so that making devices needs no start of it each.
    const embedded = await startEmbeddedDatabase({ dataDir });
    endings.push(() => embedded.stop());
    const kymo = await startInspectable(() =>
      startKymo({ dataDir, port: 0, args: ['--log-level', 'error'] }),
    );
    endings.push(() => kymo.signal('SIGKILL'));
    const { origin, hash } = new URL(kymo.address);
    const accessKey = hash.replace('#key=', '');
    const names = Array.from({ length: 1 + STOLEN_KEYS }, (_, i) => `device-${i}`);
    const keys = await Promise.all(names.map((name) => runKymo(['device', 'add', name, '--data', dataDir])));
    const [honestKey, ...deviceKeys] = keys;
    const honest = await startHonest(origin, honestKey!);
    endings.push(() => honest.close());
    return {
      port: kymo.port,
      origin,
      deviceKeys,
      accessKey,
      honest,
      async metrics() {
        const answer = await fetch(`${origin}/metrics`, {
          headers: { authorization: `Bearer ${accessKey}` },
        });
        const lines = (await answer.text())
          .split('\n')
          .filter((line) => line !== '' && !line.startsWith('#'));
        return new Map(
          lines.map((line) => [
            line.slice(0, line.lastIndexOf(' ')),
            Number(line.slice(line.lastIndexOf(' ') + 1)),
          ]),
        );
      },
      collectGarbage: () => collectGarbage(kymo),
      async stop() {
        await honest.close();
        const code = await kymo.signal('SIGTERM');
        await endAll();
        return code;
      },
    };
  } catch (error) {
    await endAll();
    throw error;
  }
}

/** With a debugger's port of its own choice, opened only when it is asked for by a signal. */
async function startInspectable(start: () => Promise<KymoProcess>): Promise<KymoProcess> {
  const before = process.env['NODE_OPTIONS'];
  process.env['NODE_OPTIONS'] = `${before ?? ''} --inspect-port=127.0.0.1:0`;
  try {
    return await start();
  } finally {
    if (before === undefined) delete process.env['NODE_OPTIONS'];
    else process.env['NODE_OPTIONS'] = before;
  }
}

async function collectGarbage(kymo: KymoProcess): Promise<void> {
  const find = (): string | undefined => /ws:\/\/127\.0\.0\.1:\S+/.exec(kymo.output())?.[0];
  if (find() === undefined) process.kill(kymo.pid, 'SIGUSR1');
  for (let tries = 0; find() === undefined && tries < 100; tries++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  const inspector = new WebSocket(find()!);
  await new Promise((resolve) => inspector.addEventListener('open', resolve, { once: true }));
  for (const id of [1, 2]) {
    const answered = new Promise((resolve) => inspector.addEventListener('message', resolve, { once: true }));
    inspector.send(JSON.stringify({ id, method: 'HeapProfiler.collectGarbage' }));
    await answered;
  }
  inspector.close();
}

async function startHonest(url: string, key: string): Promise<HonestDevice & { close(): Promise<void> }> {
  const device = await openDevice({ url, key, store: memoryStore() });
  const axes = ['x', 'y', 'z'].map((name) => ({ name, unit: '1' }));
  const stream = device.stream({ segment: 'left-foot', sensor: 'imu', axes, rateHz: RATE_HZ });
  const readings = (RATE_HZ * PUSH_MS) / 1000;
  /** What was pushed and when, until it is settled. */
  const waiting: { upTo: number; atMs: number }[] = [];
  let pushed = 0;
  let longestMs = 0;
  const timer = setInterval(() => {
    stream.push(new Float32Array(readings * axes.length).fill(pushed));
    pushed += readings;
    const nowMs = performance.now();
    waiting.push({ upTo: pushed, atMs: nowMs });
    const { settledReadings } = device.status();
    while (waiting.length > 0 && waiting[0]!.upTo <= settledReadings)
      longestMs = Math.max(longestMs, nowMs - waiting.shift()!.atMs);
    if (waiting.length > 0) longestMs = Math.max(longestMs, nowMs - waiting[0]!.atMs);
  }, PUSH_MS);
  return {
    takeLongestWaitMs() {
      const longest = longestMs;
      longestMs = 0;
      return longest;
    },
    get reconnects() {
      return device.status().reconnects;
    },
    get pushedReadings() {
      return pushed;
    },
    async finish() {
      clearInterval(timer);
      return device.drained({ timeoutMs: 10_000 });
    },
    async close() {
      clearInterval(timer);
      await device.close({ drainMs: 0 });
    },
  };
}
