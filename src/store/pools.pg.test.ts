import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { openPools, poolLimits, runAsOrg, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let tenantA: Tenant;
let tenantB: Tenant;
const lost: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl, (role) => lost.push(role));
  owner = openTestPool(database.ownerUrl);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
});

afterAll(async () => {
  await pools.close();
  await owner.end();
  await database.drop();
});

test('a transaction names its organisation and sees nothing of another', async () => {
  const names = async (orgId: string): Promise<unknown[]> => {
    const statements = [{ text: 'select name from kymo.device' }];
    const [result] = await runAsOrg(pools.app, orgId, { statements, mode: 'snapshot' });
    return result!.rows.map((row: { name: string }) => row.name);
  };
  expect(await names(tenantA.orgId)).toEqual(['A device']);
  expect(await names(tenantB.orgId)).toEqual(['B device']);
});

test('without an organisation the application reads no row of any table with an organisation', async () => {
  const { rows: tables } = await owner.query<{ name: string }>(
    `select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'org_id'
      where c.relnamespace = 'kymo'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition
     union select 'organisation' order by 1`,
  );
  expect(tables.length).toBeGreaterThanOrEqual(9);
  const setting = await pools.app.run([{ text: `select current_setting('kymo.org', true) as org` }]);
  expect(setting[0]!.rows[0]).not.toMatchObject({ org: tenantA.orgId });
  for (const { name } of tables) {
    // A table that it may not even ask about has no row for it either.
    const rows = await pools.app.run([{ text: `select * from kymo.${name} limit 1` }]).then(
      ([result]) => result!.rows,
      (error: unknown) => {
        if ((error as { code?: string }).code === '42501') return [];
        throw error;
      },
    );
    expect({ name, rows }).toEqual({ name, rows: [] });
  }
});

test('every table of the schema has row-level security, or holds nothing of anyone', async () => {
  const { rows } = await owner.query<{ name: string }>(
    `select relname as name from pg_class
      where relnamespace = 'kymo'::regnamespace and relkind in ('r', 'p') and not relispartition
        and not relrowsecurity`,
  );
  expect(rows.map((row) => row.name).toSorted()).toEqual(['retention_class', 'server']);
});

test('partitions are not readable past their parent', async () => {
  const { rows } = await owner.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'kymo'::regnamespace and relispartition and relkind in ('r', 'p')
        and has_table_privilege('kymo_app', oid, 'select')`,
  );
  expect(rows).toEqual([]);
});

test('the application cannot write into another organisation', async () => {
  const writes = [
    { text: `insert into kymo.session (id, org_id) values (gen_random_uuid(), $1)`, values: [tenantB.orgId] },
    {
      text: `insert into kymo.device (id, org_id, name, key_hash) values (gen_random_uuid(), $1, 'x', sha256('x'))`,
      values: [tenantB.orgId],
    },
    { text: `update kymo.device set org_id = $1`, values: [tenantB.orgId] },
  ];
  for (const statement of writes)
    await expect(
      runAsOrg(pools.app, tenantA.orgId, { statements: [statement], mode: 'change' }),
    ).rejects.toThrow('row-level security');
  const [result] = await runAsOrg(pools.app, tenantA.orgId, {
    statements: [{ text: 'delete from kymo.device where org_id = $1', values: [tenantB.orgId] }],
    mode: 'change',
  });
  expect(result!.rowCount).toBe(0);
});

test('a failing statement undoes the transaction, and its own error is thrown', async () => {
  const insert = {
    text: `insert into kymo.session (id, org_id, label) values (gen_random_uuid(), $1, 'undone')`,
    values: [tenantA.orgId],
  };
  const statements = [insert, { text: 'select 1 / 0' }, { text: 'select 2' }];
  await expect(runAsOrg(pools.app, tenantA.orgId, { statements, mode: 'change' })).rejects.toThrow(
    'division by zero',
  );
  const { rowCount } = await owner.query(`select from kymo.session where label = 'undone'`);
  expect(rowCount).toBe(0);
});

test('a broken connection is reported as temporary, and the pool goes on', async () => {
  const sleeping = pools.app.run([{ text: 'select pg_sleep(60)' }]);
  sleeping.catch(() => undefined);
  const isAsleep = `select pid from pg_stat_activity where query = 'select pg_sleep(60)' and datname = $1`;
  await expect.poll(async () => (await owner.query(isAsleep, [database.name])).rowCount).toBe(1);
  await owner.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'kymo_app' and datname = $1`,
    [database.name],
  );
  const error = await sleeping.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(AppError);
  expect(error).toMatchObject({ code: 'store-unavailable', temporary: true });
  // Other connections of the pool were ended too; it may lend some of them out before it has heard.
  const answers = (): Promise<boolean> =>
    pools.app.run([{ text: 'select 1' }]).then(
      () => true,
      () => false,
    );
  await expect.poll(answers).toBe(true);
});

test('a saturated pool sends away the caller beyond its maximum, and serves all others', async () => {
  const busy = Array.from({ length: poolLimits.appConnections }, () =>
    pools.app.run([{ text: 'select pg_sleep(1)' }]),
  );
  const sleepers = `select from pg_stat_activity where query = 'select pg_sleep(1)' and datname = $1`;
  const count = async (): Promise<number | null> => (await owner.query(sleepers, [database.name])).rowCount;
  await expect.poll(count).toBe(poolLimits.appConnections);
  const waiting = Array.from({ length: poolLimits.maxWaiting }, () => pools.app.run([{ text: 'select 1' }]));
  const before = pools.app.stats;
  await expect(pools.app.run([{ text: 'select 1' }])).rejects.toMatchObject({
    code: 'overloaded',
    temporary: true,
  });
  expect(pools.app.stats.refused).toBe(before.refused + 1);
  expect(before.waiting).toBe(poolLimits.maxWaiting);
  await Promise.all([...busy, ...waiting]);
});

test('int8 comes as a number while that is exact', async () => {
  const [result] = await pools.app.run([
    {
      text: 'select 9007199254740991::int8 as exact, 9007199254740993::int8 as large, count(*) from generate_series(1, 3)',
    },
  ]);
  expect(result!.rows).toEqual([{ exact: 9007199254740991, large: 9007199254740993n, count: 3 }]);
});

test('an application role that may bypass row-level security is refused', async () => {
  // Roles belong to the whole cluster, so ownership, which is the database's, shows the refusal.
  await owner.query('create table kymo.misplaced (org_id uuid)');
  await owner.query('grant create on schema kymo to kymo_app');
  await owner.query('alter table kymo.misplaced owner to kymo_app');
  try {
    await expect(openPools(database.ownerUrl)).rejects.toMatchObject({ code: 'forbidden' });
  } finally {
    await owner.query('drop table kymo.misplaced');
  }
});

test('after a renewal no caller gets a connection that was made before', async () => {
  const pids = async (): Promise<unknown[]> => {
    const answers = await Promise.all(
      Array.from({ length: 3 }, () =>
        pools.app.run([{ text: 'select pg_backend_pid() as pid, pg_sleep(0.05)' }]),
      ),
    );
    return answers.map(([result]) => (result!.rows[0] as { pid: number }).pid);
  };
  const before = await pids();
  pools.renew();
  const after = await pids();
  expect(after).toHaveLength(3);
  expect(after.filter((pid) => before.includes(pid))).toEqual([]);
});

test('a database that cannot be reached is a temporary failure', async () => {
  await expect(openPools('postgres://nobody:x@127.0.0.1:1/none')).rejects.toMatchObject({
    code: 'store-unavailable',
    temporary: true,
  });
});
