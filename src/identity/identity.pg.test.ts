import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type pg from 'pg';

import { createAccounts, type Accounts } from '#identity/accounts.ts';
import { attemptLimits } from '#identity/failed-attempts.ts';
import { createIdentity, type Identity } from '#identity/identity.ts';
import { keyringLimits } from '#identity/keyring.ts';
import { newKey } from '#identity/keys.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createManualClock, type ManualClock } from '#test/support/manual-clock.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let tenantA: Tenant;
let tenantB: Tenant;
let clock: ManualClock;
let identity: Identity;
let accounts: Accounts;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
});

beforeEach(() => {
  clock = createManualClock(Date.now() * 1000);
  identity = createIdentity({ authPool: pools.auth, clock });
  accounts = createAccounts({ appPool: pools.app, clock });
});

afterAll(async () => {
  await pools.close();
  await owner.end();
  await database.drop();
});

test('each key stands for its own device, reader and organisation', async () => {
  expect(await identity.authenticateDevice(tenantA.deviceKey)).toEqual(tenantA.device);
  expect(await identity.authenticateDevice(tenantB.deviceKey)).toEqual(tenantB.device);
  expect(await identity.authenticateAccess(tenantA.adminKey)).toEqual({
    orgId: tenantA.orgId,
    keyId: tenantA.adminKeyId,
    scope: 'admin',
    permissions: null,
    expiresAtUs: Number.POSITIVE_INFINITY,
  });
  expect(await identity.authenticateAccess(tenantB.readKey)).toMatchObject({
    orgId: tenantB.orgId,
    scope: 'read',
  });
});

test('a key of the other kind, unknown or malformed, stands for nobody', async () => {
  expect(await identity.authenticateDevice(tenantA.readKey)).toBeNull();
  expect(await identity.authenticateAccess(tenantA.deviceKey)).toBeNull();
  expect(await identity.authenticateDevice(newKey('device').key)).toBeNull();
  expect(await identity.authenticateAccess('')).toBeNull();
});

test('keys are not in the database', async () => {
  const { rows } = await owner.query('select * from kymo.device');
  const stored = JSON.stringify(rows);
  expect(stored).not.toContain(tenantA.deviceKey.slice(3));
});

test('look-ups of one key share one query, and the answer is remembered', async () => {
  await Promise.all(Array.from({ length: 100 }, () => identity.authenticateDevice(tenantA.deviceKey)));
  expect(identity.counters.lookups).toBe(1);
  await identity.authenticateDevice(tenantA.deviceKey);
  expect(identity.counters.lookups).toBe(1);
  clock.advance(keyringLimits.rememberMs + 1);
  await identity.authenticateDevice(tenantA.deviceKey);
  expect(identity.counters.lookups).toBe(2);
});

test('a wrong key is remembered too', async () => {
  const { key } = newKey('access');
  for (let i = 0; i < 5; i++) expect(await identity.authenticateAccess(key)).toBeNull();
  expect(identity.counters).toEqual({ lookups: 1, failures: 5, refused: 0 });
});

test('a revoked device is refused at once here, and soon in another process', async () => {
  const elsewhere = createIdentity({ authPool: pools.auth, clock });
  const { id, key } = await accounts.createDevice(tenantA.orgId, 'to be revoked');
  expect(await identity.authenticateDevice(key)).not.toBeNull();
  expect(await elsewhere.authenticateDevice(key)).not.toBeNull();
  const { ticket } = await identity.issueTicket({
    purpose: 'device',
    identity: { deviceId: id, orgId: tenantA.orgId },
  });
  expect(await accounts.revokeDevice(tenantB.orgId, id)).toBe(false);
  expect(await accounts.revokeDevice(tenantA.orgId, id)).toBe(true);
  identity.forget(id);
  expect(await identity.authenticateDevice(key)).toBeNull();
  expect(await identity.redeemDeviceTicket(ticket)).toBeNull();
  expect(await identity.nextGeneration(id)).toBeNull();
  clock.advance(keyringLimits.rememberMs + 1);
  expect(await elsewhere.authenticateDevice(key)).toBeNull();
});

test('a revoked or expired access key is refused', async () => {
  const revoked = await accounts.createAccessKey(tenantA.orgId, { name: 'r', scope: 'read' });
  expect(await accounts.revokeAccessKey(tenantB.orgId, revoked.id)).toBe(false);
  await accounts.revokeAccessKey(tenantA.orgId, revoked.id);
  expect(await identity.authenticateAccess(revoked.key)).toBeNull();
  const expiresAt = new Date(clock.nowUs() / 1000 + 5_000);
  const expiring = await accounts.createAccessKey(tenantA.orgId, { name: 'e', scope: 'read', expiresAt });
  expect(await identity.authenticateAccess(expiring.key)).not.toBeNull();
  // Remembered for longer than it is valid.
  clock.advance(5_001);
  expect(await identity.authenticateAccess(expiring.key)).toBeNull();
});

test('an address that guesses is refused before the database, while known keys still pass', async () => {
  await identity.authenticateDevice(tenantA.deviceKey, '192.0.2.7');
  for (let i = 0; i < attemptLimits.failuresPerMinute; i++)
    await identity.authenticateDevice(newKey('device').key, '192.0.2.7');
  const { lookups } = identity.counters;
  await expect(identity.authenticateDevice(newKey('device').key, '192.0.2.7')).rejects.toMatchObject({
    code: 'limit-exceeded',
    temporary: true,
  });
  expect(identity.counters).toMatchObject({ lookups, refused: 1 });
  expect(await identity.authenticateDevice(tenantA.deviceKey, '192.0.2.7')).toEqual(tenantA.device);
  expect(await identity.authenticateDevice(tenantB.deviceKey, '192.0.2.8')).toEqual(tenantB.device);
  // Whoever was let in before comes in, also when the answer has to be asked for again.
  clock.advance(keyringLimits.rememberMs + 1);
  for (let i = 0; i < attemptLimits.failuresPerMinute; i++)
    await identity.authenticateDevice(newKey('device').key, '192.0.2.7').catch(() => null);
  await expect(identity.authenticateDevice(newKey('device').key, '192.0.2.7')).rejects.toThrow('wrong keys');
  expect(await identity.authenticateDevice(tenantA.deviceKey, '192.0.2.7')).toEqual(tenantA.device);
});

test('callers without an address share no limit', async () => {
  for (let i = 0; i <= attemptLimits.failuresPerMinute; i++)
    expect(await identity.authenticateDevice(newKey('device').key)).toBeNull();
  expect(identity.counters.refused).toBe(0);
});

test('generations grow, also from many connections at once, and when the database has gone back in time', async () => {
  const { id } = await accounts.createDevice(tenantA.orgId, 'generations');
  const drawn = await Promise.all(Array.from({ length: 20 }, () => identity.nextGeneration(id)));
  const generations = drawn.map((greeting) => greeting!.generation);
  expect(new Set(generations).size).toBe(20);
  // Many at once run ahead of the clock by as many milliseconds.
  await expect.poll(() => Date.now()).toBeGreaterThan(Math.max(...generations));
  await owner.query('update kymo.device set generation = 0 where id = $1', [id]);
  const again = await identity.nextGeneration(id);
  expect(again!.generation).toBeGreaterThan(Math.max(...generations));
  await owner.query('update kymo.device set generation = 9007199254740000 where id = $1', [id]);
  expect((await identity.nextGeneration(id))!.generation).toBe(9007199254740001);
  const { rows } = await owner.query('select incarnation from kymo.server');
  expect(drawn[0]!.incarnation).toBe((rows[0] as { incarnation: string }).incarnation);
});

test('being seen is written at most once a minute', async () => {
  const { id, key } = await accounts.createDevice(tenantA.orgId, 'seen');
  const seen = async (): Promise<unknown> =>
    (await owner.query('select last_seen_at from kymo.device where id = $1', [id])).rows[0];
  expect(await seen()).toEqual({ last_seen_at: null });
  await identity.authenticateDevice(key);
  const first = await seen();
  expect(first).not.toEqual({ last_seen_at: null });
  clock.advance(keyringLimits.rememberMs + 1);
  await identity.authenticateDevice(key);
  expect(await seen()).toEqual(first);
});

test('devices are listed newest first, page by page, to their own organisation only', async () => {
  const tenant = await createTenant(database.ownerUrl, pools, 'C');
  for (const name of ['one', 'two', 'three']) await accounts.createDevice(tenant.orgId, name);
  const first = await accounts.listDevices(tenant.orgId, { cursor: null, limit: 3 });
  expect(first!.devices.map((device) => device.name)).toEqual(['three', 'two', 'one']);
  const second = await accounts.listDevices(tenant.orgId, { cursor: first!.next, limit: 3 });
  expect(second).toMatchObject({ devices: [{ name: 'C device' }], next: null });
  const foreign = await accounts.listDevices(tenantB.orgId, { cursor: first!.next, limit: 3 });
  expect(foreign!.devices).toEqual([]);
});

test('the incarnation stays while the database does, and is drawn anew, once, on another timeline', async () => {
  const first = await identity.incarnation();
  expect(await identity.incarnation()).toBe(first);
  expect((await identity.nextGeneration(tenantA.device.deviceId))?.incarnation).toBe(first);

  // What a promoted standby finds: the row of the timeline before.
  await owner.query('update kymo.server set timeline = timeline - 1');
  const other = createIdentity({ authPool: pools.auth, clock });
  const [one, two, greeting] = await Promise.all([
    identity.incarnation(),
    other.incarnation(),
    identity.nextGeneration(tenantA.device.deviceId),
  ]);
  expect(one).not.toBe(first);
  expect(two).toBe(one);
  expect(greeting?.incarnation).toBe(one);
  const { rows } = await owner.query('select incarnation, timeline from kymo.server');
  expect(rows).toEqual([{ incarnation: one, timeline: '1' }]);
});

test('the incarnation is drawn anew when the log ends before what was seen of it', async () => {
  const first = await identity.incarnation();
  const { rows } = await owner.query<{ incarnation: string }>(
    "select kymo.incarnation('FFFFFFFF/0') as incarnation",
  );
  expect(rows[0]!.incarnation).not.toBe(first);
  expect(await identity.incarnation()).toBe(rows[0]!.incarnation);
});

test('an incarnation that cannot be the one of now is replaced once', async () => {
  const first = await identity.incarnation();
  const second = await identity.incarnation(first);
  expect(second).not.toBe(first);
  expect(await identity.incarnation(first)).toBe(second);
  expect(await identity.incarnation()).toBe(second);
});

test('a database that says nothing of its log keeps its incarnation', async () => {
  const first = await identity.incarnation();
  await owner.query(`create or replace function kymo.timeline() returns bigint language sql return null::bigint;
    create or replace function kymo.log_position() returns pg_lsn language sql return null::pg_lsn`);
  expect(await identity.incarnation()).toBe(first);
});
