/** Owns the connection of a simulated device: the device SDK as anyone uses it, with a store in memory. */

import { openDevice } from '#sdk/device-client.ts';
import type { Device } from '#sdk/device-runtime.ts';
import { memoryStore } from '#sdk/memory-store.ts';

/** Forty seconds of seven six-axis sensors at 200 Hz; a fleet of 500 devices then holds at most 1 GB. */
const STORE_BYTES = 2 * 1024 * 1024;

/** Connects to `url` with a device key; it keeps reconnecting until closed. */
export function connectSimulatedDevice(options: { url: string; key: string; ca?: string }): Promise<Device> {
  return openDevice({ ...options, agent: 'kymo-simulator', store: memoryStore({ maxBytes: STORE_BYTES }) });
}
