/** Owns the part about records of an API under test: the server's own, with a master key that lives as long as the test. */

import { systemClock } from '#base/clock.ts';
import { createReadCache, type ReadCache } from '#clinic/read-cache.ts';
import { masterKeyOf, newKey, type MasterKeys } from '#clinic/master-keys.ts';
import { createRecords, type Records } from '#clinic/records.ts';
import { createMemoryTagVersions } from '#clinic/tag-versions.ts';
import type { RolePool } from '#store/pools.ts';

export function testMasterKeys(): MasterKeys {
  const only = masterKeyOf(newKey());
  return { current: async () => only, find: async (id) => (id === only.id ? only : null) };
}

export function testCache(): ReadCache {
  return createReadCache({ versions: createMemoryTagVersions(), clock: systemClock });
}

export function recordsApi(app: RolePool): { readonly records: Records } {
  return {
    records: createRecords({ app, clock: systemClock, cache: testCache(), masters: testMasterKeys() }),
  };
}
