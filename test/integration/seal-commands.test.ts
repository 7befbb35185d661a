/** `kymo seal` and `kymo unseal` as people use them: beside a real server that holds a real recording. */

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { ReadingPage, SessionDetail } from '#contract/rest.ts';
import { loadRecording } from '#simulator/recording.ts';
import { connectSimulatedDevice } from '#simulator/simulated-device.ts';
import { kymoMain, runKymo, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';

const START_US = 1_760_000_000_000_000;

let dataDir: string;
let kymo: KymoProcess;
let stream: string;
let readings = 0;
const session = uuidv7(systemClock);

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'kymo-seal-'));
  kymo = await startKymo({ dataDir, port: 0 });
  const key = await runKymo(['device', 'add', 'feet', '--data', dataDir]);
  const device = await connectSimulatedDevice({ url: new URL(kymo.address).origin, key });
  const recording = await loadRecording('data/gaitmap', 'healthy_4x10m');
  for (const source of recording.streams) {
    const axes = source.definition.axes.length;
    const sent = device.stream({ ...source.definition, session });
    for (let from = 0; from < source.readingCount; from += 100)
      sent.push(
        source.readings.subarray(from * axes, (from + 100) * axes),
        START_US + Math.round((from / source.definition.rateHz) * 1e6),
      );
    readings += source.readingCount;
    await sent.end();
  }
  if (!(await device.drained({ timeoutMs: 20_000 }))) throw new Error('not everything was stored');
  await device.close();
  stream = (await get<SessionDetail>(`/v1/sessions/${session}`)).streams[0]!.definition.stream;
});

afterAll(async () => {
  await kymo.signal('SIGTERM');
  await rm(dataDir, { recursive: true, force: true });
});

async function get<T>(path: string): Promise<T> {
  const address = new URL(kymo.address);
  const response = await fetch(new URL(path, address.origin), {
    headers: { authorization: `Bearer ${address.hash.replace('#key=', '')}` },
  });
  expect(response.status).toBe(200);
  return (await response.json()) as T;
}

const shown = (): Promise<ReadingPage> => get(`/v1/streams/${stream}/readings?limit=10000`);

test('a session is sealed, unsealed and sealed again beside the server, and reads the same each time', async () => {
  const before = await shown();
  expect(before.rows.length).toBeGreaterThan(4_000);
  const sealed = JSON.parse(await runKymo(['seal', session, '--json', '--data', dataDir])) as object;
  expect(sealed).toMatchObject({ session, command: 'seal', streams: 2, readings, blocks: 2 });
  expect(await shown()).toEqual(before);

  const said = await runKymo(['unseal', session, '--data', dataDir]);
  expect(said).toMatch(new RegExp(`^Unsealed ${readings.toLocaleString('en-US')} readings of 2 streams`));
  expect(await shown()).toEqual(before);
  expect(await runKymo(['unseal', session, '--data', dataDir])).toMatch(/^Nothing was sealed/);

  expect(await runKymo(['unseal', session, '--undo', '--data', dataDir])).toMatch(/^Sealed 8,106 readings/);
  expect(await shown()).toEqual(before);
  expect((await get<SessionDetail>(`/v1/sessions/${session}`)).session.revision).toBe(1);
});

test.each([
  [['unseal'], 2, /say which session/],
  [['seal', 'K-17'], 2, /"K-17" is not the id of a session/],
  [['unseal', '00000000-0000-7000-8000-000000000000'], 1, /there is no session/],
  [['seal', session, '--undo'], 2, /--undo/],
] as const)('%s is refused in one line', async (args, code, message) => {
  const failure = await promisify(execFile)(process.execPath, [kymoMain, ...args, '--data', dataDir], {
    env: { ...process.env, DATABASE_URL: '' },
  }).then(
    () => null,
    (error: { code: number; stderr: string }) => error,
  );
  expect(failure?.code).toBe(code);
  expect(failure?.stderr).toMatch(message);
  expect(failure?.stderr.trim().split('\n')).toHaveLength(1);
});
