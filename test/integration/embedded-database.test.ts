/** Owns the proof of the embedded database's promises, on real clusters with the real settings. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import pg from 'pg';
import { afterEach, expect, test } from 'vitest';

import { startEmbeddedDatabase, type EmbeddedDatabase } from '#app/embedded-database.ts';
import { createTemporaryDirectory, type TemporaryDirectory } from '#test/support/temporary-directory.ts';

const isRoot = process.getuid?.() === 0;
const cleanUps: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

function temporaryDirectory(): TemporaryDirectory {
  const directory = createTemporaryDirectory();
  cleanUps.push(() => directory.remove());
  return directory;
}

async function start(dataDir: string): Promise<EmbeddedDatabase> {
  const database = await startEmbeddedDatabase({ dataDir });
  let stopped = false;
  cleanUps.push(() => (stopped ? undefined : database.stop()));
  return {
    ...database,
    stop: () => {
      stopped = true;
      return database.stop();
    },
  };
}

async function query<T extends object>(url: string, text: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<T>(text)).rows;
  } finally {
    await client.end();
  }
}

interface User {
  child: ChildProcess;
  said: { ownerUrl: string; adopted: boolean; firstRun: boolean; postmasterPid: number };
}

/** Another Kymo process. As root it can be an ordinary user that may only read what belongs to others. */
async function startUser(dataDir: string, as: 'us' | 'nobody' = 'us'): Promise<User> {
  const script = fileURLToPath(new URL('../support/embedded-user.ts', import.meta.url));
  const command = [process.execPath, script, dataDir];
  // The checkout may be in root's private home; the capability lets the process read it, and is no matter to PostgreSQL.
  const capability = ['--inh-caps', '+dac_override', '--ambient-caps', '+dac_override'];
  const drop = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', ...capability];
  const [program = '', ...args] = as === 'nobody' ? [...drop, ...command] : command;
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  cleanUps.push(() => void child.kill('SIGKILL'));
  const ended = once(child, 'exit').then(() =>
    Promise.reject(new Error('the other process ended instead of starting')),
  );
  const [line] = (await Promise.race([once(createInterface({ input: child.stdout }), 'line'), ended])) as [
    string,
  ];
  ended.catch(() => undefined);
  return { child, said: JSON.parse(line) as User['said'] };
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > giveUpAt) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('a fresh start gives a durable, private database in UTC and UTF-8', async () => {
  const database = await start(temporaryDirectory().path);
  expect(database).toMatchObject({ adopted: false, firstRun: true });
  const names = [
    'fsync',
    'synchronous_commit',
    'full_page_writes',
    'TimeZone',
    'server_encoding',
    'listen_addresses',
  ];
  const settings = await query<{ name: string; setting: string }>(
    database.ownerUrl,
    `select name, setting from pg_settings where name in (${names.map((name) => `'${name}'`).join(', ')})`,
  );
  expect(Object.fromEntries(settings.map(({ name, setting }) => [name, setting]))).toEqual({
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    TimeZone: 'UTC',
    server_encoding: 'UTF8',
    listen_addresses: '',
  });
  const [owner] = await query<{
    name: string;
    rolsuper: boolean;
    rolbypassrls: boolean;
    rolcreaterole: boolean;
  }>(
    database.ownerUrl,
    'select rolname as name, rolsuper, rolbypassrls, rolcreaterole from pg_roles where rolname = current_user',
  );
  expect(owner).toEqual({ name: 'kymo_owner', rolsuper: false, rolbypassrls: false, rolcreaterole: true });
  expect(statSync(path.join(database.dataDir, 'run')).mode & 0o777).toBe(0o700);
  expect(statSync(path.join(database.dataDir, 'pg18', 'kymo-credentials.json')).mode & 0o777).toBe(0o600);
});

test('no connection gets in without its password', async () => {
  const database = await start(temporaryDirectory().path);
  for (const url of [database.ownerUrl, database.superuserUrl]) {
    const without = new URL(url);
    without.password = '';
    await expect(query(without.href, 'select 1')).rejects.toThrow(/password/);
    const wrong = new URL(url);
    wrong.password = 'guess';
    await expect(query(wrong.href, 'select 1')).rejects.toMatchObject({ code: '28P01' });
  }
});

test('PostgreSQL runs as an unprivileged account in a session of its own', async () => {
  const database = await start(temporaryDirectory().path);
  const pid = database.postmasterPid() ?? 0;
  const uid = statSync(`/proc/${pid}`).uid;
  expect(uid).not.toBe(0);
  expect(isRoot || uid === process.getuid?.()).toBe(true);
  // proc(5): after the command come state, parent, group, session. A session leader has its own id.
  const [, , , session] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  expect(Number(session)).toBe(pid);
});

test('an ordinary user can start, use and stop it', async () => {
  const directory = temporaryDirectory();
  const dataDir = path.join(directory.path, 'data');
  if (isRoot) chownSync(directory.path, 65534, 65534);
  const user = await startUser(dataDir, isRoot ? 'nobody' : 'us');
  expect(user.said).toMatchObject({ adopted: false, firstRun: true });
  expect(await query(user.said.ownerUrl, 'select 1 as one')).toEqual([{ one: 1 }]);
  user.child.stdin?.end();
  await once(user.child, 'exit');
  expect(user.child.exitCode).toBe(0);
  expect(isAlive(user.said.postmasterPid)).toBe(false);
});

test('a second user joins, and only the last to leave stops it', async () => {
  const directory = temporaryDirectory();
  const first = await start(directory.path);
  const second = await startUser(directory.path);
  expect(second.said).toMatchObject({ adopted: true, firstRun: false, postmasterPid: first.postmasterPid() });

  const pid = first.postmasterPid() ?? 0;
  await first.stop();
  expect(isAlive(pid)).toBe(true);
  expect(await query(second.said.ownerUrl, 'select 1 as one')).toEqual([{ one: 1 }]);

  second.child.stdin?.end();
  await once(second.child, 'exit');
  expect(isAlive(pid)).toBe(false);
});

test('two users that start at the same moment share one new database', async () => {
  const directory = temporaryDirectory();
  const [a, b] = await Promise.all([startUser(directory.path), startUser(directory.path)]);
  expect(a.said.firstRun).not.toBe(b.said.firstRun);
  expect(a.said.postmasterPid).toBe(b.said.postmasterPid);
  expect(a.said.ownerUrl).toBe(b.said.ownerUrl);
  for (const { child } of [a, b]) {
    child.stdin?.end();
    await once(child, 'exit');
  }
  expect(isAlive(a.said.postmasterPid)).toBe(false);
});

test('starting while the last user leaves gives a database that stays', async () => {
  const directory = temporaryDirectory();
  let current = await start(directory.path);
  for (let round = 0; round < 5; round++) {
    const [, next] = await Promise.all([current.stop(), start(directory.path)]);
    expect(await query(next.ownerUrl, 'select 1 as one')).toEqual([{ one: 1 }]);
    current = next;
  }
});

test('a killed user leaves it running for the next, and does not count when that one leaves', async () => {
  const directory = temporaryDirectory();
  const killed = await startUser(directory.path);
  killed.child.kill('SIGKILL');
  await once(killed.child, 'exit');
  expect(isAlive(killed.said.postmasterPid)).toBe(true);

  const next = await start(directory.path);
  expect(next).toMatchObject({ adopted: true, firstRun: false });
  expect(next.postmasterPid()).toBe(killed.said.postmasterPid);
  await next.stop();
  expect(isAlive(killed.said.postmasterPid)).toBe(false);
});

test('after kill -9 of the postmaster it waits for orphaned backends, and committed rows are there', async () => {
  const database = await start(temporaryDirectory().path);
  await query(database.ownerUrl, 'create table kept (n int); insert into kept values (1)');
  const orphan = new pg.Client({ connectionString: database.ownerUrl });
  orphan.on('error', () => undefined);
  await orphan.connect();
  const { rows } = await orphan.query<{ pid: number }>('select pg_backend_pid() as pid');
  const orphanPid = rows[0]?.pid ?? 0;
  // A stopped backend cannot notice that its postmaster died, just as one inside a long computation.
  process.kill(orphanPid, 'SIGSTOP');
  const killedPid = database.postmasterPid() ?? 0;
  process.kill(killedPid, 'SIGKILL');
  await until('the postmaster is gone', () => database.postmasterPid() === undefined);

  let running = false;
  const restart = database.ensureRunning().then(() => (running = true));
  const log = path.join(database.dataDir, 'postgresql.log');
  await until('a start was refused', () =>
    readFileSync(log, 'utf8').includes('pre-existing shared memory block'),
  );
  expect(running).toBe(false);
  process.kill(orphanPid, 'SIGCONT');
  await restart;
  expect(database.postmasterPid()).not.toBe(killedPid);
  expect(await query(database.ownerUrl, 'select n from kept')).toEqual([{ n: 1 }]);
});

test('a lock file whose process id now belongs to something else does not keep it from starting', async () => {
  const directory = temporaryDirectory();
  const first = await start(directory.path);
  const cluster = path.join(directory.path, 'pg18');
  const { uid, gid } = statSync(cluster);
  await first.stop();
  // PostgreSQL ignores ids of other accounts by itself, so the stranger has to be of the same.
  const stranger = spawn('sleep', ['60'], { stdio: 'ignore', ...(isRoot ? { uid, gid } : {}) });
  cleanUps.push(() => void stranger.kill());
  await once(stranger, 'spawn');
  writeFileSync(
    path.join(cluster, 'postmaster.pid'),
    `${stranger.pid}\n${cluster}\n1700000000\n5432\n\n\n0 0\nready   \n`,
  );
  if (isRoot) chownSync(path.join(cluster, 'postmaster.pid'), uid, gid);

  const second = await start(directory.path);
  expect(second.adopted).toBe(false);
  expect(second.postmasterPid()).not.toBe(stranger.pid);
  expect(await query(second.ownerUrl, 'select 1 as one')).toEqual([{ one: 1 }]);
  expect(stranger.exitCode).toBeNull();
});

test('two data directories are two databases', async () => {
  const [a, b] = await Promise.all([start(temporaryDirectory().path), start(temporaryDirectory().path)]);
  expect(a.postmasterPid()).not.toBe(b.postmasterPid());
  await query(a.ownerUrl, 'create table only_here ()');
  await expect(query(b.ownerUrl, 'table only_here')).rejects.toMatchObject({ code: '42P01' });
});

test('a path too long for a socket still works', async () => {
  const parent = temporaryDirectory().path;
  chmodSync(parent, 0o755);
  const dataDir = path.join(parent, 'long-'.repeat(20));
  const database = await start(dataDir);
  expect(await query(database.ownerUrl, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('a directory that the server account cannot enter is named as such', async () => {
  const parent = temporaryDirectory().path;
  chmodSync(parent, isRoot ? 0o700 : 0o500);
  const message = expect.stringContaining(isRoot ? 'cannot enter' : 'cannot be written') as string;
  const attempt = startEmbeddedDatabase({ dataDir: path.join(parent, 'inner') });
  await expect(attempt).rejects.toMatchObject({ code: 'store-unavailable', message });
});

test('data of another major version is refused and left alone', async () => {
  const directory = temporaryDirectory();
  mkdirSync(path.join(directory.path, 'pg17'));
  await expect(startEmbeddedDatabase({ dataDir: directory.path })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('PostgreSQL 17') as string,
  });
  expect(existsSync(path.join(directory.path, 'pg18'))).toBe(false);
});

test('what cannot start says why, and the next start is not hindered', async () => {
  const directory = temporaryDirectory();
  const broken = startEmbeddedDatabase({ dataDir: directory.path, settings: { shared_buffers: 'plenty' } });
  await expect(broken).rejects.toMatchObject({
    code: 'store-unavailable',
    message: expect.stringContaining('shared_buffers') as string,
  });
  const database = await start(directory.path);
  expect(await query(database.ownerUrl, 'select 1 as one')).toEqual([{ one: 1 }]);
  const pid = database.postmasterPid() ?? 0;
  await database.stop();
  expect(isAlive(pid)).toBe(false);
});
