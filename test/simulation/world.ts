/**
 * Owns a simulated world: devices, viewers, servers, a network and a database, all on one scheduler, from one seed.
 */

import type { DeviceTiming } from '#sdk/device-state.ts';
import type { GatewayConfig } from '#ingest/gateway.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import type { WriterConfig } from '#store/writer-machine.ts';
import { createDatabaseModel } from '#test/simulation/database/database-model.ts';
import type { DatabaseModel } from '#test/simulation/database/database-types.ts';
import { createDeviceNode, type DeviceNode, type DevicePlan } from '#test/simulation/device-node.ts';
import { createNetwork, type Network } from '#test/simulation/network.ts';
import type { WorldObserver } from '#test/simulation/observer.ts';
import { createScheduler, type Scheduler } from '#test/simulation/scheduler.ts';
import { createServerNode, type ServerCore, type ServerNode } from '#test/simulation/server-node.ts';
import { createViewerNode, type ViewerNode, type ViewerPlan } from '#test/simulation/viewer-node.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly servers: number;
  readonly devices: readonly DevicePlan[];
  readonly viewers: readonly ViewerPlan[];
  readonly gateway?: Partial<GatewayConfig>;
  readonly writer?: Partial<WriterConfig>;
  readonly timing?: Partial<DeviceTiming>;
  readonly hub?: Partial<HubLimits>;
  /** Of one way, until `network.setLatency`. */
  readonly latencyMs: readonly [number, number];
  /** Between two passes of the roll-up keeper. Default 2000, as in the server; null: none. */
  readonly rollUpMs?: number | null;
}

/** Everything runs from the start; readings come once `record` was called. */
export interface World {
  readonly scheduler: Scheduler;
  readonly database: DatabaseModel;
  readonly network: Network;
  readonly servers: readonly ServerNode[];
  /** Clones are added at the end. */
  readonly devices: readonly DeviceNode[];
  readonly viewers: readonly ViewerNode[];
}

const ROLL_UP_MS = 2000;

/** Draws ids and epochs from the platform's entropy: seed that before (seeded-entropy.ts). */
export function createWorld(options: WorldOptions, observer: WorldObserver): World {
  const scheduler = createScheduler(options.seed);
  const database = createDatabaseModel(scheduler);
  const servers: ServerCore[] = [];
  const network = createNetwork(scheduler, options.latencyMs, servers);
  const context = { scheduler, network, observer };
  const { gateway = {}, writer = {}, hub = {}, timing = {}, rollUpMs = ROLL_UP_MS } = options;
  for (let index = 0; index < options.servers; index++)
    servers.push(
      createServerNode({
        ...context,
        index,
        database,
        gateway,
        writer,
        hub,
        hasHub: options.viewers.length > 0,
        rollUpMs,
      }),
    );
  const orgIds = new Map<string, string>();
  const orgIdOf = (name: string): string => {
    const id = orgIds.get(name) ?? uuidOf('a000', orgIds.size);
    orgIds.set(name, id);
    return id;
  };
  let lastReading = 0;
  const devices: DeviceNode[] = [];
  for (const [index, plan] of options.devices.entries()) {
    const identity = { deviceId: uuidOf('8000', index), orgId: orgIdOf(plan.org) };
    const key = keyOf(index);
    database.faults.addDevice(key, identity);
    devices.push(
      createDeviceNode({
        ...context,
        plan,
        key,
        identity,
        timing,
        nextReadingId: () => ++lastReading,
        added: (clone) => void devices.push(clone),
      }),
    );
  }
  const viewers = options.viewers.map((plan) =>
    createViewerNode({ ...context, plan, orgId: orgIdOf(plan.org), device: devices[plan.device]! }),
  );
  for (const server of servers) server.start();
  for (const device of devices) device.boot();
  for (const viewer of viewers) viewer.boot();
  return { scheduler, database, network: network.faults, servers, devices, viewers };
}

function uuidOf(group: string, index: number): string {
  return `00000000-0000-4000-${group}-${String(index).padStart(12, '0')}`;
}

/** As src/identity/keys.ts forms them. */
function keyOf(index: number): string {
  return `kd_${String(index).padStart(43, '0')}`;
}
