/** Owns the connection of a simulated device: the device SDK as anyone uses it, with a store in memory. */

import { AppError } from '#base/errors.ts';
import { openDevice } from '#sdk/device-client.ts';
import type { Device, DeviceCommand } from '#sdk/device-runtime.ts';
import { memoryStore } from '#sdk/memory-store.ts';

/** Forty seconds of seven six-axis sensors at 200 Hz; a fleet of 500 devices then holds at most 1 GB. */
const STORE_BYTES = 2 * 1024 * 1024;

/** Connects to `url` with a device key; it keeps reconnecting until closed. */
export function connectSimulatedDevice(options: { url: string; key: string; ca?: string }): Promise<Device> {
  return openDevice({
    ...options,
    agent: 'kymo-simulator',
    store: memoryStore({ maxBytes: STORE_BYTES }),
    onCommand: obey,
  });
}

/** It has a wearer as little as a motor, and says so; its walk begins and ends by itself. */
function obey({ name }: DeviceCommand): string {
  if (name === 'cue') return 'a simulated device, nobody felt it';
  throw new AppError('invalid-field', `a simulated device knows the command cue, and not ${name}`);
}
