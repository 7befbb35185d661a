/** Owns a clinic for tests against a real database: two organisations, the services of records, and who asks. */

import type pg from 'pg';

import { systemClock } from '#base/clock.ts';
import type { MasterKeys } from '#clinic/master-keys.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { createRecords, type Records } from '#clinic/records.ts';
import type { Patient, PatientRequest } from '#contract/clinic.ts';
import type { Principal } from '#contract/principal.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase } from '#test/support/database.ts';
import { testPrincipal } from '#test/support/principals.ts';
import { testCache, testMasterKeys } from '#test/support/records-api.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

export interface TestClinic {
  readonly ownerUrl: string;
  readonly pools: Pools;
  /** As the owner of the tables, who sees every row. */
  readonly owner: pg.Pool;
  readonly tenant: Tenant;
  readonly records: Records;
  readonly masters: MasterKeys;
  readonly cache: ReadCache;
  /** A clinician of `tenant`, and of another organisation. */
  readonly staff: Principal;
  readonly foreign: Principal;
  make(request?: PatientRequest): Promise<Patient>;
  close(): Promise<void>;
}

export async function openTestClinic(): Promise<TestClinic> {
  const database = await createTestDatabase();
  const pools = await openPools(database.ownerUrl);
  const owner = openTestPool(database.ownerUrl);
  const tenant = await createTenant(database.ownerUrl, pools, 'A');
  const other = await createTenant(database.ownerUrl, pools, 'B');
  const masters = testMasterKeys();
  const cache = testCache();
  const records = createRecords({ app: pools.app, clock: systemClock, cache, masters });
  const staff = clinician(tenant.orgId);
  return {
    ownerUrl: database.ownerUrl,
    pools,
    owner,
    tenant,
    records,
    masters,
    cache,
    staff,
    foreign: clinician(other.orgId),
    make: async (request = {}) => JSON.parse(await records.patients.create(staff, request)) as Patient,
    async close() {
      await pools.close();
      await owner.end();
      await database.drop();
    },
  };
}

export function clinician(orgId: string, overrides: Partial<Principal> = {}): Principal {
  return testPrincipal({
    kind: 'user',
    orgId,
    role: 'clinician',
    permissions: null,
    subject: 'person-1',
    ...overrides,
  });
}
