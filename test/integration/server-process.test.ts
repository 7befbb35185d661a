/** A server process from its first line to its exit, as the terminal sees it. */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterEach, expect, test } from 'vitest';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import type { SessionPage } from '#contract/rest.ts';
import { openDevice } from '#sdk/device-client.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { kymoMain, runKymo, startKymo } from '#test/support/kymo-process.ts';
import { readStored } from '#test/support/stored-readings.ts';

const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function dataDirectory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'kymo-server-'));
  endings.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** Runs a command that is expected to fail: its exit code and standard error. */
async function failing(args: readonly string[]): Promise<{ code: number | null; errors: string }> {
  const child = spawn(process.execPath, [kymoMain, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString('utf8')));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, errors };
}

test('the demo shows two live sessions, and Ctrl-C commits, ends them and stops the database', async () => {
  const dataDir = await dataDirectory();
  const kymo = await startKymo({ command: 'demo', dataDir, port: 0 });
  endings.push(() => kymo.signal('SIGKILL'));
  const { origin, hash } = new URL(kymo.address);
  const list = async (): Promise<SessionPage['sessions']> => {
    const answer = await fetch(`${origin}/v1/sessions`, {
      headers: { authorization: `Bearer ${hash.replace('#key=', '')}` },
    });
    return ((await answer.json()) as SessionPage).sessions;
  };
  const live = async (): Promise<unknown> =>
    (await list())
      .filter((session) => session.state === 'live' && session.storedReadings > 0)
      .map(({ streamCount, synthetic }) => ({ streamCount, synthetic }))
      .toSorted((a, b) => a.streamCount - b.streamCount);
  await expect.poll(live, { timeout: 15_000 }).toEqual([
    { streamCount: 2, synthetic: false },
    { streamCount: 7, synthetic: true },
  ]);
  expect(await kymo.signal('SIGINT')).toBe(0);
  expect(existsSync(join(dataDir, 'pg18', 'postmaster.pid'))).toBe(false);

  const embedded = await startEmbeddedDatabase({ dataDir });
  endings.push(() => embedded.stop());
  const again = await startKymo({ dataDir, port: 0 });
  endings.push(() => again.signal('SIGTERM'));
  const answer = await fetch(new URL('/v1/sessions', again.address), {
    headers: { authorization: `Bearer ${new URL(again.address).hash.replace('#key=', '')}` },
  });
  const { sessions } = (await answer.json()) as SessionPage;
  expect(sessions.map((session) => session.state)).toEqual(['ended', 'ended']);
});

test('an address that others can reach is refused without TLS', async () => {
  const { code, errors } = await failing(['start', '--host', '0.0.0.0', '--data', await dataDirectory()]);
  expect(code).toBe(2);
  expect(errors).toContain('--tls-cert');
});

test('with a certificate, page, API and devices go over TLS', async () => {
  const dataDir = await dataDirectory();
  const cert = join(dataDir, 'cert.pem');
  const key = join(dataDir, 'key.pem');
  const selfSigned =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost';
  const request509 = [
    ...selfSigned.split(' '),
    '-addext',
    'subjectAltName=IP:127.0.0.1',
    '-keyout',
    key,
    '-out',
    cert,
  ];
  await promisify(execFile)('openssl', request509);
  const ca = await readFile(cert, 'utf8');
  const kymo = await startKymo({ dataDir, port: 0, args: ['--tls-cert', cert, '--tls-key', key] });
  endings.push(() => kymo.signal('SIGTERM'));
  expect(kymo.address).toMatch(/^https:/);
  const status = await new Promise((resolve, reject) => {
    request(new URL('/readyz', kymo.address), { ca }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    })
      .on('error', reject)
      .end();
  });
  expect(status).toBe(200);

  const device = await openDevice({
    url: new URL(kymo.address).origin,
    key: await runKymo(['device', 'add', 'secure', '--data', dataDir]),
    ca,
    store: memoryStore(),
  });
  endings.push(() => device.close({ drainMs: 0 }));
  const stream = device.stream({
    segment: 'pelvis',
    sensor: 'imu',
    axes: [{ name: 'acc_x', unit: 'm/s2' }],
    rateHz: 100,
  });
  stream.push([1, 2, 3]);
  expect(await device.drained({ timeoutMs: 15_000 })).toBe(true);
  const embedded = await startEmbeddedDatabase({ dataDir });
  endings.push(() => embedded.stop());
  const stored = await readStored(embedded.ownerUrl, stream.definition.stream);
  expect(stored.chunks.map((chunk) => chunk.count)).toEqual([3]);
});
