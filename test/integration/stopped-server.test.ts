/**
 * Two servers at once on real parts, one of them stopped at the worst moment, inside a transaction. Afterwards every reading
 * is there once, bit-equal. Attacks at any moment are the torture's (torture.test.ts).
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import pg from 'pg';
import { afterEach, expect, test } from 'vitest';

import { startEmbeddedDatabase, type EmbeddedDatabase } from '#app/embedded-database.ts';
import { openDevice } from '#sdk/device-client.ts';
import type { Device, DeviceStream } from '#sdk/device-runtime.ts';
import { fileStore } from '#sdk/file-store.ts';
import { startCuttingProxy } from '#test/support/cutting-proxy.ts';
import { freePort, runKymo, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';
import { compare, readStored } from '#test/support/stored-readings.ts';

const AXES = ['acc_x', 'acc_y', 'acc_z', 'gyr_x', 'gyr_y', 'gyr_z'].map((name) => ({ name, unit: '1' }));
const RATE_HZ = 200;

const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function dataDirectory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'kymo-faults-'));
  endings.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** The database stays with this test too, so that no server process is the last to leave it. */
async function database(dataDir: string): Promise<EmbeddedDatabase> {
  const embedded = await startEmbeddedDatabase({ dataDir });
  endings.push(() => embedded.stop());
  return embedded;
}

async function server(dataDir: string, port: number, args: readonly string[] = []): Promise<KymoProcess> {
  const process = await startKymo({ dataDir, port, args });
  endings.push(() => process.signal('SIGKILL'));
  return process;
}

interface Recorder {
  readonly stream: DeviceStream;
  /** Every value that was pushed, in order. */
  readonly generated: Float32Array;
  pushed: number;
}

/** Pushes readings at true rate until `durationMs` has passed. Values are random bit patterns of finite floats. */
async function record(recorders: readonly Recorder[], durationMs: number): Promise<void> {
  const start = performance.now();
  for (;;) {
    const elapsed = Math.min(durationMs, performance.now() - start);
    const due = Math.floor((elapsed / 1000) * RATE_HZ);
    for (const recorder of recorders) {
      const rows = recorder.generated.subarray(recorder.pushed * AXES.length, due * AXES.length);
      if (rows.length > 0) recorder.stream.push(rows);
      recorder.pushed = due;
    }
    if (elapsed >= durationMs) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function recorderFor(owner: Device, name: string, seconds: number): Recorder {
  const generated = new Float32Array(seconds * RATE_HZ * AXES.length);
  const bytes = new Uint8Array(generated.buffer);
  for (let at = 0; at < bytes.length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  // A NaN may lose its payload on the way through a float register: keep to finite values.
  for (let i = 3; i < bytes.length; i += 4) bytes[i] = bytes[i]! & 0xbf;
  return {
    stream: owner.stream({ segment: name, sensor: 'imu', axes: AXES, rateHz: RATE_HZ }),
    generated,
    pushed: 0,
  };
}

async function device(options: { url: string; key: string; dir: string }): Promise<Device> {
  const opened = await openDevice({
    url: options.url,
    key: options.key,
    store: fileStore(options.dir),
    timing: { backoff: { baseMs: 100, capMs: 1_000 } },
  });
  endings.push(() => opened.close({ drainMs: 0 }));
  return opened;
}

async function expectEverythingOnce(ownerUrl: string, recorders: readonly Recorder[]): Promise<void> {
  for (const { stream, generated, pushed } of recorders) {
    const stored = await readStored(ownerUrl, stream.definition.stream);
    const sent = generated.subarray(0, pushed * AXES.length);
    expect({
      segment: stream.definition.segment,
      losses: stored.losses,
      ...compare(stored, sent, AXES.length),
    }).toEqual({
      segment: stream.definition.segment,
      losses: [],
      stored: pushed,
      doubled: 0,
      missing: 0,
      different: 0,
    });
  }
}

test('a server stopped between guard and commit holds its streams for less than 5 s and stores nothing twice', async () => {
  const dataDir = await dataDirectory();
  const embedded = await database(dataDir);
  const first = await server(dataDir, await freePort());
  const second = await server(dataDir, await freePort());
  const proxy = await startCuttingProxy(first.port);
  endings.push(() => proxy.close());
  const key = await runKymo(['device', 'add', 'moving', '--data', dataDir]);
  const connected = await device({
    url: `http://127.0.0.1:${proxy.port}`,
    key,
    dir: join(dataDir, 'device'),
  });
  const recorder = recorderFor(connected, 'left-foot', 20);
  await record([recorder], 1_000);
  expect(await connected.drained({ timeoutMs: 10_000 })).toBe(true);

  // The COPY of the first server waits for this lock while its transaction holds the guard row.
  const lock = new pg.Client({ connectionString: embedded.ownerUrl });
  await lock.connect();
  endings.push(() => lock.end());
  await lock.query('set role kymo_writer');
  await lock.query('begin');
  await lock.query('lock table kymo.chunk in share row exclusive mode');
  const before = recorder.pushed;
  const rows = recorder.generated.subarray(before * AXES.length, (before + 300) * AXES.length);
  recorder.stream.push(rows);
  recorder.pushed += 300;
  // A connection of its own: within a transaction pg_stat_activity does not change.
  const observer = new pg.Client({ connectionString: embedded.superuserUrl });
  await observer.connect();
  endings.push(() => observer.end());
  const waitingCopies = async (): Promise<number | null> =>
    (
      await observer.query(
        "select from pg_stat_activity where query like 'copy kymo.chunk%' and wait_event_type = 'Lock'",
      )
    ).rowCount;
  await expect.poll(waitingCopies, { timeout: 10_000 }).toBe(1);
  await first.signal('SIGSTOP');
  await lock.query('commit');

  proxy.target(second.port);
  proxy.cut(() => true);
  const startedMs = performance.now();
  expect(await connected.drained({ timeoutMs: 10_000 })).toBe(true);
  const resumedMs = performance.now() - startedMs;
  console.log(`resumed on the other server after ${Math.round(resumedMs)} ms`);
  expect(resumedMs).toBeLessThan(5_000);
  await first.signal('SIGCONT');
  // The woken server finds its transaction gone, tries its batch again and must find all of it committed.
  await expect
    .poll(() => first.output(), { timeout: 15_000 })
    .toContain('a flush failed and will be tried again');
  recorder.stream.push(
    recorder.generated.subarray(recorder.pushed * AXES.length, (recorder.pushed + 100) * AXES.length),
  );
  recorder.pushed += 100;
  expect(await connected.drained({ timeoutMs: 10_000 })).toBe(true);
  await expectEverythingOnce(embedded.ownerUrl, [recorder]);
});
