/**
 * Owns a fleet: many synthetic people, each a device of its own with up to seven sensors, in one process. Run as the
 * main file of a forked process it takes its plan from the parent and reports once a second, so that load never shares
 * an event loop with whoever watches it. Bound: MAX_DEVICES a process, which is what one core feeds at 200 Hz.
 */

import { systemClock as clock } from '#base/clock.ts';
import { assert } from '#base/assert.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { Device } from '#sdk/device-runtime.ts';
import { play } from '#simulator/player.ts';
import type { ReadingSource } from '#simulator/reading-source.ts';
import { typicalErrors } from '#simulator/sensor-errors.ts';
import { connectSimulatedDevice } from '#simulator/simulated-device.ts';
import { createSyntheticWalker, walkerCode, walkerOfSeed } from '#simulator/synthetic-walker.ts';
import { walkerSegments } from '#simulator/walker-body.ts';
import { createWalkerTable, walkerSource, type WalkerTable } from '#simulator/walker-source.ts';

/** Seven sensors at 200 Hz each cost about a tenth of a percent of a core to make and send. */
export const MAX_DEVICES = 1_000;
/** People of a fleet share this many walks, each from another moment and with other sensor errors. */
const WALKS = 4;
const REPORT_MS = 1_000;
const DRAIN_MS = 30_000;

export interface FleetPlan {
  readonly url: string;
  /** A device key for each person. */
  readonly keys: readonly string[];
  /** 1 to 7: how many of the walker's segments carry a sensor. */
  readonly sensors: number;
  readonly rateHz: number;
  readonly seconds: number;
  readonly seed: number;
}

export interface FleetReport {
  readonly connected: number;
  readonly bufferedReadings: number;
  readonly settledReadings: number;
  readonly lostReadings: number;
  /** Set in the last report: whether everything was acknowledged. */
  readonly drained: boolean | null;
}

export async function runFleet(
  plan: FleetPlan,
  options: { signal: AbortSignal; onReport: (report: FleetReport) => void },
): Promise<boolean> {
  assert(plan.keys.length > 0 && plan.keys.length <= MAX_DEVICES, 'a process carries 1 to 1,000 devices');
  assert(plan.sensors >= 1 && plan.sensors <= walkerSegments.length, 'a walker has seven segments');
  const tables = Array.from({ length: Math.min(WALKS, plan.keys.length) }, (_, i) =>
    createWalkerTable(createSyntheticWalker(walkerOfSeed(plan.seed + i, { rateHz: plan.rateHz }))),
  );
  const devices = await Promise.all(plan.keys.map((key) => connectSimulatedDevice({ url: plan.url, key })));
  let cancel = clock.after(REPORT_MS, report);
  function report(): void {
    options.onReport(reportOf(devices, null));
    cancel = clock.after(REPORT_MS, report);
  }
  await Promise.all(
    devices.map((device, i) =>
      play({
        device,
        sources: person(tables[i % tables.length]!, plan, i),
        clock,
        session: uuidv7(clock),
        label: walkerCode(plan.seed + i),
        durationS: plan.seconds,
        signal: options.signal,
      }),
    ),
  );
  const drained = await Promise.all(devices.map((device) => device.drained({ timeoutMs: DRAIN_MS })));
  cancel();
  const isDrained = drained.every(Boolean);
  options.onReport(reportOf(devices, isDrained));
  await Promise.all(devices.map((device) => device.close({ drainMs: 0 })));
  return isDrained;
}

function person(table: WalkerTable, plan: FleetPlan, index: number): ReadingSource[] {
  const { loopReadings } = table.walker;
  return walkerSegments.slice(0, plan.sensors).map((segment, sensor) =>
    walkerSource(table, {
      segment,
      // Spread over the loop by the golden ratio, so that no two people step together.
      firstRow: Math.floor(((index * 0.618_033_988_75) % 1) * loopReadings),
      errors: { model: typicalErrors, seed: plan.seed + index * walkerSegments.length + sensor },
    }),
  );
}

function reportOf(devices: readonly Device[], drained: boolean | null): FleetReport {
  const report = { connected: 0, bufferedReadings: 0, settledReadings: 0, lostReadings: 0 };
  for (const device of devices) {
    const status = device.status();
    if (status.phase === 'online') report.connected++;
    report.bufferedReadings += status.bufferedReadings;
    report.settledReadings += status.settledReadings;
    report.lostReadings += status.lostReadings;
  }
  return { ...report, drained };
}
