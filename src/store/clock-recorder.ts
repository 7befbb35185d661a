/**
 * Owns the clock observations of devices on their way to the database: gathered for a second and written in one
 * statement an organisation, since 500 devices measure 50 times a second. Bound: WAITING observations; beyond that the
 * oldest go, counted. They improve the mapping of times; losing some costs accuracy, never data.
 */

import { createBoundedQueue } from '#base/bounded-queue.ts';
import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import { runAsOrg, type Pools } from '#store/pools.ts';

/** Ten thousand devices that connect within a second. */
const WAITING = 10_000;
const WRITE_MS = 1_000;

export interface ClockObservation {
  readonly deviceUs: number;
  /** Server time = device time + offsetUs. */
  readonly offsetUs: number;
  readonly roundTripUs: number;
}

interface Waiting extends ClockObservation {
  readonly device: DeviceIdentity;
  readonly observedAtUs: number;
}

export interface ClockRecorder {
  record(device: DeviceIdentity, observation: ClockObservation): void;
  /** Writes what waits. */
  flush(): Promise<void>;
  /** Observations that found no room. */
  readonly dropped: number;
}

export function createClockRecorder(options: { app: Pools['app']; clock: Clock; log: Log }): ClockRecorder {
  const { app, clock, log } = options;
  const waiting = createBoundedQueue<Waiting>(WAITING);
  let cancel: (() => void) | null = null;

  async function flush(): Promise<void> {
    cancel?.();
    cancel = null;
    const byOrg = new Map<string, Waiting[]>();
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const list = byOrg.get(next.device.orgId) ?? [];
      byOrg.set(next.device.orgId, list);
      list.push(next);
    }
    for (const [orgId, list] of byOrg)
      try {
        await runAsOrg(app, orgId, {
          statements: [insertStatement(orgId, list)],
          mode: 'change',
          durability: 'later',
        });
      } catch (error) {
        log.warn('clock observations could not be stored', { count: list.length, error: messageOf(error) });
      }
  }

  return {
    record(device, observation) {
      waiting.push({ ...observation, device, observedAtUs: clock.nowUs() });
      cancel ??= clock.after(WRITE_MS, () => void flush());
    },
    flush,
    get dropped() {
      return waiting.dropped;
    },
  };
}

function insertStatement(orgId: string, list: readonly Waiting[]) {
  return {
    name: 'record-clocks',
    text: `insert into kymo.clock_observation (org_id, device_id, observed_at, device_us, offset_us, round_trip_us)
      select $1, device_id, to_timestamp(at_us / 1e6), device_us, offset_us, round_trip_us
        from unnest($2::uuid[], $3::int8[], $4::int8[], $5::int8[], $6::int8[])
          o(device_id, at_us, device_us, offset_us, round_trip_us)`,
    values: [
      orgId,
      list.map((one) => one.device.deviceId),
      list.map((one) => one.observedAtUs),
      list.map((one) => one.deviceUs),
      list.map((one) => one.offsetUs),
      list.map((one) => one.roundTripUs),
    ],
  };
}
