import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { randomEpoch, uuidv7 } from '#base/uuid.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { addReader, listReaders, removeReader } from '#store/readers.ts';
import { refuseUnsafeDatabase, roleUrls } from '#store/roles.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { storeChunk } from '#test/support/stored-chunks.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

/** All that a reader may select; docs/sql.md lists the same. */
const readable = [
  'chunk',
  'loss',
  'reading',
  'rollup',
  'rollup_bucket',
  'rollup_progress',
  'sealed_chunk',
  'session',
  'stored_chunk',
  'stream',
  'stream_epoch',
];
/** Without a row in these tests, which neither seal nor roll up: only that they are allowed is asked. */
const empty = ['rollup', 'rollup_bucket', 'rollup_progress', 'sealed_chunk'];

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let writer: pg.Pool;
let tenantA: Tenant;
let tenantB: Tenant;
let reader: pg.Pool;
let name: string;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  await ensurePartitions(writer);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
  for (const tenant of [tenantA, tenantB]) await storeOne(tenant);
});

afterAll(async () => {
  await pools.close();
  await Promise.all([owner.end(), writer.end()]);
  await database.drop();
});

beforeEach(async () => {
  name = newName();
  reader = await openReader(name, tenantA);
  // Roles are the whole cluster's, and outlive the database.
  return async () => {
    await reader.end();
    await removeReader(owner, name).catch(() => undefined);
  };
});

function newName(): string {
  return `t${uuidv7(systemClock).replaceAll('-', '').slice(0, 30)}`;
}

function urlOf(role: string, password: string): string {
  const url = new URL(database.ownerUrl);
  url.username = role;
  url.password = password;
  return url.href;
}

async function openReader(called: string, tenant: Tenant): Promise<pg.Pool> {
  const added = await addReader(owner, { name: called, orgId: tenant.orgId });
  expect(added).toMatchObject({ role: `kymo_reader_${called}`, orgId: tenant.orgId });
  return openTestPool(urlOf(added.role, added.password));
}

async function storeOne(tenant: Tenant): Promise<void> {
  const definition = streamDefinition();
  const epoch = randomEpoch();
  await createCatalogue(pools).openStream(tenant.device, { definition, epoch });
  await storeChunk(writer, {
    orgId: tenant.orgId,
    streamId: definition.stream,
    epoch,
    firstSeq: 0,
    firstUs: 0,
    lastUs: 5_000,
    segments: [{ firstUs: 0, periodNs: 5_000_000, arrivalUs: 0, count: 2 }],
    deltas: null,
    data: Buffer.from(new Float32Array([1, 2, 3, 4, 5, 6]).buffer),
  });
  await writer.query(
    `insert into kymo.loss (org_id, stream_id, epoch, from_seq, to_seq, reason) values ($1, $2, 1, 5, 6, 'test')`,
    [tenant.orgId, definition.stream],
  );
}

test('a reader sees all of its organisation and nothing of another', async () => {
  for (const table of readable) {
    const { rows } = await reader.query<{ org_id: string }>(`select distinct org_id from kymo.${table}`);
    expect(rows, table).toEqual(empty.includes(table) ? [] : [{ org_id: tenantA.orgId }]);
  }
  const { rows } = await reader.query('select seq, time_us, "values" from kymo.reading order by seq');
  expect(rows).toEqual([
    { seq: '0', time_us: '0', values: [1, 2, 3] },
    { seq: '1', time_us: '5000', values: [4, 5, 6] },
  ]);
  const axes = await reader.query(
    `select kymo.axis(id, 'acc_z') as z, kymo.axis(id, 'none') as none from kymo.stream`,
  );
  expect(axes.rows).toEqual([{ z: 3, none: null }]);
});

test('it may select the listed tables and nothing else, and do nothing else with any', async () => {
  await owner.query('create table if not exists kymo.later (org_id uuid)');
  const relations = `select c.relname as name, c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and n.nspname not in ('pg_catalog', 'information_schema')
      and n.nspname not like 'pg\\_toast%'`;
  const selectable = await reader.query<{ name: string }>(
    `select name from (${relations}) r where has_any_column_privilege(oid, 'select') order by name`,
  );
  expect(selectable.rows.map((row) => row.name)).toEqual(readable);
  const changeable = await reader.query(
    `select name from (${relations}) r
      where has_table_privilege(oid, 'insert, update, delete, truncate, references, trigger')
         or has_any_column_privilege(oid, 'insert, update, references')`,
  );
  expect(changeable.rows).toEqual([]);
  const definers = await reader.query(
    `select p.proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where p.prosecdef and n.nspname not in ('pg_catalog', 'information_schema')
        and has_function_privilege(p.oid, 'execute')`,
  );
  expect(definers.rows).toEqual([{ name: 'reader_org' }]);
  const creatable = await reader.query(
    `select nspname from pg_namespace where has_schema_privilege(oid, 'create')`,
  );
  expect(creatable.rows).toEqual([]);
});

test('it cannot change its organisation, its rights or anything else, nor become another', async () => {
  const attempts = [
    `update kymo.sql_reader set org_id = '${tenantB.orgId}'`,
    'select * from kymo.sql_reader',
    'select key_hash from kymo.device',
    'select key_hash from kymo.access_key',
    'select * from public.kymo_secret',
    'delete from kymo.session',
    'insert into kymo.loss select * from kymo.loss',
    'create table public.mine (x int)',
    'create temporary table mine (x int)',
    'create function kymo.mine() returns int language sql return 1',
    'alter table kymo.session disable row level security',
    'set role kymo_app',
    'set role kymo_writer',
    'set session authorization kymo_owner',
    'grant kymo_app to current_user',
    `select * from kymo.chunk_c0_${new Date(systemClock.nowUs() / 1000).toISOString().slice(0, 10).replaceAll('-', '')}`,
    `copy kymo.session to program 'cat'`,
  ];
  for (const attempt of attempts) {
    const client = await reader.connect();
    try {
      await client.query('set default_transaction_read_only = off');
      await expect(client.query(attempt), attempt).rejects.toThrow(/permission denied|must be owner/);
    } finally {
      client.release();
    }
  }
});

test('no setting and no role that it may take changes the organisation that it sees', async () => {
  const client = await reader.connect();
  try {
    await client.query(`select set_config('kymo.org', $1, false)`, [tenantB.orgId]);
    await client.query('set role kymo_reader');
    const { rows } = await client.query('select org_id from kymo.session');
    expect(rows).toEqual([{ org_id: tenantA.orgId }]);
    await client.query('set row_security = off');
    await expect(client.query('select * from kymo.session')).rejects.toThrow('row-level security');
  } finally {
    client.release(true);
  }
});

test('it reads only, for a minute a statement, over five connections', async () => {
  await expect(reader.query('create table kymo.mine (x int)')).rejects.toThrow('read-only transaction');
  const { rows } = await reader.query(
    `select current_setting('statement_timeout') as statement, current_setting('search_path') as path`,
  );
  expect(rows).toEqual([{ statement: '1min', path: 'kymo, pg_catalog' }]);
  const limit = await owner.query('select rolconnlimit from pg_roles where rolname = $1', [
    `kymo_reader_${name}`,
  ]);
  expect(limit.rows).toEqual([{ rolconnlimit: 5 }]);
});

test('a reader that is removed is gone, with its connections, and its name can be given again', async () => {
  const client = await reader.connect();
  client.on('error', () => undefined);
  expect((await listReaders(owner)).map((one) => one.name)).toContain(name);
  await removeReader(owner, name);
  await expect(client.query('select 1')).rejects.toThrow(/terminat|connection error/i);
  client.release(true);
  await expect(reader.query('select 1')).rejects.toThrow('password authentication failed');
  expect((await listReaders(owner)).map((one) => one.name)).not.toContain(name);
  await expect(removeReader(owner, name)).rejects.toMatchObject({ code: 'not-found' });
  const again = await openReader(name, tenantB);
  expect((await again.query('select org_id from kymo.session')).rows).toEqual([{ org_id: tenantB.orgId }]);
  await again.end();
});

test('a role without a row reads nothing, and a row without a role is shown and can be removed', async () => {
  await owner.query('delete from kymo.sql_reader where role_name = $1', [`kymo_reader_${name}`]);
  for (const table of readable)
    expect((await reader.query(`select from kymo.${table}`)).rowCount, table).toBe(0);
  await owner.query('insert into kymo.sql_reader values ($1, $2)', ['kymo_reader_gone', tenantA.orgId]);
  expect(await listReaders(owner)).toMatchObject([{ name: 'gone', organisation: 'A', canLogIn: false }]);
  await removeReader(owner, 'gone');
  expect(await listReaders(owner)).toEqual([]);
});

test('what cannot be made is refused with what to do', async () => {
  for (const bad of ['', 'Ärzte', 'a b', 'a"; drop table x', 'x'.repeat(41)])
    await expect(addReader(owner, { name: bad, orgId: tenantA.orgId })).rejects.toMatchObject({
      code: 'invalid-field',
    });
  await expect(addReader(owner, { name, orgId: tenantA.orgId })).rejects.toMatchObject({ code: 'conflict' });
  await expect(addReader(owner, { name: newName(), orgId: null })).rejects.toThrow(tenantB.orgId);
  await expect(addReader(owner, { name: newName(), orgId: uuidv7(systemClock) })).rejects.toMatchObject({
    code: 'not-found',
  });
});

test.each([
  ['member of the application', 'grant kymo_app to ROLE', 'revoke kymo_app from ROLE'],
  [
    'member of the writer through its group',
    'grant kymo_writer to kymo_reader',
    'revoke kymo_writer from kymo_reader',
  ],
])('a server does not start beside a reader that is %s', async (_, spoil, restore) => {
  const app = openTestPool((await roleUrls(owner, database.ownerUrl)).kymo_app);
  try {
    await expect(refuseUnsafeDatabase(app)).resolves.toBe(undefined);
    await owner.query(spoil.replace('ROLE', `kymo_reader_${name}`));
    await expect(refuseUnsafeDatabase(app)).rejects.toThrow(`kymo_reader_${name} may act as kymo_`);
  } finally {
    await owner.query(restore.replace('ROLE', `kymo_reader_${name}`));
    await app.end();
  }
});
