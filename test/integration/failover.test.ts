/**
 * A database that comes back with less than it acknowledged, under a server that stays up: a standby that lacks the newest
 * commits is promoted, or the files of an earlier day are put back. What is missing is sent again or declared, by itself.
 */

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import pg from 'pg';
import { afterEach, expect, test } from 'vitest';

import { layoutOf, openDataDirectory } from '#app/embedded-data-directory.ts';
import { startEmbeddedDatabase, type EmbeddedDatabase } from '#app/embedded-database.ts';
import { openDevice } from '#sdk/device-client.ts';
import type { Device, DeviceStream } from '#sdk/device-runtime.ts';
import type { DeviceStore } from '#sdk/device-store.ts';
import { fileStore } from '#sdk/file-store.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { openDatabaseAddress } from '#test/support/database-address.ts';
import { runKymo, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';
import { compare, readStored, type StoredStream } from '#test/support/stored-readings.ts';

const AXES = ['x', 'y', 'z'].map((name) => ({ name, unit: '1' }));
const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function directory(name: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), `kymo-failover-${name}-`));
  endings.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function database(dataDir: string): Promise<EmbeddedDatabase> {
  const embedded = await startEmbeddedDatabase({ dataDir });
  endings.push(() => embedded.stop());
  return embedded;
}

interface Recording {
  readonly stream: DeviceStream;
  readonly generated: number[];
}

function begin(device: Device, segment: string): Recording {
  return { stream: device.stream({ segment, sensor: 'imu', axes: AXES, rateHz: 1_000 }), generated: [] };
}

function push({ stream, generated }: Recording, readings: number): void {
  const rows = Array.from({ length: readings * AXES.length }, () => Math.fround(Math.random()));
  generated.push(...rows);
  stream.push(rows);
}

interface World {
  readonly server: KymoProcess;
  /** By way of the address that stays. */
  readonly ownerUrl: string;
  /** Of the primary. */
  readonly superuserUrl: string;
  connect(name: string, store: DeviceStore): Promise<Device>;
  /** The primary stops for a moment, and this is what a standby would have of it. */
  takeImage(): Promise<void>;
  /** The primary dies in the middle of what it does, and is started again. */
  killPrimary(): Promise<void>;
  /** The primary dies, and the image takes over. */
  failOver(
    how: 'promoted' | 'files put back' | 'files put back, with a log that tells nothing',
  ): Promise<void>;
}

async function world(): Promise<World> {
  const primaryDir = await directory('primary');
  const standbyDir = await directory('standby');
  const stateDir = await directory('state');
  const primary = await database(primaryDir);
  const address = await openDatabaseAddress(layoutOf(primaryDir).sockets);
  endings.push(() => address.close());
  const ownerUrl = address.urlOf(primary.ownerUrl);
  const settings = ['--database-url', ownerUrl];
  const server = await startKymo({ dataDir: stateDir, port: 0, args: settings });
  endings.push(() => server.signal('SIGKILL'));
  const place = openDataDirectory(standbyDir);
  return {
    server,
    ownerUrl,
    superuserUrl: primary.superuserUrl,
    async connect(name, store) {
      const key = await runKymo(['device', 'add', name, '--data', stateDir, ...settings]);
      const timing = { backoff: { baseMs: 100, capMs: 1_000 } };
      const device = await openDevice({ url: new URL(server.address).origin, key, store, timing });
      endings.push(() => device.close({ drainMs: 0 }));
      return device;
    },
    async takeImage() {
      await primary.stop();
      await promisify(execFile)('cp', ['-a', layoutOf(primaryDir).cluster, place.cluster]);
      await primary.ensureRunning();
    },
    async killPrimary() {
      process.kill(primary.postmasterPid()!, 'SIGKILL');
      await expect.poll(() => primary.postmasterPid(), { timeout: 10_000 }).toBe(undefined);
      await primary.ensureRunning();
    },
    async failOver(how) {
      process.kill(primary.postmasterPid()!, 'SIGKILL');
      if (how === 'promoted') await writeFile(join(place.cluster, 'standby.signal'), '');
      const [started] = await Promise.all([
        database(standbyDir),
        how === 'promoted' ? promote(primary.superuserUrl, place.sockets) : null,
      ]);
      expect(started.firstRun).toBe(false);
      address.moveTo(place.sockets);
    },
  };
}

/** Waits until the standby answers, and makes it the primary. */
async function promote(superuserUrl: string, sockets: string): Promise<void> {
  const url = new URL(superuserUrl);
  const connectionString = `postgresql://${url.username}:${url.password}@${encodeURIComponent(sockets)}:5432/postgres`;
  const attempt = async (): Promise<boolean> => {
    const client = new pg.Client({ connectionString });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return (await client.query<{ done: boolean }>('select pg_promote() as done')).rows[0]!.done;
    } catch {
      return false;
    } finally {
      await client.end().catch(() => undefined);
    }
  };
  await expect.poll(attempt, { timeout: 20_000 }).toBe(true);
}

async function stored(ownerUrl: string, { stream }: Recording): Promise<StoredStream> {
  return readStored(ownerUrl, stream.definition.stream);
}

async function verdict(ownerUrl: string, recording: Recording) {
  const found = await stored(ownerUrl, recording);
  return { ...compare(found, Float32Array.from(recording.generated), AXES.length), losses: found.losses };
}

function whole({ generated }: Recording) {
  return { stored: generated.length / AXES.length, doubled: 0, missing: 0, different: 0, losses: [] };
}

/** As on managed databases: then only what the server itself saw committed tells that the database went back. */
async function hideLog(ownerUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await client.query(`create or replace function kymo.timeline() returns bigint language sql return null::bigint;
      create or replace function kymo.log_position() returns pg_lsn language sql return null::pg_lsn`);
  } finally {
    await client.end();
  }
}

async function serverRow(ownerUrl: string): Promise<{ incarnation: string; timeline: number }> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ incarnation: string; timeline: number }>(
      'select incarnation, timeline::integer from kymo.server',
    );
    return rows[0]!;
  } finally {
    await client.end();
  }
}

test.each(['promoted', 'files put back', 'files put back, with a log that tells nothing'] as const)(
  'what a database lacks when it comes back (%s) is sent again by devices that never lost their server',
  async (how) => {
    const w = await world();
    if (how === 'files put back, with a log that tells nothing') await hideLog(w.ownerUrl);
    const device = await w.connect('keeper', fileStore(await directory('device')));
    const [early, going, idle] = ['early', 'going', 'idle'].map((name) => begin(device, name));
    for (const recording of [early!, going!]) push(recording, 500);
    void early!.stream.end();
    expect(await device.drained({ timeoutMs: 20_000 })).toBe(true);
    await w.takeImage();

    // Acknowledged by the primary alone: more of one stream, and a whole one that ends.
    for (const recording of [going!, idle!]) push(recording, 700);
    void idle!.stream.end();
    expect(await device.drained({ timeoutMs: 20_000 })).toBe(true);
    const before = await serverRow(w.ownerUrl);
    // The server has seen where the log of the primary ended.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    // One stream goes on all the while, so that a flush is under way when the primary dies.
    let isGoing = true;
    const pushing = (async () => {
      for (; isGoing; await new Promise((resolve) => setTimeout(resolve, 20))) push(going!, 20);
    })();
    await w.failOver(how);
    const startedMs = performance.now();
    await expect
      .poll(() => verdict(w.ownerUrl, idle!).catch(() => null), { timeout: 60_000 })
      .toEqual(whole(idle!));
    isGoing = false;
    await pushing;

    for (const recording of [early!, going!, idle!])
      await expect
        .poll(() => verdict(w.ownerUrl, recording).catch(() => null), { timeout: 60_000 })
        .toEqual(whole(recording));
    console.log(
      `${how}: everything sent again ${Math.round(performance.now() - startedMs)} ms after it took over`,
    );
    const after = await serverRow(w.ownerUrl);
    expect(after.incarnation).not.toBe(before.incarnation);
    expect(after.timeline).toBe(how === 'promoted' ? before.timeline + 1 : before.timeline);
    expect(w.server.output()).toContain('the database was restored, or a standby took over');

    // One statement is all that it costs: afterwards everything goes on as before.
    const { reconnects } = device.status();
    push(going!, 300);
    expect(await device.drained({ timeoutMs: 20_000 })).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    expect(device.status().reconnects).toBe(reconnects);
    expect(await verdict(w.ownerUrl, going!)).toEqual(whole(going!));
    expect(await serverRow(w.ownerUrl)).toEqual(after);
  },
);

test('what the device does not hold any more is declared as lost with the server', async () => {
  const w = await world();
  const device = await w.connect('forgetful', memoryStore({ maxBytes: 16 * 1024 }));
  const recording = begin(device, 'left-foot');
  push(recording, 100);
  expect(await device.drained({ timeoutMs: 20_000 })).toBe(true);
  await w.takeImage();
  for (let i = 0; i < 20; i++) {
    push(recording, 200);
    expect(await device.drained({ timeoutMs: 20_000 })).toBe(true);
  }
  await w.failOver('promoted');

  const total = recording.generated.length / AXES.length;
  const found = async () => {
    const { chunks, losses } = await stored(w.ownerUrl, recording);
    const readings = chunks.reduce((sum, { count }) => sum + count, 0);
    const lost = losses.reduce((sum, { from, to }) => sum + to - from, 0);
    return { readings, lost, losses };
  };
  await expect
    .poll(
      async () => {
        const { readings, lost } = await found().catch(() => ({ readings: 0, lost: 0 }));
        return readings + lost;
      },
      { timeout: 60_000 },
    )
    .toBe(total);
  const { readings, losses } = await found();
  expect(losses).toEqual([expect.objectContaining({ from: 100, reason: 'server-restored' })]);
  // The newest were still held and came again; the oldest were on the standby.
  expect(readings).toBeGreaterThan(100);
  expect(await verdict(w.ownerUrl, recording)).toMatchObject({
    stored: readings,
    doubled: 0,
    different: 0,
    missing: total - readings,
  });
});

test('a database that is killed again and again recovers what it had, and no device is asked anew', async () => {
  const w = await world();
  const device = await w.connect('steady', memoryStore());
  const recording = begin(device, 'left-foot');
  const before = await serverRow(w.ownerUrl);
  for (let kill = 0; kill < 4; kill++) {
    const endMs = performance.now() + 2_500;
    while (performance.now() < endMs) {
      push(recording, 50);
      // Opening streams commits without waiting for the disk: what a crash may take back.
      if (Math.random() < 0.2) void begin(device, `extra-${kill}`).stream.end();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await w.killPrimary();
  }
  expect(await device.drained({ timeoutMs: 20_000 })).toBe(true);
  expect(await verdict(w.ownerUrl, recording)).toEqual(whole(recording));
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  expect(w.server.output()).not.toContain('a standby took over');
  expect(await serverRow(w.ownerUrl)).toEqual(before);
});

test('a commit that its synchronous standby has not confirmed is not acknowledged, also when the wait is cancelled', async () => {
  const w = await world();
  const device = await w.connect('careful', memoryStore());
  const recording = begin(device, 'left-foot');
  push(recording, 100);
  expect(await device.drained({ timeoutMs: 20_000 })).toBe(true);
  const admin = new pg.Client({ connectionString: w.superuserUrl });
  await admin.connect();
  endings.push(() => admin.end());
  const standby = async (name: string): Promise<void> => {
    await admin.query(`alter system set synchronous_standby_names = '${name}'`);
    await admin.query('select pg_reload_conf()');
  };
  /** How many commits of the writer wait for the standby, and ends their wait if asked to. */
  const waiting = async (end = false): Promise<number> => {
    const { rowCount } = await admin.query(
      `select case when $1 then pg_cancel_backend(pid) end from pg_stat_activity
        where application_name = 'kymo writer' and wait_event = 'SyncRep'`,
      [end],
    );
    return rowCount!;
  };

  await standby('nobody');
  push(recording, 100);
  for (let i = 0; i < 3; i++) {
    await expect.poll(() => waiting(), { timeout: 10_000 }).toBe(1);
    await waiting(true);
    await expect.poll(() => w.server.output().split('committed without its standby').length).toBe(i + 2);
  }
  expect((await verdict(w.ownerUrl, recording)).stored).toBe(200);
  expect(device.status().bufferedReadings).toBe(100);
  await standby('');
  expect(await device.drained({ timeoutMs: 20_000 })).toBe(true);
  expect(await verdict(w.ownerUrl, recording)).toEqual(whole(recording));
});
