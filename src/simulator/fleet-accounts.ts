/** Owns the devices that a fleet borrows from a server: made before it starts, revoked when it has ended. */

import { createHttpClient } from '#sdk/http-client.ts';

/** Devices are made and revoked this many at a time. */
const REQUESTS_AT_ONCE = 16;

export interface FleetAccounts {
  readonly keys: readonly string[];
  revoke(): Promise<void>;
}

/** Makes a device for each name. `accessKey` needs the scope admin. Throws AppError as the REST client does. */
export async function createFleetAccounts(
  server: { url: string; accessKey: string },
  names: readonly string[],
): Promise<FleetAccounts> {
  const client = createHttpClient({ origin: server.url, key: () => server.accessKey });
  const devices = await eachOf(names, (name) => client.createDevice(name));
  return {
    keys: devices.map((device) => device.key),
    revoke: async () => void (await eachOf(devices, (device) => client.revokeDevice(device.id))),
  };
}

async function eachOf<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let first = 0; first < items.length; first += REQUESTS_AT_ONCE)
    results.push(...(await Promise.all(items.slice(first, first + REQUESTS_AT_ONCE).map(work))));
  return results;
}
