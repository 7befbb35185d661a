/** Owns organisations with a device and keys for tests against a real database, and definitions of streams for them. */

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import { createAccounts, createOrganisation } from '#identity/accounts.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import type { Pools } from '#store/pools.ts';
import { openTestPool } from '#test/support/test-pool.ts';

export interface Tenant {
  readonly orgId: string;
  readonly device: DeviceIdentity;
  readonly deviceKey: string;
  readonly readKey: string;
  readonly adminKey: string;
  readonly adminKeyId: string;
}

export async function createTenant(ownerUrl: string, pools: Pools, name: string): Promise<Tenant> {
  const owner = openTestPool(ownerUrl);
  const orgId = await createOrganisation(owner, { name, clock: systemClock });
  await owner.end();
  const accounts = createAccounts({ appPool: pools.app, clock: systemClock });
  const device = await accounts.createDevice(orgId, `${name} device`);
  const reader = await accounts.createAccessKey(orgId, { name: `${name} reader`, scope: 'read' });
  const admin = await accounts.createAccessKey(orgId, { name: `${name} admin`, scope: 'admin' });
  return {
    orgId,
    device: { deviceId: device.id, orgId },
    deviceKey: device.key,
    readKey: reader.key,
    adminKey: admin.key,
    adminKeyId: admin.id,
  };
}

/** A three-axis float stream in a session of its own, unless `overrides` says otherwise. */
export function streamDefinition(overrides: Partial<StreamDefinition> = {}): StreamDefinition {
  return {
    stream: uuidv7(systemClock),
    session: uuidv7(systemClock),
    segment: 'left-foot',
    sensor: 'imu',
    axes: ['acc_x', 'acc_y', 'acc_z'].map((name) => ({ name, unit: 'm/s^2' })),
    rateHz: 204.8,
    encoding: 'float32',
    clock: 'device',
    ...overrides,
  };
}
