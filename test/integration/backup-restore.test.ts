/**
 * Back-up and restore on real processes: the database of a running server is lost, and its devices go on against what is
 * restored; a restore is killed in the middle; the commands say what they refuse.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import pg from 'pg';
import { afterEach, expect, test } from 'vitest';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { intersect, sizeOf, subtract, rangesOf, type RangeSet } from '#base/ranges.ts';
import { openDevice } from '#sdk/device-client.ts';
import type { Device, DeviceStream } from '#sdk/device-runtime.ts';
import type { DeviceStore } from '#sdk/device-store.ts';
import { fileStore } from '#sdk/file-store.ts';
import { freePort, kymoMain, runKymo, startKymo } from '#test/support/kymo-process.ts';
import { readStored } from '#test/support/stored-readings.ts';
import { digestTables, type TableDigests } from '#test/support/table-digests.ts';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function directory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'kymo-backup-'));
  endings.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function digestsOf(dataDir: string): Promise<TableDigests> {
  const embedded = await startEmbeddedDatabase({ dataDir });
  try {
    return await digestTables(embedded.ownerUrl);
  } finally {
    await embedded.stop();
  }
}

/** A device that pushes one reading of four axes at a time, each with values that no other has. */
interface Recorder {
  readonly device: Device;
  readonly store: DeviceStore;
  readonly streams: DeviceStream[];
  /** Readings pushed, by stream id. */
  readonly pushed: Map<string, number>;
  push(count: number): void;
}

const AXES = ['a', 'b', 'c', 'd'];

async function recorder(options: {
  url: string;
  key: string;
  dir: string;
  maxBytes: number;
}): Promise<Recorder> {
  const store = fileStore(options.dir, { maxBytes: options.maxBytes });
  const device = await openDevice({
    url: options.url,
    key: options.key,
    store,
    timing: { backoff: { baseMs: 50, capMs: 500 } },
  });
  endings.push(() => device.close({ drainMs: 0 }));
  const streams: DeviceStream[] = [];
  const pushed = new Map<string, number>();
  return {
    device,
    store,
    streams,
    pushed,
    push(count) {
      for (const { push, definition } of streams) {
        const from = pushed.get(definition.stream) ?? 0;
        push(valuesOf(from, count));
        pushed.set(definition.stream, from + count);
      }
    },
  };
}

function valuesOf(from: number, count: number): Float32Array {
  return Float32Array.from({ length: count * AXES.length }, (_, i) => from * AXES.length + i + 0.5);
}

function openStream({ device, streams }: Recorder, segment: string): DeviceStream {
  const stream = device.stream({
    segment,
    sensor: 'imu',
    axes: AXES.map((name) => ({ name, unit: '1' })),
    rateHz: 200,
  });
  streams.push(stream);
  return stream;
}

/** What is stored of a stream, checked value by value: no number twice, each with the values it was pushed with. */
async function storedOf(
  ownerUrl: string,
  stream: string,
): Promise<{ readings: RangeSet; lost: RangeSet; reasons: string[] }> {
  const { chunks, losses } = await readStored(ownerUrl, stream);
  const ranges = chunks.map(({ firstSeq, count }) => ({ from: firstSeq, to: firstSeq + count }));
  const readings = rangesOf(ranges);
  expect(sizeOf(readings)).toBe(chunks.reduce((sum, { count }) => sum + count, 0));
  expect(new Set(chunks.map(({ epoch }) => epoch)).size).toBeLessThan(2);
  for (const { firstSeq, count, data } of chunks)
    expect(data.equals(Buffer.from(valuesOf(firstSeq, count).buffer))).toBe(true);
  return { readings, lost: rangesOf(losses), reasons: [...new Set(losses.map(({ reason }) => reason))] };
}

/** Streams whose guard says something else than their chunks: what a snapshot between two states would show. */
async function streamsWithoutTheirReadings(ownerUrl: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await client.query('set role kymo_writer');
    const { rows } = await client.query(
      `select e.stream_id, e.committed from kymo.stream_epoch e where e.committed <> coalesce(
         (select range_agg(int8range(c.first_seq, c.first_seq + c.n)) from kymo.chunk c
           where c.stream_id = e.stream_id and c.epoch = e.epoch), '{}')`,
    );
    return rows;
  } finally {
    await client.end();
  }
}

test('a lost database is restored, and devices send again what they hold and declare the rest', async () => {
  const [dataDir, files] = [await directory(), await directory()];
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let kymo = await startKymo({ dataDir, port });
  endings.push(() => kymo.signal('SIGTERM'));
  const recorders: Recorder[] = [];
  for (const [name, maxBytes] of [
    ['roomy', 64 << 20],
    ['tight', 256 << 10],
    ['late', 64 << 20],
  ] as const) {
    const key = await runKymo(['device', 'add', name, '--data', dataDir]);
    recorders.push(await recorder({ url, key, dir: join(files, name), maxBytes }));
  }
  const [roomy, tight, late] = recorders as [Recorder, Recorder, Recorder];
  const ended = openStream(roomy, 'left-foot');
  openStream(roomy, 'right-foot');
  openStream(tight, 'sacrum');
  const timer = setInterval(() => recorders.forEach(({ push }) => push(4)), 5);
  endings.push(() => clearInterval(timer));
  await expect.poll(() => roomy.device.status().settledReadings, { timeout: 20_000 }).toBeGreaterThan(1000);

  const acknowledged = roomy.store
    .logs()
    .map(({ definition, settled }) => ({ stream: definition.stream, settled }));
  const file = join(files, 'one.kymo-backup');
  await runKymo(['backup', file, '--data', dataDir]);
  expect((await stat(file)).mode & 0o777).toBe(0o600);

  clearInterval(timer);
  openStream(late, 'pelvis');
  // More than the tight store has room for, and never more at once: what it frees was acknowledged.
  for (let i = 0; i < 16; i++) {
    recorders.forEach(({ push }) => push(1500));
    expect(await tight.device.drained()).toBe(true);
  }
  await expect.poll(() => late.device.status().settledReadings, { timeout: 20_000 }).toBeGreaterThan(1000);
  roomy.streams.shift();
  await ended.end();
  for (const { device } of recorders) expect(await device.drained()).toBe(true);
  expect(await kymo.signal('SIGKILL')).toBeNull();
  const embedded = await startEmbeddedDatabase({ dataDir });
  await embedded.stop();
  await rm(dataDir, { recursive: true });

  // Readings that are taken while there is no server are among what they hold.
  recorders.forEach(({ push }) => push(50));
  await new Promise((resolve) => setTimeout(resolve, 200));
  const held = new Map(
    recorders.flatMap(({ store }) =>
      store.logs().map((log) => [log.definition.stream, store.held(log)] as const),
    ),
  );
  const restored = await directory();
  await runKymo(['restore', file, '--data', restored]);
  const database = await startEmbeddedDatabase({ dataDir: restored });
  endings.push(() => database.stop());
  expect(await streamsWithoutTheirReadings(database.ownerUrl), 'taken in the middle of flushes').toEqual([]);
  for (const { stream, settled } of acknowledged) {
    const { readings } = await storedOf(database.ownerUrl, stream);
    expect(subtract(settled, readings), 'what was acknowledged before the back-up is in it').toEqual([]);
  }

  kymo = await startKymo({ dataDir: restored, port });
  for (const { device } of recorders) expect(await device.drained({ timeoutMs: 60_000 })).toBe(true);
  let lostReadings = 0;
  for (const { pushed } of recorders) {
    for (const [stream, count] of pushed) {
      const { readings, lost, reasons } = await storedOf(database.ownerUrl, stream);
      const all = [{ from: 0, to: count }];
      expect(subtract(held.get(stream)!, readings), 'what was held is stored').toEqual([]);
      expect(intersect(readings, lost), 'what is stored is not declared').toEqual([]);
      expect(rangesOf([...readings, ...lost]), 'what is not stored is declared').toEqual(all);
      expect(lost.length === 0 ? ['server-restored'] : reasons).toEqual(['server-restored']);
      lostReadings += sizeOf(lost);
    }
  }
  expect(sizeOf(held.get(ended.definition.stream)!)).toBe(roomy.pushed.get(ended.definition.stream));
  expect(lostReadings, 'the tight store had freed some').toBeGreaterThan(0);

  // A second back-up, of the restored database, and a second restore.
  for (const { device } of recorders) await device.close();
  await kymo.signal('SIGTERM');
  const second = join(files, 'two.kymo-backup');
  await runKymo(['backup', second, '--data', restored]);
  const again = await directory();
  await runKymo(['restore', second, '--data', again]);
  expect(await digestsOf(again)).toEqual(await digestTables(database.ownerUrl));
}, 240_000);

/** Rows of chunks that no server wrote, to make a database of some size quickly. */
async function fillDatabase(dataDir: string, chunks: number): Promise<void> {
  const embedded = await startEmbeddedDatabase({ dataDir });
  const client = new pg.Client({ connectionString: embedded.ownerUrl });
  await client.connect();
  try {
    await client.query('set role kymo_writer');
    await client.query(
      `insert into kymo.chunk (org_id, stream_id, epoch, first_seq, first_us, last_us, n, commit_day, retention_class,
                               segments, data)
       select gen_random_uuid(), gen_random_uuid(), i, 0, 0, 1, 2, (now() at time zone 'UTC')::date, 0,
              decode(repeat(md5(i::text), 3), 'hex'),
              (select string_agg(decode(md5(i::text || j::text), 'hex'), '') from generate_series(1, 500) j)
         from generate_series(1, $1::integer) i`,
      [chunks],
    );
  } finally {
    await client.end();
    await embedded.stop();
  }
}

/** Starts a command; its lines of JSON come as they are printed. */
function spawnJson(args: readonly string[]): { lines: AsyncIterable<string>; kill: () => Promise<unknown> } {
  const child = spawn(process.execPath, [kymoMain, ...args, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, DATABASE_URL: '' },
  });
  endings.push(() => child.kill('SIGKILL'));
  return {
    lines: createInterface({ input: child.stdout }),
    async kill() {
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
    },
  };
}

async function waitFor(lines: AsyncIterable<string>, text: string): Promise<void> {
  for await (const line of lines) if (line.includes(text)) return;
  throw new Error(`the command ended without saying ${text}`);
}

test('a restore that is killed in the middle leaves an empty target, and is repeated', async () => {
  const [dataDir, target, files] = [await directory(), await directory(), await directory()];
  const kymo = await startKymo({ dataDir, port: 0 });
  await kymo.signal('SIGTERM');
  await fillDatabase(dataDir, 1500);
  const file = join(files, 'one.kymo-backup');
  await runKymo(['backup', file, '--data', dataDir]);

  const { lines, kill } = spawnJson(['restore', file, '--data', target]);
  await waitFor(lines, '"step":"Restoring"');
  await kill();
  const embedded = await startEmbeddedDatabase({ dataDir: target });
  const client = new pg.Client({ connectionString: embedded.ownerUrl });
  await client.connect();
  const { rows } = await client.query(
    `select to_regnamespace('kymo') as schema, to_regclass('kymo_migration') as done`,
  );
  await client.end();
  await embedded.stop();
  expect(rows).toEqual([{ schema: null, done: null }]);

  await runKymo(['restore', file, '--data', target]);
  expect(await digestsOf(target)).toEqual(await digestsOf(dataDir));
}, 240_000);

test('a back-up that is killed or interrupted leaves no file, and none is replaced unasked', async () => {
  const [dataDir, files] = [await directory(), await directory()];
  const kymo = await startKymo({ dataDir, port: 0 });
  endings.push(() => kymo.signal('SIGTERM'));
  await fillDatabase(dataDir, 1500);
  const file = join(files, 'one.kymo-backup');
  const { lines, kill } = spawnJson(['backup', file, '--data', dataDir]);
  await waitFor(lines, '"step":"Back-up"');
  await kill();
  const left = await readdir(files);
  expect(left.filter((name) => !name.endsWith('.partial'))).toEqual([]);

  await writeFile(file, 'mine');
  const again = runKymo(['backup', file, '--data', dataDir]);
  await expect(again).rejects.toThrow(`${file} exists: choose another name, or replace it with --force`);
  await runKymo(['backup', file, '--data', dataDir, '--force']);
  expect(await runKymo(['backup', '--verify', file])).toContain(`${file} is whole`);
  const target = kymo.address;
  await expect(runKymo(['restore', file, '--data', dataDir])).rejects.toThrow('a Kymo server');
  expect((await fetch(new URL('/readyz', target))).status).toBe(200);
}, 240_000);
