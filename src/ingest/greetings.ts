/**
 * Owns how many greetings of one device are under way: each draws a generation from the database, and one device that
 * connects in a loop must not keep the others waiting for theirs. Bound: PER_DEVICE, beyond which it is sent away.
 */

import { AppError } from '#base/errors.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import type { Greeting } from '#ingest/gateway-output.ts';

type Greet = (identity: DeviceIdentity) => Promise<Greeting | null>;

/** An honest device has one, and one more that it gave up and the server has not missed yet. */
const PER_DEVICE = 4;

export interface Greetings {
  /** As `IngestBackend.greet`; throws AppError `overloaded` when too many of this device are under way. */
  readonly greet: Greet;
  readonly counters: { refused: number };
}

export function createGreetings(greet: Greet): Greetings {
  const underWay = new Map<string, number>();
  const counters = { refused: 0 };
  return {
    counters,
    async greet(identity) {
      const count = underWay.get(identity.deviceId) ?? 0;
      if (count >= PER_DEVICE) {
        counters.refused++;
        throw new AppError('overloaded', 'this device is being greeted already', { temporary: true });
      }
      underWay.set(identity.deviceId, count + 1);
      try {
        return await greet(identity);
      } finally {
        const left = (underWay.get(identity.deviceId) ?? 1) - 1;
        if (left === 0) underWay.delete(identity.deviceId);
        else underWay.set(identity.deviceId, left);
      }
    },
  };
}
