/** What a viewer sees while the database takes nothing: the newest readings go on, marked, and all are stored later. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import pg from 'pg';
import { afterEach, expect, test } from 'vitest';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { decodeLive } from '#protocol/live-codec.ts';
import { LIVE_SUBPROTOCOL } from '#protocol/version.ts';
import { openDevice } from '#sdk/device-client.ts';
import { createHttpClient } from '#sdk/http-client.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { runKymo, startKymo } from '#test/support/kymo-process.ts';
import { compare, readStored } from '#test/support/stored-readings.ts';

const RATE_HZ = 1_000;
const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

test('live display goes on while the database stands still, and everything is stored once when it is back', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'kymo-stalled-'));
  endings.push(() => rm(dataDir, { recursive: true, force: true }));
  const embedded = await startEmbeddedDatabase({ dataDir });
  endings.push(() => embedded.stop());
  const kymo = await startKymo({ dataDir, port: 0 });
  endings.push(() => kymo.signal('SIGTERM'));
  const { origin, hash } = new URL(kymo.address);
  const key = await runKymo(['device', 'add', 'stalled', '--data', dataDir]);
  const device = await openDevice({ url: origin, key, store: memoryStore() });
  endings.push(() => device.close({ drainMs: 0 }));
  const axes = ['x', 'y', 'z'].map((name) => ({ name, unit: '1' }));
  const stream = device.stream({ segment: 'left-shank', sensor: 'imu', axes, rateHz: RATE_HZ });
  const generated: number[] = [];
  const timer = setInterval(() => {
    const rows = Array.from({ length: 60 }, () => Math.fround(Math.random()));
    generated.push(...rows);
    stream.push(rows);
  }, 20);
  endings.push(async () => clearInterval(timer));

  await expect.poll(() => device.status().settledReadings, { timeout: 10_000 }).toBeGreaterThan(0);
  const { ticket } = await createHttpClient({ origin, key: () => hash.replace('#key=', '') }).ticket();
  const viewer = new WebSocket(`${origin.replace('http', 'ws')}/v1/live?ticket=${ticket}`, LIVE_SUBPROTOCOL);
  viewer.binaryType = 'arraybuffer';
  endings.push(async () => viewer.close());
  const seen = { last: -1, liveOnly: 0 };
  viewer.addEventListener('message', (event) => {
    const data: unknown = event.data;
    if (!(data instanceof ArrayBuffer)) return;
    const message = decodeLive(new Uint8Array(data));
    for (const frame of message.ok ? message.value.frames : []) {
      seen.last = frame.firstSeq + frame.count - 1;
      if (frame.liveOnly) seen.liveOnly++;
    }
  });
  viewer.addEventListener('open', () =>
    viewer.send(JSON.stringify({ type: 'subscribe', id: 1, channel: `session/${device.session}/readings` })),
  );
  await expect.poll(() => seen.last, { timeout: 10_000 }).toBeGreaterThan(0);

  // Every COPY waits for this lock: the database is there and takes nothing.
  const lock = new pg.Client({ connectionString: embedded.ownerUrl });
  await lock.connect();
  endings.push(() => lock.end());
  await lock.query('set role kymo_writer');
  await lock.query('begin');
  await lock.query('lock table kymo.chunk in share row exclusive mode');
  const settledBefore = device.status().settledReadings;
  await expect.poll(() => seen.liveOnly, { timeout: 20_000 }).toBeGreaterThan(20);
  // What is shown is at most a second old, though nothing has been acknowledged for longer.
  expect(generated.length / axes.length - seen.last).toBeLessThan(RATE_HZ);
  expect(device.status().settledReadings - settledBefore).toBeLessThan(RATE_HZ);
  await lock.query('commit');

  clearInterval(timer);
  expect(await device.drained({ timeoutMs: 30_000 })).toBe(true);
  const stored = await readStored(embedded.ownerUrl, stream.definition.stream);
  expect({ losses: stored.losses, ...compare(stored, Float32Array.from(generated), axes.length) }).toEqual({
    losses: [],
    stored: generated.length / axes.length,
    doubled: 0,
    missing: 0,
    different: 0,
  });
});
