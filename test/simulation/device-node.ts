/**
 * Owns a simulated device: a machine with a clock and a disk, and on it processes that run the real device runtime over
 * the real store.
 */

import type { DeviceIdentity } from '#contract/readings.ts';
import type { Device } from '#sdk/device-runtime.ts';
import type { DeviceStore } from '#sdk/device-store.ts';
import type { Process, SimulatedClock } from '#test/simulation/scheduler.ts';

export interface StreamPlan {
  /** 2 to 32: the first two say which reading it is. */
  readonly axes: number;
  readonly rateHz: number;
  /** Readings of one `push`; a push comes every `readingsPerPush / rateHz` seconds. */
  readonly readingsPerPush: number;
}

export interface DevicePlan {
  readonly name: string;
  readonly store: 'memory' | 'file';
  /** At least 4 KiB in memory, 256 KiB in files. */
  readonly maxBytes: number;
  readonly streams: readonly StreamPlan[];
  /** Default `device`. */
  readonly clock?: 'device' | 'none';
  readonly org: string;
}

/** What ends the process leaves the machine down until `boot`. What needs a process does nothing while there is none. */
export interface DeviceNode {
  readonly name: string;
  readonly identity: DeviceIdentity;
  readonly clock: SimulatedClock;
  /** Null: not running. */
  readonly process: Process | null;
  readonly device: Device | null;
  readonly store: DeviceStore | null;
  /** Of all streams of this device, also those to come. */
  readonly sessionId: string;
  /** A process starts, opens the store, and goes on with the streams that were recording. Does nothing when one runs. */
  boot(): void;
  /** The process dies, the page cache survives. A memory store is gone. */
  kill(): void;
  /** What was not synced goes, up to so many bytes of each file. The server hears nothing. */
  losePower(unsyncedBytes: number): void;
  /** Ends the process and flips so many bytes at the end of the newest file. */
  corruptTail(bytes: number): void;
  /** Ends the process and replaces the storage by an empty one. */
  wipe(): void;
  /** A copy of the store, as a process's death would leave it, boots beside it under the same identity. */
  clone(): DeviceNode;
  /** What the disk may still take; null: without end. File stores only. */
  setDiskRoom(bytes: number | null): void;
  /** Stream number `stream` of the plan records from now on; after `end`, under a new id. */
  record(stream: number): void;
  pause(stream: number): void;
  end(stream: number): void;
  /** The sensor fails to give `count` readings. */
  lose(stream: number, count: number): void;
  /**
   * A newer program gives the stream one axis more under its old id: the process starts again with it. When store or
   * server refuse that, the program goes on under a new id.
   */
  reopenWithOtherAxes(stream: number): void;
}
