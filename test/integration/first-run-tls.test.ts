/** Owns the proof of TLS by this process and by a proxy: real certificates, real sockets, renewal without a restart. */

import { execFile } from 'node:child_process';
import { copyFileSync, utimesSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { connect, type PeerCertificate } from 'node:tls';
import { promisify } from 'node:util';

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { readConfig } from '#app/config.ts';
import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { createTlsReload, readTlsPair } from '#app/tls-files.ts';
import { openDevice } from '#sdk/device-client.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { command, dataDirectory, isRoot, removeTemplate, type Command } from '#test/support/first-run.ts';
import { runKymo } from '#test/support/kymo-process.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { readStored } from '#test/support/stored-readings.ts';
import { createTemporaryDirectory, type TemporaryDirectory } from '#test/support/temporary-directory.ts';

const run = promisify(execFile);
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let files: TemporaryDirectory;
const endings: (() => unknown)[] = [];

beforeAll(async () => {
  files = createTemporaryDirectory();
  await makeCertificate('first');
  await makeCertificate('second');
});
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});
afterAll(async () => {
  files.remove();
  await removeTemplate();
});

const inFiles = (name: string): string => path.join(files.path, name);

/** Made for localhost and 127.0.0.1, by itself. */
async function makeCertificate(name: string): Promise<void> {
  const words = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2';
  const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-subj', `/CN=${name}`];
  const out = ['-keyout', inFiles(`${name}.key`), '-out', inFiles(`${name}.pem`)];
  await run('openssl', [...words.split(' '), ...names, ...out]);
}

/** Puts the pair where a server reads it, as a renewing tool does. */
function install(name: string, parts: readonly ('pem' | 'key')[] = ['pem', 'key']): string[] {
  for (const part of parts) copyFileSync(inFiles(`${name}.${part}`), inFiles(`live.${part}`));
  return ['--tls-cert', inFiles('live.pem'), '--tls-key', inFiles('live.key')];
}

async function place(): Promise<string> {
  const directory = await dataDirectory();
  endings.push(() => directory.remove());
  return directory.path;
}

function kymo(args: readonly string[], prefix: readonly string[] = []): Command {
  const started = command(args, { prefix });
  endings.push(() => started.stop());
  return started;
}

/** The name in the certificate that a new connection is shown. */
function commonNameAt(port: number): Promise<string | string[] | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      const certificate: Partial<PeerCertificate> = socket.getPeerCertificate();
      resolve(certificate.subject?.CN);
      socket.destroy();
    }).once('error', reject);
  });
}

function statusOf(url: URL, ca: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(url, { ca, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    })
      .once('error', reject)
      .end();
  });
}

test('page, API and devices go over TLS, and SIGHUP brings the renewed certificate without an interruption', async () => {
  const dataDir = await place();
  const server = kymo([
    'start',
    '--data',
    dataDir,
    '--port',
    '0',
    '--log-level',
    'info',
    ...install('first'),
  ]);
  const address = new URL(await server.address());
  expect(address.protocol).toBe('https:');
  const ca = await readFile(inFiles('first.pem'), 'utf8');
  expect(await statusOf(new URL('/readyz', address), ca)).toBe(200);

  const device = await openDevice({
    url: address.origin,
    key: await runKymo(['device', 'add', 'secure', '--data', dataDir]),
    ca,
    store: memoryStore(),
  });
  endings.push(() => device.close({ drainMs: 0 }));
  const axes = [{ name: 'acc_x', unit: 'm/s2' }];
  const stream = device.stream({ segment: 'pelvis', sensor: 'imu', axes, rateHz: 100 });
  stream.push([1, 2, 3]);
  expect(await device.drained({ timeoutMs: 15_000 })).toBe(true);

  // Half a renewal keeps what serves.
  install('second', ['pem']);
  server.child.kill('SIGHUP');
  await server.saw('the old one goes on serving');
  expect(await commonNameAt(Number(address.port))).toBe('first');
  install('second');
  server.child.kill('SIGHUP');
  await server.saw('the certificate was read again');
  expect(await commonNameAt(Number(address.port))).toBe('second');
  // The connection of before lives on.
  stream.push([4]);
  expect(await device.drained({ timeoutMs: 15_000 })).toBe(true);
  const embedded = await startEmbeddedDatabase({ dataDir });
  endings.push(() => embedded.stop());
  const stored = await readStored(embedded.ownerUrl, stream.definition.stream);
  expect(stored.chunks.reduce((sum, chunk) => sum + chunk.count, 0)).toBe(4);
});

test('changed files are noticed within a minute, and a pair that does not fit yet is tried again', async () => {
  const config = readConfig({ args: install('first'), env: {} });
  const clock = createManualClock();
  const reload = createTlsReload({ config, clock, log: silent });
  const pair = readTlsPair(config)!;
  const server = createServer({ cert: pair.cert, key: pair.key });
  reload.serve(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endings.push(() => server.close());
  const { port } = server.address() as AddressInfo;

  install('second', ['pem']);
  utimesSync(inFiles('live.pem'), 1, 1);
  clock.advance(60_000);
  expect(await commonNameAt(port)).toBe('first');
  install('second', ['key']);
  clock.advance(60_000);
  expect(await commonNameAt(port)).toBe('second');
  reload.stop();
});

test.each([
  ['a key of another certificate', ['first.pem', 'second.key'], 'is not the key of the certificate'],
  ['a certificate that is none', ['first.key', 'first.key'], 'holds no certificate'],
  ['a key that is none', ['first.pem', 'first.pem'], 'holds no private key'],
  ['a file that is not there', ['gone.pem', 'first.key'], 'cannot be read'],
])('%s is refused before anything starts', async (_, [cert, key], message) => {
  const flags = ['--tls-cert', inFiles(cert!), '--tls-key', inFiles(key!)];
  const refused = await kymo(['start', '--data', inFiles('never-made'), ...flags]).ended;
  expect(refused).toMatchObject({ code: 2, out: '', err: expect.stringContaining(message) as string });
});

// Needs a network of its own, so that an address that others could reach stays unreachable; only root may make one.
test.skipIf(!isRoot)(
  'behind a proxy, who comes past it in clear is refused, over HTTP and WebSocket',
  async () => {
    const network = 'ip link set lo up && ip addr add 192.0.2.1/32 dev lo && ip addr add 192.0.2.9/32 dev lo';
    const prefix = ['unshare', '-n', 'sh', '-c', `${network} && exec "$@"`, 'sh'];
    const flags = ['--host', '0.0.0.0', '--port', '7900', '--trusted-proxy', '192.0.2.9'];
    const server = kymo(['start', '--data', await place(), ...flags], prefix);
    const key = new URL(await server.address()).hash.replace('#key=', '');
    const ask = async (localAddress: string, url: string, headers: object = {}): Promise<string> => {
      const sent = { authorization: `Bearer ${key}`, ...headers };
      const wish = { host: '192.0.2.1', port: 7900, path: url, localAddress, headers: sent, timeout: 10_000 };
      const script = `require('node:http').get(${JSON.stringify(wish)})
      .on('response', (answer) => { console.log(answer.statusCode); process.exit(); })
      .on('upgrade', (answer) => { console.log(answer.statusCode); process.exit(); })`;
      const inside = ['-t', String(server.pid), '-n', process.execPath, '-e', script];
      return (await run('nsenter', inside)).stdout.trim();
    };
    const upgrade = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    };
    expect(await ask('192.0.2.9', '/v1/sessions')).toBe('200');
    expect(await ask('192.0.2.9', '/v1/sessions', { 'x-forwarded-proto': 'https' })).toBe('200');
    expect(await ask('192.0.2.9', '/v1/sessions', { 'x-forwarded-proto': 'http' })).toBe('403');
    expect(await ask('192.0.2.1', '/v1/sessions')).toBe('403');
    expect(await ask('192.0.2.1', '/v1/sessions', { 'x-forwarded-for': '192.0.2.9' })).toBe('403');
    expect(await ask('192.0.2.1', '/')).toBe('403');
    expect(await ask('192.0.2.1', '/healthz')).toBe('200');
    expect(await ask('192.0.2.1', '/v1/live', upgrade)).toBe('403');
    expect(await ask('192.0.2.9', '/v1/live', upgrade)).toBe('101');
  },
);
