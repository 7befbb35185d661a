/** `kymo export` and `kymo reader` as people use them: against a real server that holds a real recording. */

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { SessionRecord } from '#contract/export.ts';
import { loadRecording, type Recording } from '#simulator/recording.ts';
import { connectSimulatedDevice } from '#simulator/simulated-device.ts';
import { askDuckDb } from '#test/support/duckdb.ts';
import { kymoMain, runKymo, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';

const run = promisify(execFile);
const START_US = 1_760_000_000_000_000;
const LOST = 3;

let folder: string;
let dataDir: string;
let kymo: KymoProcess;
let recording: Recording;
const session = uuidv7(systemClock);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kymo-export-'));
  // Apart: the database's own account must be able to enter it.
  dataDir = await mkdtemp(join(tmpdir(), 'kymo-data-'));
  kymo = await startKymo({ dataDir, port: 0 });
  const key = await runKymo(['device', 'add', 'feet', '--data', dataDir]);
  const device = await connectSimulatedDevice({ url: new URL(kymo.address).origin, key });
  recording = await loadRecording('data/gaitmap', 'healthy_4x10m');
  for (const { definition, readings, readingCount } of recording.streams) {
    const stream = device.stream({ ...definition, session, label: 'K-1' });
    const axes = definition.axes.length;
    for (let from = 0; from < readingCount; from += 100)
      stream.push(
        readings.subarray(from * axes, (from + 100) * axes),
        START_US + Math.round((from / definition.rateHz) * 1e6),
      );
    stream.lose(LOST, 'sensor-fault');
    stream.push(readings.subarray(0, axes), START_US + 3_600_000_000);
    await stream.end();
  }
  if (!(await device.drained({ timeoutMs: 20_000 }))) throw new Error('not everything was stored');
  await device.close();
});

afterAll(async () => {
  await kymo.signal('SIGTERM');
  await rm(folder, { recursive: true, force: true });
  await rm(dataDir, { recursive: true, force: true });
});

const exportTo = (out: string, ...flags: string[]): Promise<string> =>
  runKymo(['export', session, '--url', kymo.address, '--out', join(folder, out), ...flags]);

/** What a command that fails says on standard error, and its exit code. */
async function failureOf(args: readonly string[]): Promise<{ code: number; said: string }> {
  try {
    await run(process.execPath, [kymoMain, ...args], { env: { ...process.env, DATABASE_URL: '' } });
  } catch (error) {
    const { code, stderr } = error as { code: number; stderr: string };
    return { code, said: stderr };
  }
  throw new Error('it succeeded');
}

test.each(['csv', 'parquet'])('a session is written as %s, whole and bit for bit', async (format) => {
  const said = await exportTo(format, '--format', format);
  expect(said).toContain('all 2 streams are complete');
  const record = JSON.parse(await readFile(join(folder, format, 'session.json'), 'utf8')) as SessionRecord & {
    export: { files: { file: string; readings: number }[] };
  };
  expect(record.session).toMatchObject({ id: session, label: 'K-1' });
  const names = await readdir(join(folder, format));
  expect(names.toSorted()).toEqual(
    ['session.json', ...record.export.files.map(({ file }) => file)].toSorted(),
  );
  for (const [i, stream] of record.streams.entries()) {
    const source = recording.streams.find(
      ({ definition }) => definition.segment === stream.definition.segment,
    )!;
    expect(stream.epochs[0]?.gaps).toEqual([
      {
        fromSeq: source.readingCount,
        toSeq: source.readingCount + LOST,
        state: 'lost',
        reason: 'sensor-fault',
      },
    ]);
    const file = join(folder, format, record.export.files[i]!.file);
    const { rows } = await askDuckDb(
      `select seq, * exclude (time_us, time, seq, epoch) from '${file}' order by seq limit ${source.readingCount}`,
    );
    expect(rows).toHaveLength(source.readingCount);
    const back = new Float32Array(rows.flatMap(([, ...values]) => values as number[]));
    expect(Buffer.from(back.buffer).equals(Buffer.from(source.readings.buffer))).toBe(true);
  }
  expect(record.clockObservations.length).toBeGreaterThan(0);
});

test('one stream of a range of time, told to a machine', async () => {
  const to = String(START_US + 1_000_000);
  const said = await exportTo('part', '--streams', 'left-foot', '--to', to, '--json');
  const lines = said.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.at(-1)).toMatchObject({ event: 'step', session, file: 'session.json' });
  const names = await readdir(join(folder, 'part'));
  expect(names).toHaveLength(2);
  const file = join(
    folder,
    'part',
    names.find((name) => name.startsWith('left-foot-'))!,
  );
  const { rows } = await askDuckDb(`select count(*), max(time_us) from '${file}'`);
  expect(Number(rows[0]?.[0])).toBe(103);
  expect(Number(rows[0]?.[1])).toBeLessThan(Number(to));
});

test('what exists is not overwritten without --force, and says so', async () => {
  const out = join(folder, 'kept');
  await exportTo('kept', '--streams', 'left-foot');
  const [name] = (await readdir(out)).filter((one) => one.endsWith('.csv'));
  await writeFile(join(out, name!), 'mine');
  const again = ['export', session, '--url', kymo.address, '--out', out];
  const { code, said } = await failureOf(again);
  expect(code).toBe(1);
  expect(said).toMatch(/exists: give --force to replace it, or --out with another folder/);
  expect(await readFile(join(out, name!), 'utf8')).toBe('mine');
  await runKymo([...again, '--force']);
  expect(await readFile(join(out, name!), 'utf8')).toMatch(/^time_us,/);
});

test.each([
  ['an unknown session', [uuidv7(systemClock)], /there is no session/],
  ['no id', ['Anna'], /no id of a session/],
  ['an unknown stream', [session, '--streams', 'head'], /it has (left|right)-foot \(/],
])('%s is refused with what to do, and leaves nothing', async (_, args, pattern) => {
  const out = join(folder, 'never');
  const { code, said } = await failureOf(['export', ...args, '--url', kymo.address, '--out', out]);
  expect(code).toBeGreaterThan(0);
  expect(said).toMatch(pattern);
  await expect(readdir(out)).rejects.toThrow('ENOENT');
});

test('without a key, or without a server, the message says what is missing', async () => {
  const { origin } = new URL(kymo.address);
  expect((await failureOf(['export', session, '--url', origin])).said).toMatch(/give --key/);
  expect((await failureOf(['export', session, '--url', origin, '--key', 'ka_x'])).said).toMatch(/unknown/);
  const nowhere = ['export', session, '--url', 'http://127.0.0.1:1', '--key', 'ka_x'];
  expect((await failureOf(nowhere)).said).toMatch(/does not answer .*is it running there/);
});

/** A server that begins to send a stream, and then does `next`. */
async function serveHalf(
  next: (response: ServerResponse) => void,
): Promise<{ url: string; close: () => void }> {
  const record = await readFile(join(folder, 'csv', 'session.json'));
  const served = createServer((request, response) => {
    if (request.url?.endsWith('/record')) {
      response.end(record);
      return;
    }
    response.writeHead(200, { 'kymo-readings': '1000' });
    response.write('time_us,time\r\n1,2\r\n', () => next(response));
  });
  await new Promise<void>((done) => served.listen(0, '127.0.0.1', done));
  const { port } = served.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      served.close();
      served.closeAllConnections();
    },
  };
}

test('a download that breaks leaves no file that looks whole', async () => {
  const half = await serveHalf((response) => response.destroy());
  const out = join(folder, 'broken');
  const { code, said } = await failureOf([
    'export',
    session,
    '--url',
    half.url,
    '--key',
    'ka_x',
    '--out',
    out,
  ]);
  half.close();
  expect(code).toBe(1);
  expect(said).toMatch(/the server broke off (left|right)-foot-\S+csv .*Try again/);
  expect(await readdir(out)).toEqual([]);
});

test('an export that is interrupted says so and leaves nothing half', async () => {
  let begun = (): void => undefined;
  const isBegun = new Promise<void>((done) => (begun = done));
  const half = await serveHalf(() => begun());
  const out = join(folder, 'interrupted');
  const child = spawn(
    process.execPath,
    [kymoMain, 'export', session, '--url', half.url, '--key', 'ka_x', '--out', out],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.on('data', (piece: Buffer) => (said += piece.toString()));
  const ended = new Promise<number | null>((done) => child.once('exit', done));
  await isBegun;
  while ((await readdir(out)).length === 0) await new Promise((next) => setTimeout(next, 10));
  child.kill('SIGINT');
  expect(await ended).toBe(1);
  half.close();
  expect(said).toMatch(/stopped: what was complete is kept, the rest is removed/);
  expect(await readdir(out)).toEqual([]);
});

test('a reader of the embedded database reads with the line that was printed', async () => {
  const name = `cli${uuidv7(systemClock).replaceAll('-', '').slice(0, 20)}`;
  const said = await runKymo(['reader', 'add', name, '--data', dataDir]);
  const url = /url +(\S+)/.exec(said)?.[1];
  expect(said).toContain('This is the embedded database.');
  expect(said).toMatch(new RegExp(`psql "host=/\\S+ port=\\d+ dbname=kymo user=kymo_reader_${name}"`));
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ id: string }>('select id from kymo.session');
  expect(rows).toEqual([{ id: session }]);
  await client.end();
  const listed = JSON.parse(await runKymo(['reader', 'list', '--json', '--data', dataDir])) as {
    name: string;
  }[];
  expect(listed.map((one) => one.name)).toEqual([name]);
  expect(await runKymo(['reader', 'remove', name, '--data', dataDir])).toContain('is removed');
  expect(await runKymo(['reader', 'list', '--data', dataDir])).toContain('There are no readers');
});

test('analysed on the server, from there, and from the exported files, it has the same strides bit for bit', async () => {
  interface Analysis {
    readonly strides: readonly { readonly strideLengthM: number | null }[];
    readonly isProvisional?: boolean;
  }
  const analysed = async (...what: string[]): Promise<Analysis> =>
    JSON.parse(await runKymo(['analyse', ...what, '--json'])) as Analysis;
  const files = await analysed(join(folder, 'csv'));
  const { strides } = await analysed(session, '--url', kymo.address);
  expect(strides.length).toBeGreaterThan(20);
  expect(strides).toEqual(files.strides);
  const url = new URL(kymo.address);
  const key = /key=([^&]+)/.exec(url.hash)![1]!;
  const stored = async (): Promise<Analysis> => {
    const response = await fetch(`${url.origin}/v1/sessions/${session}/motion`, {
      headers: { authorization: `Bearer ${key}` },
    });
    return (await response.json()) as Analysis;
  };
  await expect.poll(async () => (await stored()).isProvisional, { timeout: 60_000 }).toBe(false);
  expect((await stored()).strides).toEqual(strides);
});
