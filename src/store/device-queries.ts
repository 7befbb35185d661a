/** Owns questions about an organisation's devices. Each is one round trip under row-level security. */

import { runAsOrg, type RolePool } from '#store/pools.ts';

export interface DeviceQueries {
  /** False for what is no id, and for a device that was revoked. */
  exists(orgId: string, deviceId: string): Promise<boolean>;
  /** Of its newest connection, to any instance; null when there is no such device. */
  generationOf(orgId: string, deviceId: string): Promise<number | null>;
}

const idPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function createDeviceQueries(app: RolePool): DeviceQueries {
  return {
    async exists(orgId, deviceId) {
      if (!idPattern.test(deviceId)) return false;
      const statement = {
        name: 'device-exists',
        text: 'select 1 from kymo.device where id = $1 and revoked_at is null',
        values: [deviceId],
      };
      const [result] = await runAsOrg(app, orgId, { statements: [statement], mode: 'snapshot' });
      return result?.rowCount === 1;
    },
    async generationOf(orgId, deviceId) {
      const statement = {
        name: 'device-generation',
        text: 'select generation from kymo.device where id = $1 and revoked_at is null',
        values: [deviceId],
      };
      const [result] = await runAsOrg(app, orgId, { statements: [statement], mode: 'snapshot' });
      const [row] = result!.rows as { readonly generation: number }[];
      return row?.generation ?? null;
    },
  };
}
