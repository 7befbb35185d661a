/** Owns the proof of `kymo doctor`: each finding made to occur for real, and nothing changed by looking. */

import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';

import pg from 'pg';
import { afterAll, afterEach, expect, test } from 'vitest';

import { readConfig } from '#app/config.ts';
import { diagnose } from '#app/doctor-command.ts';
import type { Finding } from '#app/doctor/finding.ts';
import { startEmbeddedDatabase, type EmbeddedDatabase } from '#app/embedded-database.ts';
import {
  command,
  dataDirectory,
  isRoot,
  removeTemplate,
  system,
  type Command,
  type CommandOptions,
} from '#test/support/first-run.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});
afterAll(removeTemplate);

interface Report {
  code: number | null;
  findings: Finding[];
  /** The findings of one check, each as its state and text. */
  of(check: string): string[];
}

/** In this process where nothing but the settings matters, which saves a start of Node each. */
async function doctor(args: readonly string[], options?: CommandOptions): Promise<Report> {
  // A port that nobody has, unless the test says another.
  const all = args.includes('--port') ? args : ['--port', '0', ...args];
  const { code, findings } =
    options === undefined
      ? { code: null, findings: await diagnose(readConfig({ args: all, env: {} })) }
      : await run(all, options);
  for (const finding of findings) expect(finding.text).toMatch(/[^.]\.$/);
  return {
    code,
    findings,
    of: (check) =>
      findings.filter((found) => found.check === check).map(({ state, text }) => `${state}: ${text}`),
  };
}

async function run(
  args: readonly string[],
  options: CommandOptions = {},
): Promise<{ code: number | null; findings: Finding[] }> {
  const { code, out, err } = await command(['doctor', '--json', ...args], options).ended;
  expect(err).toBe('');
  const { ok, findings } = JSON.parse(out) as { ok: boolean; findings: Finding[] };
  expect(ok).toBe(code === 0);
  return { code, findings };
}

function emptyFolder(): string {
  const directory = createTemporaryDirectory();
  endings.push(() => directory.remove());
  return directory.path;
}

async function place(): Promise<string> {
  const directory = await dataDirectory();
  endings.push(() => directory.remove());
  return directory.path;
}

async function embedded(dataDir: string, settings: Record<string, string> = {}): Promise<EmbeddedDatabase> {
  const database = await startEmbeddedDatabase({ dataDir, settings });
  endings.push(() => database.stop());
  return database;
}

async function query(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

function kymo(...args: string[]): Command {
  const started = command(args);
  endings.push(() => started.stop());
  return started;
}

test('before the first start all is well, and looking makes nothing', async () => {
  const parent = emptyFolder();
  const report = await doctor(['--data', path.join(parent, 'data')], {});
  expect(report.findings.filter((finding) => finding.state === 'problem')).toEqual([]);
  expect(report.code).toBe(0);
  expect(report.of('database')).toEqual(['ok: There is no database yet; the first start makes one.']);
  expect(report.of('data directory').concat(report.of('disk')).join()).toContain(
    'It is made at the first start.',
  );
  expect(readdirSync(parent)).toEqual([]);
});

test('for people it prints a line a finding, each with what to do', async () => {
  const { code, out } = await command(['doctor', '--data', emptyFolder(), '--host', '0.0.0.0']).ended;
  expect(code).toBe(1);
  expect(out).toMatch(/^ {2}ok +Node +Node \d+\.\d+\.\d+ is new enough\.$/m);
  expect(out).toMatch(/^ {2}problem +tls +--host is 0\.0\.0\.0.*\n +Fix: kymo start --tls-cert/m);
  expect(out).toMatch(/\n1 problems?, \d+ warnings?\.\n$/);
});

test('warnings fail only when asked', async () => {
  const args = ['--data', emptyFolder(), '--credit-pool-mib', '65536', '--host', '0.0.0.0', '--insecure'];
  const report = await doctor(args, {});
  expect(report.of('memory')[0]).toMatch(/^warning: \d+ MiB of memory/);
  expect(report.of('tls')[0]).toMatch(/^warning: Health data travels in clear text/);
  expect(report.code).toBe(0);
  expect((await doctor([...args, '--strict'], {})).code).toBe(1);
});

test('settings that break the promise are found in the running database', async () => {
  const dataDir = await place();
  const settings = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' };
  const database = await embedded(dataDir, { ...settings, max_connections: '20', max_wal_size: '64MB' });
  const report = await doctor(['--data', dataDir], {});
  expect(report.code).toBe(1);
  expect(report.of('durability')).toEqual([
    expect.stringMatching(/^problem: fsync is off/) as string,
    expect.stringMatching(/^problem: full_page_writes is off/) as string,
    expect.stringMatching(/^warning: synchronous_commit is off/) as string,
  ]);
  expect(report.of('connections')[0]).toMatch(/^problem: Only 17 connections/);
  expect(report.of('wal')[0]).toMatch(/^warning: max_wal_size is 64 MB/);
  expect(report.of('schema')[0]).toMatch(/^ok: The schema is up to date/);

  // The same as an external one: then nothing stands behind this one machine, and that is worth a warning.
  const external = ['--data', dataDir, '--database-url', database.ownerUrl];
  expect((await doctor(external)).of('standby')[0]).toMatch(/^warning: No synchronous standby/);
  const { ownerUrl, superuserUrl } = database;
  const asSuperuser = superuserUrl.replace(/\/postgres$/, '/kymo');

  await query(asSuperuser, `delete from kymo_migration where name = (select max(name) from kymo_migration)`);
  expect((await doctor(['--data', dataDir])).of('schema')[0]).toMatch(
    /^warning: The schema is older .* next start/,
  );
  await query(asSuperuser, `insert into kymo_migration values ('9999-later', '2099-01-01')`);
  const newer = await doctor(['--data', dataDir]);
  expect(newer.of('schema')[0]).toMatch(/^problem: The database was written by a newer Kymo \(9999-later\)/);

  await query(
    asSuperuser,
    `insert into kymo.organisation (id, name) values ('00000000-0000-7000-8000-000000000001', 'clinic');
     insert into kymo.session (id, org_id, started_at) values ('00000000-0000-7000-8000-000000000002',
       '00000000-0000-7000-8000-000000000001', now() + interval '2 days')`,
  );
  expect((await doctor(['--data', dataDir])).of('clock').at(-1)).toMatch(/^problem: The clock has gone back/);

  await query(asSuperuser, `create role plain login password 'plain'`);
  const wrong = async (url: string): Promise<string> =>
    (await doctor(['--data', dataDir, '--database-url', url])).findings
      .filter((finding) => finding.check === 'database' && finding.state === 'problem')
      .map(({ text, fix }) => `${text} | ${fix}`)
      .join();
  expect(await wrong(ownerUrl.replace(/:[^:@]+@/, ':guess@'))).toContain('correct the password');
  expect(await wrong(ownerUrl.replace(/\/kymo$/, '/other'))).toContain('createdb kymo');
  expect(await wrong('postgres://a:b@127.0.0.1:1/kymo')).toContain('start PostgreSQL');
  expect(await wrong('postgres://a:b@kymo.invalid/kymo')).toContain('correct the host');
  const plain = ownerUrl.replace(/\/\/[^@]+@/, '//plain:plain@');
  expect(await wrong(plain)).toContain('alter role plain createrole');
});

test('beside a server: its address, its readiness, its background work; and when it hangs', async () => {
  const dataDir = await place();
  const server = kymo('start', '--data', dataDir, '--port', '0');
  const { origin } = new URL(await server.address());
  await expect
    .poll(
      async () => (await (await fetch(`${origin}/metrics`)).text()).includes('kymo_upkeep_steps_total{task='),
      {
        timeout: 20_000,
      },
    )
    .toBe(true);
  const { code, findings } = await run(['--data', dataDir]);
  const of = (check: string): string => findings.find((finding) => finding.check === check)?.text ?? '';
  expect(code).toBe(0);
  expect(of('port')).toBe(`Kymo runs here at ${origin} (process ${server.pid}).`);
  expect(of('server')).toBe(`The server (process ${server.pid}) is ready.`);
  expect(of('upkeep')).toContain('partitions');
  expect(of('partitions')).toBe("Tomorrow's partitions are there.");

  const { superuserUrl } = await embedded(dataDir);
  const tomorrow = new Date(Date.now() + 24 * 3600 * 1000).toISOString().slice(0, 10).replaceAll('-', '');
  await query(superuserUrl.replace(/\/postgres$/, '/kymo'), `drop table kymo.chunk_c0_${tomorrow}`);
  expect((await doctor(['--data', dataDir])).of('partitions')[0]).toMatch(/^problem: .*chunk_c0/);
  server.child.kill('SIGSTOP');
  const hanging = await doctor(['--data', dataDir]);
  server.child.kill('SIGCONT');
  expect(hanging.of('server')[0]).toContain('does not answer');
});

test('a port that another program has is named with it', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  endings.push(() => other.close());
  const { port } = other.address() as AddressInfo;
  const report = await doctor(['--data', emptyFolder(), '--port', String(port)]);
  expect(report.of('port')[0]).toContain(`problem: Port ${port} is in use by process ${process.pid} (`);
});

test('programs that are damaged are found, and how to have them made anew', async () => {
  const dataDir = await place();
  expect((await doctor(['--data', dataDir])).of('programs')[0]).toMatch(/^ok: postgres \(PostgreSQL\) 18/);
  const programs = path.join(
    dataDir,
    readdirSync(dataDir).find((name) => name.startsWith('postgresql-'))!,
  );
  const link = path.join(programs, 'lib', 'libpq.so.5');
  rmSync(link);
  const report = await doctor(['--data', dataDir]);
  expect(report.of('programs')[0]).toMatch(
    /^problem: The unpacked PostgreSQL lacks 1 library links, lib\/libpq/,
  );
  symlinkSync('libpq.so.5.18', link);
  writeFileSync(path.join(programs, 'bin', 'postgres'), 'damaged');
  expect((await doctor(['--data', dataDir])).of('programs')[0]).toContain('does not run');
});

test('too few descriptors, and data of another major version or of nobody', async () => {
  const prefix = ['sh', '-c', 'ulimit -n 600; exec "$@"', 'sh'];
  const few = await doctor(['--data', emptyFolder()], { prefix });
  expect(few.of('descriptors')[0]).toBe(
    'problem: 600 open files are allowed, enough for about 500 connections.',
  );
  const older = emptyFolder();
  mkdirSync(path.join(older, 'pg17'));
  expect((await doctor(['--data', older])).of('database')[0]).toContain('holds data of PostgreSQL 17');
  const foreign = emptyFolder();
  writeFileSync(path.join(foreign, 'PG_VERSION'), '18');
  expect((await doctor(['--data', foreign])).of('database')[0]).toContain(
    'itself a PostgreSQL data directory',
  );
});

test('a certificate about to expire, for another host, with another key', async () => {
  const folder = emptyFolder();
  const [cert, key, other] = ['cert', 'key', 'other'].map((name) => path.join(folder, name)) as [
    string,
    string,
    string,
  ];
  const words = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 5 -subj /CN=a';
  const make = (keyFile: string, certFile: string): Promise<unknown> =>
    promisify(execFile)('openssl', [
      ...words.split(' '),
      '-addext',
      'subjectAltName=DNS:kymo.example',
      '-keyout',
      keyFile,
      '-out',
      certFile,
    ]);
  await make(other, cert);
  await make(key, cert);
  const report = await doctor(['--data', folder, '--tls-cert', cert, '--tls-key', key]);
  expect(report.of('tls')).toEqual([
    expect.stringMatching(/^warning: The certificate expires in \d days/) as string,
    expect.stringMatching(/^warning: The server listens on 127\.0\.0\.1, which .*kymo\.example/) as string,
  ]);
  const foreign = await doctor(['--data', folder, '--tls-cert', cert, '--tls-key', other]);
  expect(foreign.of('tls')[0]).toContain('is not the key of the certificate');
});

// Only root may mount.
test.skipIf(!isRoot)(
  'a small disk, one in memory, one that is read-only, and little shared memory',
  async () => {
    const folder = emptyFolder();
    system('mount', '-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', folder);
    endings.push(() => system('umount', folder));
    const small = await doctor(['--data', path.join(folder, 'data')]);
    expect(small.of('disk')).toEqual([
      expect.stringMatching(/^problem: .* has 32 MiB free; Kymo needs 256 MiB/) as string,
      expect.stringMatching(/^warning: .* lies in memory/) as string,
    ]);
    system('mount', '-o', 'remount,ro', folder);
    const readOnly = await doctor(['--data', path.join(folder, 'data')]);
    expect(readOnly.of('data directory')[0]).toMatch(/^problem: .* cannot be made: the disk is read-only/);
    const mounting = 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"';
    const shared = await doctor(['--data', emptyFolder()], {
      prefix: ['unshare', '-m', 'sh', '-c', mounting, 'sh'],
    });
    expect(shared.of('shared memory')[0]).toMatch(/^warning: \/dev\/shm has 64 MiB free/);
  },
);

test.skipIf(!isRoot)("a data directory of somebody else's is said to be that", async () => {
  const folder = emptyFolder();
  chmodSync(folder, 0o755);
  mkdirSync(path.join(folder, 'data'));
  const prefix = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
  const capability = ['--inh-caps', '+dac_read_search', '--ambient-caps', '+dac_read_search'];
  const report = await doctor(['--data', path.join(folder, 'data')], { prefix: [...prefix, ...capability] });
  expect(report.of('data directory')[0]).toContain('belongs to user 0, and this is user 65534');
});
