/**
 * Owns the judgement of every bound that a part of the product promises, looked at regularly while a history runs: credit,
 * buffers, connections, device stores, ranges, viewers; and how often a device connects.
 */

import { sizeOf, union } from '#base/ranges.ts';
import { defaultGatewayConfig } from '#ingest/gateway.ts';
import { limits } from '#protocol/limits.ts';
import { storeLimits } from '#sdk/device-store.ts';
import type { DevicePhase } from '#sdk/device-state.ts';
import { defaultWriterConfig } from '#store/writer-machine.ts';
import type { DeviceNode } from '#test/simulation/device-node.ts';
import type { Scenario } from '#test/simulation/scenario.ts';
import type { ServerNode } from '#test/simulation/server-node.ts';
import type { World } from '#test/simulation/world.ts';
import type { Verdict } from '#test/simulation/oracle/verdict.ts';

export interface BoundsCheck {
  look(): void;
  entered(device: DeviceNode, phase: DevicePhase): void;
  /** A process that begins may connect at once. */
  booted(device: DeviceNode): void;
}

export interface BoundsOptions {
  readonly world: World;
  readonly scenario: Scenario;
  readonly verdict: Verdict;
}

/**
 * Attempts of one process within STORM_MS: the waits are drawn from 0 to 250 ms times a power of two, so seven bring the
 * mean wait to half a minute, and one that draws short waits again and again makes a dozen.
 */
const STORM_ATTEMPTS = 30;
const STORM_MS = 10_000;
/** Without anybody connected the database has stored everything by then, unless it stands still. */
const UNUSED_MS = 5_000;

export function createBoundsCheck({ world, scenario, verdict }: BoundsOptions): BoundsCheck {
  const attempts = new Map<DeviceNode, number[]>();
  const unusedSinceMs = new WeakMap<object, number>();
  const gatewayConfig = { ...defaultGatewayConfig, ...scenario.gateway };
  const writerConfig = { ...defaultWriterConfig, ...scenario.writer };

  function lookAtServer({ index, gateway, writer, hub, process }: ServerNode): void {
    if (process === null || gateway === null) return;
    const { credit, buffers, connections } = gateway.statistics;
    const name = `server ${index}`;
    if (credit.reservedBytes > credit.totalBytes || credit.reservedBytes < 0)
      verdict.fail(
        'bounds',
        `${name} has granted ${credit.reservedBytes} of ${credit.totalBytes} bytes of credit`,
      );
    if (credit.totalBytes !== gatewayConfig.creditPoolBytes)
      verdict.fail('bounds', `${name} has a pool of ${credit.totalBytes} bytes`);
    lookAtUnused(process, connections === 0 && buffers === 0 ? credit.reservedBytes : 0, name);
    // Openings that are under way when the last place is taken may each make one more.
    if (buffers > gatewayConfig.maxBuffers + limits.streamsPerConnection)
      verdict.fail('bounds', `${name} has ${buffers} stream buffers of ${gatewayConfig.maxBuffers}`);
    // A connection that nobody closed is given up after three heartbeats, and few begin in that time.
    if (connections > world.devices.length * STORM_ATTEMPTS * 2)
      verdict.fail('bounds', `${name} has ${connections} connections of ${world.devices.length} devices`);
    if (writer !== null) {
      const { heldReadings } = writer;
      // The last frame taken may reach over it.
      if (heldReadings > writerConfig.batchReadings + limits.readingsPerFrame)
        verdict.fail(
          'bounds',
          `the writer of ${name} holds ${heldReadings} readings of ${writerConfig.batchReadings}`,
        );
    }
    const { fullestBuffer } = gateway.statistics;
    if (fullestBuffer > 1)
      verdict.fail('bounds', `a stream buffer of ${name} is ${fullestBuffer} times full`);
    if (hub === null) return;
    const { viewers, channels, subscriptions } = hub.counters;
    if (
      viewers > scenario.viewers.length * STORM_ATTEMPTS ||
      subscriptions > viewers ||
      channels > subscriptions
    )
      verdict.fail(
        'bounds',
        `${name} has ${viewers} viewers, ${subscriptions} subscriptions, ${channels} channels`,
      );
  }

  /** Frames of a stream that was given up may be on their way into the database still. */
  function lookAtUnused(process: object, bytes: number, name: string): void {
    const { nowMs } = world.scheduler;
    if (bytes === 0) unusedSinceMs.delete(process);
    else if (!unusedSinceMs.has(process)) unusedSinceMs.set(process, nowMs);
    else if (nowMs - unusedSinceMs.get(process)! > UNUSED_MS)
      verdict.fail('bounds', `${name} has granted ${bytes} bytes of credit to nobody`);
  }

  function lookAtDevice({ name, store, process }: DeviceNode): void {
    if (process === null || store === null) return;
    const { bytes, maxBytes } = store.status();
    if (bytes > maxBytes) verdict.fail('bounds', `the store of ${name} holds ${bytes} of ${maxBytes} bytes`);
    const logs = store.logs();
    if (logs.length > storeLimits.logs)
      verdict.fail('bounds', `the store of ${name} has ${logs.length} logs`);
    for (const log of logs)
      if (log.losses.length > storeLimits.lossesPerLog)
        verdict.fail('bounds', `${name} keeps ${log.losses.length} losses of one epoch`);
  }

  function lookAtRanges(): void {
    for (const [key, { committed, lost }] of world.database.tables.epochs) {
      if (committed.length + lost.length <= limits.fragmentsPerEpoch) continue;
      const fragments = union(committed, lost).length;
      if (fragments > limits.fragmentsPerEpoch || committed.length > limits.rangesPerEpoch)
        verdict.fail('bounds', `${key} has ${fragments} fragments of ${sizeOf(committed)} readings`);
    }
  }

  return {
    look() {
      for (const server of world.servers) lookAtServer(server);
      for (const device of world.devices) lookAtDevice(device);
      lookAtRanges();
    },
    entered(device, phase) {
      if (phase !== 'connecting') return;
      const nowMs = world.scheduler.nowMs;
      const times = attempts.get(device) ?? [];
      attempts.set(device, times);
      times.push(nowMs);
      while (times[0]! < nowMs - STORM_MS) times.shift();
      if (times.length > STORM_ATTEMPTS)
        verdict.fail(
          'no connection storm',
          `${device.name} connected ${times.length} times in ${STORM_MS / 1000} s`,
        );
    },
    booted: (device) => void attempts.delete(device),
  };
}
