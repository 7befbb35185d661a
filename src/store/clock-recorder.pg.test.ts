import { afterAll, beforeAll, expect, test } from 'vitest';
import type pg from 'pg';

import { silentLog } from '#base/log.ts';
import { createClockRecorder } from '#store/clock-recorder.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let tenantA: Tenant;
let tenantB: Tenant;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
});

afterAll(async () => {
  await pools.close();
  await owner.end();
  await database.drop();
});

test('observations of a second are kept as they were measured, each in its organisation', async () => {
  const recorder = createClockRecorder({ app: pools.app, clock: createManualClock(), log: silentLog });
  recorder.record(tenantA.device, { deviceUs: -5, offsetUs: 1_700_000_000_000_000, roundTripUs: 1200 });
  recorder.record(tenantB.device, { deviceUs: 7, offsetUs: -8, roundTripUs: 9 });
  await recorder.flush();
  const { rows } = await owner.query(
    `select org_id, device_id, device_us::text, offset_us::text, round_trip_us::text
       from kymo.clock_observation order by device_us`,
  );
  expect(rows).toEqual([
    {
      org_id: tenantA.orgId,
      device_id: tenantA.device.deviceId,
      device_us: '-5',
      offset_us: '1700000000000000',
      round_trip_us: '1200',
    },
    {
      org_id: tenantB.orgId,
      device_id: tenantB.device.deviceId,
      device_us: '7',
      offset_us: '-8',
      round_trip_us: '9',
    },
  ]);
});

test('beyond ten thousand the oldest observation goes and is counted', () => {
  const recorder = createClockRecorder({ app: pools.app, clock: createManualClock(), log: silentLog });
  for (let i = 0; i < 10_001; i++)
    recorder.record(tenantA.device, { deviceUs: i, offsetUs: 0, roundTripUs: 0 });
  expect(recorder.dropped).toBe(1);
});

test('observations that cannot be stored are logged, and nothing else happens', async () => {
  const warnings: string[] = [];
  const recorder = createClockRecorder({
    app: { ...pools.app, run: () => Promise.reject(new Error('no database')) },
    clock: createManualClock(),
    log: { ...silentLog, warn: (message) => void warnings.push(message) },
  });
  recorder.record(tenantA.device, { deviceUs: 1, offsetUs: 2, roundTripUs: 3 });
  await recorder.flush();
  expect(warnings).toEqual(['clock observations could not be stored']);
});
