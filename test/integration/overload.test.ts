/** A real server whose database connections for people are all held: people hear so at once, devices notice nothing. */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import pg from 'pg';
import { afterEach, expect, test } from 'vitest';

import { overloadLimits } from '#api/overload.ts';
import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { openDevice } from '#sdk/device-client.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { runKymo, startKymo } from '#test/support/kymo-process.ts';

const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

test('a saturated pool answers 503 with Retry-After within milliseconds, while readings are acknowledged', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'kymo-overload-'));
  endings.push(() => rm(dataDir, { recursive: true, force: true }));
  const embedded = await startEmbeddedDatabase({ dataDir });
  endings.push(() => embedded.stop());
  const kymo = await startKymo({ dataDir, port: 0 });
  endings.push(() => kymo.signal('SIGTERM'));
  const { origin, hash } = new URL(kymo.address);
  const device = await openDevice({
    url: origin,
    key: await runKymo(['device', 'add', 'steady', '--data', dataDir]),
    store: memoryStore(),
  });
  endings.push(() => device.close({ drainMs: 0 }));
  const stream = device.stream({
    segment: 'left-shank',
    sensor: 'imu',
    axes: [{ name: 'x', unit: '1' }],
    rateHz: 100,
  });
  const timer = setInterval(() => stream.push([1, 2, 3]), 30);
  endings.push(async () => clearInterval(timer));
  await expect.poll(() => device.status().settledReadings, { timeout: 10_000 }).toBeGreaterThan(0);

  const ask = async (path: string): Promise<{ status: number; ms: number; retryAfter: string | null }> => {
    const startedMs = performance.now();
    const answer = await fetch(new URL(path, origin), {
      headers: { authorization: `Bearer ${hash.replace('#key=', '')}` },
    });
    await answer.arrayBuffer();
    return {
      status: answer.status,
      ms: performance.now() - startedMs,
      retryAfter: answer.headers.get('retry-after'),
    };
  };
  expect((await ask('/v1/devices')).status).toBe(200);

  const lock = new pg.Client({ connectionString: embedded.ownerUrl });
  await lock.connect();
  endings.push(() => lock.end());
  await lock.query('begin');
  // Lists of devices wait for it; keys are looked up by other connections, and known for a while anyway.
  await lock.query('lock table kymo.device in access exclusive mode');
  const settledBefore = device.status().settledReadings;
  const held = Array.from({ length: 40 }, () => ask('/v1/devices'));
  const metrics = async (): Promise<string> => (await fetch(new URL('/metrics', origin))).text();
  const longestWaitMs = async (): Promise<number> =>
    Number(/^kymo_pool_longest_wait_seconds (.+)$/m.exec(await metrics())![1]) * 1000;
  await expect.poll(longestWaitMs, { timeout: 10_000 }).toBeGreaterThan(overloadLimits.people.waitMs);
  const refused = await ask('/v1/devices');
  expect(refused).toMatchObject({ status: 503, retryAfter: '2' });
  expect(refused.ms).toBeLessThan(overloadLimits.people.waitMs);
  expect((await ask('/healthz')).status).toBe(200);
  await expect
    .poll(() => device.status().settledReadings, { timeout: 10_000 })
    .toBeGreaterThan(settledBefore);
  const measured = await metrics();
  expect(measured).toMatch(/^kymo_shed_requests_total\{who="people"\} [1-9]/m);
  expect(measured).toMatch(/^kymo_shed_requests_total\{who="devices"\} 0/m);
  expect(await unknownMetrics(measured)).toEqual([]);
  await lock.query('commit');

  for (const { status, ms } of await Promise.all(held)) {
    expect([200, 503]).toContain(status);
    expect(ms).toBeLessThan(30_000);
  }
  await expect.poll(async () => (await ask('/v1/devices')).status).toBe(200);
});

/** Metrics that alerts are about and the server has not: such an alert never comes. */
async function unknownMetrics(measured: string): Promise<string[]> {
  const rules = await readFile(new URL('../../deploy/prometheus/alerts.yml', import.meta.url), 'utf8');
  const expressions = [...rules.matchAll(/^ +expr: (.+)$/gm)].map(([, expression]) => expression!);
  const alerts = [...rules.matchAll(/^ +- alert: (\w+)$/gm)];
  if (alerts.length === 0 || alerts.length !== expressions.length) return ['an alert without an expression'];
  const there = new Set([...measured.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name!));
  const named = [...rules.matchAll(/kymo_\w+/g)].map(([name]) => name);
  return named.filter((name) => !there.has(name));
}
