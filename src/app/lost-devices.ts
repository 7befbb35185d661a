/**
 * Owns telling an organisation that a device is gone: its connection broke, and LOST_MS later it has none newer, on no
 * instance. At most `maxWaiting` wait; of more at once, nobody could look after each.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { PublishTo } from '#contract/channel-definition.ts';
import type { Greeting } from '#ingest/gateway-output.ts';
import type { DeviceQueries } from '#store/device-queries.ts';
import { notifications } from '#app/channels/notifications.ts';

/** A device tries to come back every 15 s at most (sdk/device-state.ts). */
export const LOST_MS = 30_000;

export interface LostDevices {
  left(device: Greeting): void;
  readonly counters: { readonly told: number; readonly dropped: number };
  close(): void;
}

export function createLostDevices(options: {
  readonly publishAs: PublishTo;
  readonly devices: Pick<DeviceQueries, 'generationOf'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly maxWaiting?: number;
}): LostDevices {
  const { publishAs, devices, clock, log, maxWaiting = 10_000 } = options;
  const counters = { told: 0, dropped: 0 };
  const waiting = new Set<() => void>();

  const tell = async ({ identity, generation }: Greeting): Promise<void> => {
    const { orgId, deviceId } = identity;
    if ((await devices.generationOf(orgId, deviceId)) !== generation) return;
    const message = { event: 'device-lost', data: { device: deviceId } } as const;
    await publishAs(
      notifications,
      { orgId, params: {} },
      { ...message, key: `lost ${deviceId} ${generation}` },
    );
    counters.told++;
  };
  return {
    counters,
    left(device) {
      if (waiting.size >= maxWaiting) return void counters.dropped++;
      const cancel = clock.after(LOST_MS, () => {
        waiting.delete(cancel);
        tell(device).catch((error: unknown) =>
          log.warn('the loss of a device could not be told', { error: messageOf(error) }),
        );
      });
      waiting.add(cancel);
    },
    close() {
      for (const cancel of waiting) cancel();
      waiting.clear();
    },
  };
}
