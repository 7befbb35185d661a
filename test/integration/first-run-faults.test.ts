/**
 * Owns the proof that Kymo comes back by itself from what happens to machines: killed processes, a power cut in the
 * middle of writing, a full disk. What was acknowledged is there afterwards, once; what was not comes again.
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, afterEach, expect, test } from 'vitest';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { processesWorkingIn } from '#app/embedded-processes.ts';
import { answers } from '#app/server-answer.ts';
import { openDevice } from '#sdk/device-client.ts';
import type { Device, DeviceStream } from '#sdk/device-runtime.ts';
import { fileStore } from '#sdk/file-store.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import {
  command,
  dataDirectory,
  isRoot,
  postmasterOf,
  removeTemplate,
  system,
  type Command,
} from '#test/support/first-run.ts';
import { freePort, runKymo } from '#test/support/kymo-process.ts';
import { compare, readStored } from '#test/support/stored-readings.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

/** Fat readings fill a disk soon. */
const AXES = 16;
/** Holds everything that is pushed while nothing is acknowledged. */
const STORE_BYTES = 128 * 1024 * 1024;

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});
afterAll(removeTemplate);

async function place(): Promise<string> {
  const directory = await dataDirectory();
  endings.push(() => directory.remove());
  return directory.path;
}

function kymo(dataDir: string, port: number): Command {
  const started = command(['start', '--data', dataDir, '--port', String(port), '--log-level', 'info']);
  endings.push(() => started.stop());
  return started;
}

interface Recorder {
  readonly device: Device;
  readonly stream: DeviceStream;
  /** How many readings were pushed. */
  pushed: number;
  push(count: number): void;
  acknowledged(): Promise<boolean>;
}

async function recorder(dataDir: string, url: string): Promise<Recorder> {
  const key = await runKymo(['device', 'add', 'recorder', '--data', dataDir]);
  const timing = { backoff: { baseMs: 50, capMs: 500 } };
  const device = await openDevice({ url, key, store: memoryStore({ maxBytes: STORE_BYTES }), timing });
  endings.push(() => device.close({ drainMs: 0 }));
  const axes = Array.from({ length: AXES }, (_, i) => ({ name: `a${i}`, unit: '1' }));
  const stream = device.stream({ segment: 'pelvis', sensor: 'imu', axes, rateHz: 1000 });
  const made: Recorder = {
    device,
    stream,
    pushed: 0,
    push(count) {
      stream.push(valuesOf(made.pushed, count));
      made.pushed += count;
    },
    acknowledged: () => device.drained({ timeoutMs: 30_000 }),
  };
  return made;
}

/** Numbers that no other reading has; exact in float32 up to a million readings. */
function valuesOf(first: number, count: number): Float32Array {
  return Float32Array.from({ length: count * AXES }, (_, i) => first * AXES + i);
}

async function expectAllOnce(dataDir: string, { stream, pushed }: Recorder): Promise<void> {
  const database = await startEmbeddedDatabase({ dataDir });
  try {
    const stored = await readStored(database.ownerUrl, stream.definition.stream);
    const verdict = compare(stored, valuesOf(0, pushed), AXES);
    expect({ losses: stored.losses, ...verdict }).toEqual({
      losses: [],
      stored: pushed,
      doubled: 0,
      missing: 0,
      different: 0,
    });
  } finally {
    await database.stop();
  }
}

/** What follows its postmaster into death before its own turn comes is dead as well. */
function killAll(pids: readonly number[]): void {
  for (const pid of pids)
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
}

test('after kill -9 of the database it comes back by itself; after kill -9 of the server the next start goes on', async () => {
  const dataDir = await place();
  const port = await freePort();
  const first = kymo(dataDir, port);
  const device = await recorder(dataDir, new URL(await first.address()).origin);
  device.push(1000);
  expect(await device.acknowledged()).toBe(true);

  process.kill(postmasterOf(dataDir)!, 'SIGKILL');
  device.push(1000);
  await first.saw('the embedded database is down and is started again');
  expect(await device.acknowledged()).toBe(true);

  await first.stop('SIGKILL');
  device.push(1000);
  const second = kymo(dataDir, port);
  await second.saw('Running database joined');
  expect(await device.acknowledged()).toBe(true);
  await expectAllOnce(dataDir, device);
});

test('after a power cut in the middle of writing, with every process id given to something else, it starts', async () => {
  const dataDir = await place();
  const port = await freePort();
  const first = kymo(dataDir, port);
  const device = await recorder(dataDir, new URL(await first.address()).origin);
  device.push(2000);
  expect(await device.acknowledged()).toBe(true);
  device.push(50_000);
  const cluster = path.join(dataDir, 'pg18');
  // At once: the server, which would start the database again, the postmaster and all that it had started.
  killAll([first.pid, ...processesWorkingIn(cluster)]);
  await first.ended;
  await expect.poll(() => processesWorkingIn(cluster), { timeout: 20_000 }).toEqual([]);

  // The boot after: other processes have the ids, of the account of the data (PostgreSQL looks at those only).
  const { uid, gid } = statSync(cluster);
  const stranger = spawn('sleep', ['100'], { stdio: 'ignore', ...(isRoot ? { uid, gid } : {}) });
  endings.push(() => stranger.kill());
  await once(stranger, 'spawn');
  const oldBoot = '4242@00000000-0000-0000-0000-000000000000';
  const lockFiles = [path.join(cluster, 'postmaster.pid'), path.join(dataDir, 'run', '.s.PGSQL.5432.lock')];
  for (const file of lockFiles) {
    expect(existsSync(file)).toBe(true);
    const rest = readFileSync(file, 'utf8').split('\n').slice(1);
    writeFileSync(file, [stranger.pid, ...rest].join('\n'));
    if (isRoot) chownSync(file, uid, gid);
  }
  for (const folder of ['users', 'servers'])
    for (const name of readdirSync(path.join(dataDir, folder))) rmSync(path.join(dataDir, folder, name));
  writeFileSync(path.join(dataDir, 'users', `${stranger.pid}.0`), oldBoot);
  const note = { pid: stranger.pid, start: oldBoot, state: 'ready', host: '127.0.0.1', port };
  const address = `http://127.0.0.1:${port}/#key=old`;
  const old = { ...note, database: 'embedded', demo: false, address };
  writeFileSync(path.join(dataDir, 'servers', String(stranger.pid)), JSON.stringify(old));
  for (const name of ['lock', 'servers.lock'])
    writeFileSync(path.join(dataDir, name), `${stranger.pid} ${oldBoot}`);

  const second = kymo(dataDir, port);
  await second.address();
  expect(await device.acknowledged()).toBe(true);
  expect(stranger.exitCode).toBeNull();
  await expectAllOnce(dataDir, device);
  expect(await second.stop()).toBe(0);
  expect(postmasterOf(dataDir)).toBeUndefined();
});

/** A disk of its own; only root may mount one. */
function smallDisk(mib: number): string {
  const folder = createTemporaryDirectory();
  endings.push(() => folder.remove());
  system('mount', '-t', 'tmpfs', '-o', `size=${mib}m,mode=755`, 'tmpfs', folder.path);
  endings.push(() => system('umount', '-l', folder.path));
  return folder.path;
}

/** Takes all that is left of a disk, whoever else writes to it; returns how to give it back. */
function fill(disk: string): () => void {
  const fillers: string[] = [];
  for (let attempt = 0; attempt < 100; attempt++) {
    const availableKib = Number(system('df', '--output=avail', '-k', disk).split('\n')[1]);
    if (availableKib === 0) return () => fillers.forEach((filler) => rmSync(filler, { force: true }));
    const filler = path.join(disk, `filler-${attempt}`);
    fillers.push(filler);
    // The server may take some of it between the two; what is left is asked for again.
    const taken = spawnSync('fallocate', ['-l', `${availableKib}KiB`, filler]);
    if (taken.status !== 0 && !taken.stderr.toString().includes('No space left'))
      throw new Error(String(taken.stderr));
  }
  throw new Error('the disk does not become full');
}

test.skipIf(!isRoot)(
  'a first start on a disk that is too small says which and what it needs, and leaves nothing there',
  async () => {
    const disk = smallDisk(64);
    const refused = await command(['start', '--data', path.join(disk, 'data'), '--port', '0']).ended;
    expect(refused.code).toBe(1);
    expect(refused.err).toContain(`the disk of ${path.join(disk, 'data')} is full`);
    expect(refused.err).toContain('make at least 256 MiB free');
    expect(readdirSync(path.join(disk, 'data')).filter((name) => /^pg|^postgresql/.test(name))).toEqual([]);
  },
);

test.skipIf(!isRoot)(
  'on a full disk nothing is acknowledged, it says so, and all is stored when there is room',
  async () => {
    const disk = smallDisk(600);
    const dataDir = path.join(disk, 'data');
    system('cp', '-a', await place(), dataDir);
    const port = await freePort();
    const server = kymo(dataDir, port);
    const { origin } = new URL(await server.address());
    const device = await recorder(dataDir, origin);
    device.push(1000);
    expect(await device.acknowledged()).toBe(true);

    const free = fill(disk);
    // More than fits into the pages that PostgreSQL had taken from the disk before.
    for (let i = 0; i < 10; i++) device.push(10_000);
    await server.saw(`the disk of ${dataDir} is full`);
    await expect
      .poll(async () => (await fetch(`${origin}/readyz`)).status, { timeout: 60_000, interval: 200 })
      .toBe(503);
    // Nothing is granted for storing, and the newest readings are shown nevertheless.
    const shown = async (): Promise<number> => {
      const text = await (await fetch(`${origin}/metrics`)).text();
      return Number(/^kymo_live_only_frames_total (\d+)/m.exec(text)?.[1] ?? 0);
    };
    const before = await shown();
    await expect
      .poll(
        async () => {
          device.push(10);
          return await shown();
        },
        { timeout: 20_000, interval: 100 },
      )
      .toBeGreaterThan(before + 10);
    expect(await device.device.drained({ timeoutMs: 500 })).toBe(false);

    free();
    expect(await device.device.drained({ timeoutMs: 100_000 })).toBe(true);
    await server.saw('has room again');
    expect(await answers(origin)).toBe(true);
    await expectAllOnce(dataDir, device);
    expect(await server.stop()).toBe(0);
    // However often it crashed meanwhile, the database lost nothing, and no device was asked for what it had.
    const { out, err } = await server.ended;
    expect(out + err).not.toContain('a standby took over');
  },
);

test.skipIf(!isRoot)(
  'a server killed on a full disk is told so at its next start, and starts when there is room',
  async () => {
    const disk = smallDisk(600);
    const dataDir = path.join(disk, 'data');
    system('cp', '-a', await place(), dataDir);
    const first = kymo(dataDir, 0);
    await first.address();
    killAll([first.pid, ...processesWorkingIn(path.join(dataDir, 'pg18'))]);
    await first.ended;
    const free = fill(disk);
    const refused = await command(['start', '--data', dataDir, '--port', '0']).ended;
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/the disk of .* is full \(0 MiB free\): make at least 256 MiB free there/);
    free();
    const second = kymo(dataDir, 0);
    expect(await answers(await second.address())).toBe(true);
  },
);

test.skipIf(!isRoot)(
  'a device whose disk is full goes on, says so, stores again when there is room, and declares what it could not keep',
  async () => {
    const dataDir = await place();
    const port = await freePort();
    const first = kymo(dataDir, port);
    await first.address();
    const key = await runKymo(['device', 'add', 'recorder', '--data', dataDir]);
    expect(await first.stop()).toBe(0);
    const disk = smallDisk(4);
    const events: string[] = [];
    const device = await openDevice({
      url: `http://127.0.0.1:${port}`,
      key,
      timing: { backoff: { baseMs: 50, capMs: 500 } },
      store: fileStore(path.join(disk, 'store'), { maxBytes: 64 * 1024 * 1024 }),
      onEvent: (event) => events.push(event.type),
    });
    endings.push(() => device.close({ drainMs: 0 }));
    const axes = [{ name: 'x', unit: '1' }];
    const stream = device.stream({ segment: 'pelvis', sensor: 'imu', axes, rateHz: 1000 });
    const isFull = (): boolean => events.includes('store-full-disk');
    let pushed = 0;
    const push = (count: number): void => {
      stream.push(Float32Array.from({ length: count }, (_, i) => pushed + i));
      pushed += count;
    };
    for (let i = 0; i < 2_000 && !isFull(); i++) {
      push(2_000);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(isFull()).toBe(true);
    system('mount', '-o', 'remount,size=32m', disk);
    await expect
      .poll(
        () => {
          push(100);
          return events.includes('store-disk-ok');
        },
        { timeout: 10_000 },
      )
      .toBe(true);

    await kymo(dataDir, port).address();
    expect(await device.drained({ timeoutMs: 60_000 })).toBe(true);
    const database = await startEmbeddedDatabase({ dataDir });
    endings.push(() => database.stop());
    const stored = await readStored(database.ownerUrl, stream.definition.stream);
    const lost = stored.losses.reduce((sum, { from, to }) => sum + to - from, 0);
    expect(lost).toBeGreaterThan(0);
    expect(new Set(stored.losses.map(({ reason }) => reason))).toEqual(new Set(['device-store-full']));
    expect(
      compare(
        stored,
        Float32Array.from({ length: pushed }, (_, i) => i),
        1,
      ),
    ).toEqual({
      stored: pushed - lost,
      missing: lost,
      doubled: 0,
      different: 0,
    });
  },
);
