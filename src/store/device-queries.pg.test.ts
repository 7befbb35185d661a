import { expect, test } from 'vitest';

import { createDeviceQueries } from '#store/device-queries.ts';
import { openPools } from '#store/pools.ts';
import { createTestDatabase } from '#test/support/database.ts';
import { createTenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

test('a device exists for its own organisation until it is revoked', async () => {
  const database = await createTestDatabase();
  const pools = await openPools(database.ownerUrl);
  const owner = openTestPool(database.ownerUrl);
  try {
    const [one, other] = [
      await createTenant(database.ownerUrl, pools, 'one'),
      await createTenant(database.ownerUrl, pools, 'other'),
    ];
    const devices = createDeviceQueries(pools.app);
    expect(await devices.exists(one.orgId, one.device.deviceId)).toBe(true);
    expect(await devices.exists(other.orgId, one.device.deviceId)).toBe(false);
    expect(await devices.exists(one.orgId, 'no-id')).toBe(false);
    await owner.query('update kymo.device set revoked_at = now() where id = $1', [one.device.deviceId]);
    expect(await devices.exists(one.orgId, one.device.deviceId)).toBe(false);
  } finally {
    await owner.end();
    await pools.close();
    await database.drop();
  }
});
