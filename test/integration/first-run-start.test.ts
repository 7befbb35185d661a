/** Owns the proof of starting: ports that are taken, a start that only repeats another, and notes of the dead. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import path from 'node:path';

import pg from 'pg';
import { afterAll, afterEach, expect, test } from 'vitest';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { answers } from '#app/server-answer.ts';
import {
  command,
  dataDirectory,
  postmasterOf,
  removeTemplate,
  type Command,
} from '#test/support/first-run.ts';
import { freePort } from '#test/support/kymo-process.ts';

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

function kymo(...args: string[]): Command {
  const started = command(args);
  endings.push(() => started.stop('SIGTERM'));
  return started;
}

async function listenOn(port: number): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve);
  });
  endings.push(() => new Promise((resolve) => server.close(resolve)));
  return server;
}

test('the demo takes the next free port and says so; a server that asked for the port is told who has it', async () => {
  const [one, two] = [await place(), await place()];
  // Whoever has the standard port, it is not ours to end.
  await listenOn(7900).catch(() => undefined);
  const demo = kymo('demo', '--data', one);
  const { port } = new URL(await demo.address());
  expect(Number(port)).toBeGreaterThan(7900);
  expect(demo.out()).toMatch(new RegExp(`Port 7900 is in use by .*; took ${port} instead`));

  const refused = await kymo('start', '--data', two, '--port', port).ended;
  expect(refused.code).toBe(1);
  expect(refused.err).toContain(`port ${port} is in use by process ${demo.pid} (`);
  expect(refused.err).toContain('--port 0');
  expect(postmasterOf(two)).toBeUndefined();
  // A server keeps the port that its devices know: it does not move by itself, not even from the standard one.
  const standard = await kymo('start', '--data', two).ended;
  expect(standard).toMatchObject({
    code: 1,
    err: expect.stringContaining('port 7900 is in use by') as string,
  });
});

test('a second start waits for the first, prints its address and ends well; another port is another server', async () => {
  const dataDir = await place();
  const port = String(await freePort());
  const first = kymo('start', '--data', dataDir, '--port', port);
  const isNoted = (): boolean =>
    existsSync(path.join(dataDir, 'servers', String(first.pid))) &&
    !existsSync(path.join(dataDir, 'servers.lock'));
  await expect.poll(isNoted, { interval: 5, timeout: 20_000 }).toBe(true);
  // Held while it has only just begun.
  first.child.kill('SIGSTOP');
  const starting = kymo('start', '--data', dataDir);
  await starting.saw(`Kymo is starting here already (process ${first.pid})`);
  first.child.kill('SIGCONT');
  const second = await starting.ended;
  const address = await first.address();
  expect(second).toMatchObject({ code: 0, err: '' });
  expect(second.out).toContain(`Kymo runs here already: ${address}`);

  const third = await kymo('demo', '--data', dataDir, '--port', port).ended;
  expect(third).toMatchObject({ code: 0, err: '' });
  expect(third.out).toContain('It runs without the demo.');

  const other = kymo('start', '--data', dataDir, '--port', '0');
  const otherPort = new URL(await other.address()).port;
  expect(otherPort).not.toBe(port);
  expect(await first.stop()).toBe(0);
  expect(await answers(await other.address())).toBe(true);
  expect(await other.stop()).toBe(0);
  expect(readdirSync(path.join(dataDir, 'servers'))).toEqual([]);
  expect(postmasterOf(dataDir)).toBeUndefined();
});

test('a second start beside a first that hangs says so and what to do', async () => {
  const dataDir = await place();
  const first = kymo('start', '--data', dataDir, '--port', '0');
  await first.address();
  first.child.kill('SIGSTOP');
  const second = await kymo('start', '--data', dataDir).ended;
  first.child.kill('SIGCONT');
  expect(second.code).toBe(1);
  expect(second.err).toContain(`kill -9 ${first.pid}`);
});

test('notes of killed servers, of reused process ids and of an earlier boot hinder nothing', async () => {
  const dataDir = await place();
  const killed = kymo('start', '--data', dataDir, '--port', '0');
  await killed.address();
  await killed.stop('SIGKILL');
  // Alive, but not what the notes mean: their start is of another time or another boot.
  const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
  endings.push(() => stranger.kill());
  await once(stranger, 'spawn');
  const note = { pid: stranger.pid, host: '127.0.0.1', port: 7900, database: 'embedded', demo: false };
  const old = '12345@00000000-0000-0000-0000-000000000000';
  const stale = JSON.stringify({ ...note, start: old, state: 'starting', address: '' });
  writeFileSync(path.join(dataDir, 'servers', String(stranger.pid)), stale);
  writeFileSync(path.join(dataDir, 'servers', '999999'), '{"half a no');
  writeFileSync(path.join(dataDir, 'users', `${stranger.pid}.0`), old);
  writeFileSync(path.join(dataDir, 'lock'), `${stranger.pid} ${old}`);
  writeFileSync(path.join(dataDir, 'servers.lock'), `${stranger.pid} ${old}`);

  const next = kymo('start', '--data', dataDir, '--port', '0');
  await next.address();
  expect(readdirSync(path.join(dataDir, 'servers'))).toEqual([String(next.pid)]);
  expect(await next.stop()).toBe(0);
  expect(readdirSync(path.join(dataDir, 'users'))).toEqual([]);
  expect(postmasterOf(dataDir)).toBeUndefined();
});

test('the demo is not added to recorded sessions, unless it is asked for by name or was there before', async () => {
  const dataDir = await place();
  await query(
    dataDir,
    `insert into kymo.organisation (id, name) values ('00000000-0000-7000-8000-000000000001', 'clinic');
     insert into kymo.session (id, org_id) values
       ('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000001')`,
  );
  const quiet = kymo('demo', '--data', dataDir, '--port', '0');
  await quiet.saw('the demo is not added to them');
  await quiet.address();
  await quiet.stop();
  expect(await demoSessions(dataDir)).toBe(0);

  const asked = kymo('demo', '--data', dataDir, '--port', '0', '--demo');
  await asked.address();
  await expect.poll(() => demoSessions(dataDir), { timeout: 20_000 }).toBeGreaterThan(0);
  await asked.stop();
  const again = kymo('demo', '--data', dataDir, '--port', '0');
  await again.address();
  expect(again.out()).not.toContain('not added');
});

test('addresses that cannot be listened on are said in one line', async () => {
  const dataDir = await place();
  const foreign = await kymo('start', '--data', dataDir, '--host', '192.0.2.7', '--insecure').ended;
  expect(foreign).toMatchObject({
    code: 1,
    err: expect.stringContaining('no address of this machine') as string,
  });
  const unknown = await kymo('start', '--data', dataDir, '--host', 'kymo.invalid', '--insecure').ended;
  expect(unknown).toMatchObject({ code: 1, err: expect.stringContaining('has no address here') as string });
});

test('an IPv6 address is printed as one, and answers', async () => {
  const server = kymo('start', '--data', await place(), '--host', '::1', '--port', '0');
  const address = await server.address();
  expect(address).toMatch(/^http:\/\/\[::1\]:\d+\/#key=ka_/);
  expect(await answers(address)).toBe(true);
});

test('a data directory that is something else is refused and left alone', async () => {
  const dataDir = await place();
  const file = path.join(dataDir, 'a-file');
  writeFileSync(file, '');
  const onFile = await kymo('start', '--data', path.join(file, 'data')).ended;
  expect(onFile).toMatchObject({ code: 1, err: expect.stringContaining('is a file') as string });
  mkdirSync(path.join(dataDir, 'cluster'));
  writeFileSync(path.join(dataDir, 'cluster', 'PG_VERSION'), '18\n');
  const onCluster = await kymo('start', '--data', path.join(dataDir, 'cluster')).ended;
  expect(onCluster).toMatchObject({
    code: 1,
    err: expect.stringContaining('PostgreSQL data directory') as string,
  });
  expect(readdirSync(path.join(dataDir, 'cluster'))).toEqual(['PG_VERSION']);
});

async function query(dataDir: string, text: string): Promise<unknown[]> {
  const database = await startEmbeddedDatabase({ dataDir });
  const client = new pg.Client({ connectionString: database.ownerUrl });
  try {
    await client.connect();
    return (await client.query(text)).rows ?? [];
  } finally {
    await client.end();
    await database.stop();
  }
}

async function demoSessions(dataDir: string): Promise<number> {
  const rows = await query(dataDir, 'select count(*)::int as count from kymo.session where demo');
  return (rows[0] as { count: number }).count;
}
