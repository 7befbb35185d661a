/**
 * Owns a simulated world: devices, viewers, servers, a network and a database, all on one scheduler, from one seed.
 */

import type { DeviceTiming } from '#sdk/device-state.ts';
import type { GatewayConfig } from '#ingest/gateway.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import type { WriterConfig } from '#store/writer-machine.ts';
import type { DatabaseModel } from '#test/simulation/database/database-types.ts';
import type { DeviceNode, DevicePlan } from '#test/simulation/device-node.ts';
import type { Network } from '#test/simulation/network.ts';
import type { Scheduler } from '#test/simulation/scheduler.ts';
import type { ServerNode } from '#test/simulation/server-node.ts';
import type { ViewerNode, ViewerPlan } from '#test/simulation/viewer-node.ts';

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
