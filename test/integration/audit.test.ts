/** The audit log of a real server: nothing is shown or changed without an entry, also when the server is killed. */

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { startEmbeddedDatabase, type EmbeddedDatabase } from '#app/embedded-database.ts';
import type { AuditPage } from '#contract/audit.ts';
import { kymoMain, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';

/** What kymo.audit_append takes shared: who holds it keeps every entry from its commit. */
const APPEND_LOCK = 5_962_119;

let dataDir: string;
let embedded: EmbeddedDatabase;
let kymo: KymoProcess;
let owner: pg.Client;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'kymo-audit-'));
  embedded = await startEmbeddedDatabase({ dataDir });
  kymo = await startKymo({ dataDir, port: 0 });
  owner = new pg.Client({ connectionString: embedded.ownerUrl });
  await owner.connect();
});

afterAll(async () => {
  await owner.end();
  await kymo.signal('SIGTERM');
  await embedded.stop();
  await rm(dataDir, { recursive: true, force: true });
});

function call(method: string, path: string, body?: object): Promise<Response> {
  const { origin, hash } = new URL(kymo.address);
  return fetch(new URL(path, origin), {
    method,
    headers: {
      authorization: `Bearer ${hash.replace('#key=', '')}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

async function entries(route: string): Promise<(number | null)[]> {
  const { rows } = await owner.query<{ status: number | null }>(
    'select status from kymo.audit_entry where route = $1 order by id',
    [route],
  );
  return rows.map(({ status }) => status);
}

/** Runs `kymo verify-audit`; whether it found something is its exit code. */
async function verify(...args: string[]): Promise<{ code: number; said: string }> {
  const command = [kymoMain, 'verify-audit', '--data', dataDir, ...args];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, command, {
      env: { ...process.env, DATABASE_URL: '' },
    });
    return { code: 0, said: stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, said: stdout };
  }
}

test('no read is answered before its entry is committed', async () => {
  await owner.query('begin');
  await owner.query('select pg_advisory_xact_lock($1)', [APPEND_LOCK]);
  let isAnswered = false;
  const answer = call('GET', '/v1/sessions').finally(() => {
    isAnswered = true;
  });
  const waiting = `select from pg_locks where locktype = 'advisory' and objid = $1 and not granted`;
  await expect.poll(async () => (await owner.query(waiting, [APPEND_LOCK])).rowCount).toBe(1);
  expect(isAnswered).toBe(false);
  await owner.query('commit');
  expect((await answer).status).toBe(200);
  expect(await entries('GET /v1/sessions')).toEqual([200]);
});

test('a log that cannot be written to refuses reads and changes alike, and is whole afterwards', async () => {
  await owner.query('revoke execute on function kymo.audit_append(json) from kymo_audit');
  try {
    expect((await call('GET', '/v1/sessions')).ok).toBe(false);
    expect((await call('POST', '/v1/devices', { name: 'never' })).ok).toBe(false);
  } finally {
    await owner.query('grant execute on function kymo.audit_append(json) to kymo_audit');
  }
  const { rowCount } = await owner.query(`select from kymo.device where name = 'never'`);
  expect(rowCount).toBe(0);
  expect((await call('GET', '/v1/sessions')).status).toBe(200);
});

test('a server that is killed between a change and its answer leaves the entry of the change', async () => {
  const before = await entries('POST /v1/devices');
  await owner.query('begin');
  // The insert waits for it, when the entry has been committed already.
  await owner.query('lock table kymo.device in share row exclusive mode');
  const lost = call('POST', '/v1/devices', { name: 'half' }).then(
    ({ status }) => status,
    () => 'no answer',
  );
  const waiting = `select from pg_locks where relation = 'kymo.device'::regclass and not granted`;
  await expect.poll(async () => (await owner.query(waiting)).rowCount).toBe(1);
  await kymo.signal('SIGKILL');
  expect(await lost).toBe('no answer');
  await owner.query('commit');
  expect((await entries('POST /v1/devices')).slice(before.length)).toEqual([null]);

  kymo = await startKymo({ dataDir, port: 0 });
  expect((await call('POST', '/v1/devices', { name: 'whole' })).status).toBe(201);
  // Nobody waits for the outcome of a change.
  await expect
    .poll(async () => (await entries('POST /v1/devices')).slice(before.length))
    .toEqual([null, null, 201]);
});

test('the log is read over HTTP, sealed in the background and verified by a command', async () => {
  const heads = join(dataDir, 'heads');
  const page = async (): Promise<AuditPage> =>
    (await call('GET', '/v1/audit?limit=100')).json() as Promise<AuditPage>;
  await expect.poll(async () => (await page()).head, { timeout: 30_000 }).not.toBeNull();
  const { entries: shown, head } = await page();
  expect(shown.map(({ route }) => route)).toContain('POST /v1/devices');
  expect(await verify('--heads', heads)).toMatchObject({
    code: 0,
    said: expect.stringContaining('as it was sealed'),
  });
  expect(await readFile(heads, 'utf8')).toMatch(/^[0-9a-f-]{36}:\d+:[0-9a-f]{64}\n$/);

  await owner.query('alter table kymo.audit_entry disable trigger all');
  const { rows } = await owner.query<{ id: string }>(
    `update kymo.audit_entry set actor = 'nobody' where id = (select ids[1] from kymo.audit_block where number = 1)
       returning id::text as id`,
  );
  const found = await verify('--heads', heads);
  expect(found).toMatchObject({
    code: 1,
    said: expect.stringContaining(`entry ${rows[0]!.id}: entry changed`),
  });
  expect(head!.block).toBeGreaterThanOrEqual(1);
  const kept = await verify('--expect', `01900000-0000-7000-8000-000000000000:9:${'0'.repeat(64)}`, '--json');
  expect(JSON.parse(kept.said)).toMatchObject({
    findings: expect.arrayContaining([expect.objectContaining({ what: 'head missing', block: 9 })]),
  });
});
