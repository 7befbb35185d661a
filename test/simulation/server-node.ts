/** Owns a simulated server: a machine with a clock, and on it processes that run the real gateway, writer and hub. */

import type { Gateway } from '#ingest/gateway.ts';
import type { Hub } from '#live/hub.ts';
import type { Writer } from '#store/writer.ts';
import type { Process, SimulatedClock } from '#test/simulation/scheduler.ts';

/** A viewer as the hub knows it: it may follow the sessions of its organisation. */
export interface ViewerIdentity {
  readonly name: string;
  readonly orgId: string;
}

export interface ServerNode {
  readonly index: number;
  readonly clock: SimulatedClock;
  /** Null: not running. */
  readonly process: Process | null;
  readonly gateway: Gateway | null;
  readonly writer: Writer | null;
  /** Null also when the world has no viewers. */
  readonly hub: Hub<ViewerIdentity> | null;
  /** A process starts and listens once it has reached the database; while it cannot, it is started anew every second. */
  start(): void;
  /** SIGKILL: its peers hear 1006 after a while. */
  kill(): void;
  /** SIGSTOP: its sockets stay open and take what comes. */
  stop(): void;
  /** SIGCONT. */
  resume(): void;
  /** SIGTERM: devices and viewers are asked to go, what they sent is committed, then the process ends. */
  drain(): void;
}
