/**
 * Owns the judgement of how the parts deal with each other, where nothing is stored wrongly yet: a server speaks to one
 * connection of a device only, nothing vanishes between its buffers and its writer, and in a healthy world no connection
 * has to be given up because nothing is acknowledged.
 */

import type { ServerMessage } from '#protocol/messages.ts';
import type { DeviceEvent } from '#sdk/device-state.ts';
import type { DeviceNode } from '#test/simulation/device-node.ts';
import type { Scenario } from '#test/simulation/scenario.ts';
import type { Process } from '#test/simulation/scheduler.ts';
import type { ServerNode } from '#test/simulation/server-node.ts';
import type { World } from '#test/simulation/world.ts';
import type { Verdict } from '#test/simulation/oracle/verdict.ts';

export interface ConductCheck {
  /** `connection`: the function that resolves its references tells it from others. */
  serverSaid(
    server: ServerNode,
    device: DeviceNode,
    said: { message: ServerMessage; connection: object },
  ): void;
  happened(device: DeviceNode, event: DeviceEvent): void;
  look(): void;
  /** Until then, what this device or its servers send may vanish without a word. */
  lineDrops(device: string, untilMs: number): void;
  healed(): void;
}

export interface ConductOptions {
  readonly world: World;
  readonly scenario: Scenario;
  readonly verdict: Verdict;
}

/**
 * From the last fault until everything that waits is acknowledged: the writer's longest pause, the locks of a dead peer,
 * and a few round trips.
 */
const RECOVERY_MS = 15_000;
/** What device-upkeep.ts says. */
const STALLED = 'nothing was acknowledged for too long';

/** The connection that a server process welcomed last, by the device's id. */
type Newest = Map<string, object>;

export function createConductCheck({ world, scenario, verdict }: ConductOptions): ConductCheck {
  // A writer that takes little at a time may have more before it than the device waits for.
  const isStoreQuick = scenario.writer.batchReadings === undefined;
  const newest = new Map<Process, Newest>();
  const wasWelcomed = new WeakSet<object>();
  const droppedUntilMs = new Map<string, number>();
  const welcomedMs = new Map<DeviceNode, number>();
  let healedMs = Number.POSITIVE_INFINITY;

  function speaks(
    server: ServerNode,
    device: DeviceNode,
    said: { message: ServerMessage; connection: object },
  ): void {
    const { process } = server;
    if (process === null) return;
    const known = newest.get(process) ?? new Map<string, object>();
    newest.set(process, known);
    const { deviceId } = device.identity;
    const { message, connection } = said;
    const last = known.get(deviceId);
    if (message.type === 'welcome') {
      known.set(deviceId, connection);
      wasWelcomed.add(connection);
      welcomedMs.set(device, world.scheduler.nowMs);
    } else if (last !== connection && wasWelcomed.has(connection))
      verdict.fail(
        'one connection a device',
        `server ${server.index} says ${message.type} to an older connection of ${device.name}`,
      );
  }

  return {
    serverSaid: speaks,
    happened(device, event) {
      if (event.type !== 'state' || event.phase !== 'waiting' || event.reason !== STALLED) return;
      const { nowMs } = world.scheduler;
      const isHealthy = (welcomedMs.get(device) ?? 0) > (droppedUntilMs.get(device.name) ?? -1);
      if (isStoreQuick && isHealthy && nowMs - healedMs > RECOVERY_MS)
        verdict.fail(
          'nobody waits in vain',
          `${device.name} gave up a connection that lost nothing: ${STALLED}`,
        );
    },
    look() {
      for (const { index, gateway, writer } of world.servers) {
        if (gateway === null || writer === null || writer.phase !== 'idle') continue;
        const { takenBuffers } = gateway.statistics;
        if (takenBuffers > 0)
          verdict.fail(
            'nothing vanishes in a server',
            `the writer of server ${index} took from ${takenBuffers} buffers and has forgotten it`,
          );
      }
    },
    lineDrops: (device, untilMs) =>
      void droppedUntilMs.set(device, Math.max(untilMs, droppedUntilMs.get(device) ?? 0)),
    healed() {
      healedMs = world.scheduler.nowMs;
    },
  };
}
