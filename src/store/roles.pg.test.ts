import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { migrate } from '#store/migrate.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { ensureRoles, findUnsafeRoles, refuseUnsafeDatabase, roleUrls } from '#store/roles.ts';
import { createTestDatabase, testCluster, type TestDatabase } from '#test/support/database.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let app: pg.Pool;
/** Of this database, as the cluster's superuser. */
let superuser: pg.Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  app = openTestPool((await roleUrls(owner, database.ownerUrl)).kymo_app);
  const url = new URL(testCluster().superuserUrl);
  url.pathname = `/${database.name}`;
  superuser = openTestPool(url.href);
});

afterAll(async () => {
  await pools.close();
  await Promise.all([owner.end(), app.end(), superuser.end()]);
  await database.drop();
});

test('the roles as they are made pass', async () => {
  await expect(refuseUnsafeDatabase(app)).resolves.toBe(undefined);
});

// Roles belong to the whole cluster, so each is taken back at once.
test.each([
  ['superuser', 'alter role kymo_app superuser', 'alter role kymo_app nosuperuser'],
  ['a role that bypasses', 'alter role kymo_app bypassrls', 'alter role kymo_app nobypassrls'],
  ['member of the owner of chunks', 'grant kymo_writer to kymo_app', 'revoke kymo_writer from kymo_app'],
  [
    'owner of the function that names the organisation',
    'grant create on schema kymo to kymo_app; alter function kymo.current_org() owner to kymo_app',
    'alter function kymo.current_org() owner to kymo_owner; revoke create on schema kymo from kymo_app',
  ],
  [
    'owner of the schema',
    'alter schema kymo owner to kymo_app',
    'alter schema kymo owner to kymo_owner; grant usage on schema kymo to kymo_app',
  ],
])('an application role that is %s is refused', async (_, spoil, restore) => {
  await superuser.query(spoil);
  try {
    await expect(refuseUnsafeDatabase(app)).rejects.toMatchObject({ code: 'forbidden' });
  } finally {
    await superuser.query(restore);
  }
  await expect(refuseUnsafeDatabase(app)).resolves.toBe(undefined);
});

test.each([
  ['kymo_jobs', 'alter role kymo_jobs bypassrls', 'alter role kymo_jobs nobypassrls'],
  ['kymo_audit', 'alter role kymo_audit superuser', 'alter role kymo_audit nosuperuser'],
  ['kymo_jobs', 'grant kymo_app to kymo_jobs', 'revoke kymo_app from kymo_jobs'],
  [
    'kymo_audit',
    'grant create on schema kymo to kymo_audit; alter table kymo.audit_entry owner to kymo_audit',
    'alter table kymo.audit_entry owner to kymo_owner; revoke create on schema kymo from kymo_audit',
  ],
])('so is %s after: %s', async (role, spoil, restore) => {
  await superuser.query(spoil);
  try {
    await expect(refuseUnsafeDatabase(app)).rejects.toThrow(`the role ${role} may bypass`);
    expect(await findUnsafeRoles(superuser)).toContainEqual({ role, as: expect.any(String) });
  } finally {
    await superuser.query(restore);
  }
  await expect(refuseUnsafeDatabase(app)).resolves.toBe(undefined);
});

test('the application cannot become another role, turn row security off, or read the secret', async () => {
  for (const attempt of [
    'set role kymo_writer',
    'set role kymo_owner',
    'alter table kymo.session disable row level security',
    'alter table kymo.chunk no force row level security',
    'create policy mine on kymo.session using (true)',
    'select * from public.kymo_secret',
    'update kymo.stream_epoch set committed = default',
    'delete from kymo.chunk',
    'select key_hash from kymo.organisation, kymo.server',
  ])
    await expect(app.query(attempt), attempt).rejects.toThrow(
      /permission denied|must be (owner|member)|does not exist/,
    );
  // With row security off PostgreSQL refuses to answer rather than answer everything.
  await expect(app.query('set row_security = off; select * from kymo.session')).rejects.toThrow(
    'would be affected by row-level security',
  );
});

test('the writer and the identity role reach what is theirs and nothing else', async () => {
  const urls = await roleUrls(owner, database.ownerUrl);
  const writer = openTestPool(urls.kymo_writer);
  const auth = openTestPool(urls.kymo_auth);
  try {
    // Of streams it knows how they are packed and where they sit on the body, and nothing of the device.
    await expect(writer.query('select sensor from kymo.stream')).rejects.toThrow('permission denied');
    await expect(writer.query('select device_id from kymo.stream')).rejects.toThrow('permission denied');
    for (const table of ['session', 'device', 'access_key', 'organisation'])
      await expect(writer.query(`select from kymo.${table}`), table).rejects.toThrow('permission denied');
    for (const table of ['session', 'stream', 'chunk', 'stream_epoch', 'loss', 'patient', 'session_summary'])
      await expect(auth.query(`select from kymo.${table}`), table).rejects.toThrow('permission denied');
    // Of organisations it knows what they are called, for whoever has several.
    await expect(auth.query('select created_at from kymo.organisation')).rejects.toThrow('permission denied');
    await expect(auth.query(`update kymo.device set key_hash = ''`)).rejects.toThrow('permission denied');
  } finally {
    await Promise.all([writer.end(), auth.end()]);
  }
});

test('roles and migrations can be asked for again, and by several at once, without breaking what is connected', async () => {
  await Promise.all([migrate(database.ownerUrl), migrate(database.ownerUrl)]);
  await ensureRoles(owner);
  await expect(pools.app.run([{ text: 'select 1 as one' }])).resolves.toMatchObject([{ rows: [{ one: 1 }] }]);
  const again = await openPools(database.ownerUrl);
  await again.close();
});

test('a second database on the same server is refused before it locks the first one out', async () => {
  const admin = openTestPool(testCluster().superuserUrl);
  const name = `${database.name}_second`;
  await admin.query(`create database ${name} owner kymo_owner`);
  const url = new URL(database.ownerUrl);
  url.pathname = `/${name}`;
  try {
    await expect(migrate(url.href)).rejects.toMatchObject({ code: 'conflict' });
    // Who connects anew still gets in.
    await (await openPools(database.ownerUrl)).close();
    const second = openTestPool(url.href);
    expect((await second.query(`select to_regclass('public.kymo_secret') as secret`)).rows).toEqual([
      { secret: null },
    ]);
    await second.end();
  } finally {
    await admin.query(`drop database ${name} with (force)`);
    await admin.end();
  }
});

test('roles that a database left behind when it was removed are taken over', async () => {
  const { rows } = await superuser.query<{ note: string }>(
    `select shobj_description('kymo_app'::regrole, 'pg_authid') as note`,
  );
  await superuser.query(`comment on role kymo_app is 'kymo 0123456789abcdef no such database'`);
  try {
    await ensureRoles(owner);
    const { rows: after } = await superuser.query<{ note: string }>(
      `select shobj_description('kymo_app'::regrole, 'pg_authid') as note`,
    );
    expect(after[0]!.note).toMatch(new RegExp(` ${database.name}$`));
  } finally {
    await superuser.query(`comment on role kymo_app is '${rows[0]!.note}'`);
  }
});

test('a database that is newer than the program is refused', async () => {
  await owner.query(`insert into kymo_migration (name, timestamp) values ('9999-later', '2099')`);
  try {
    await expect(migrate(database.ownerUrl)).rejects.toMatchObject({ code: 'conflict' });
  } finally {
    await owner.query(`delete from kymo_migration where name = '9999-later'`);
  }
});
