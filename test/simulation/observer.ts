/**
 * Owns the words in which a simulated world tells what happens in it, to whoever judges it. All calls are synchronous,
 * in the order in which things happen; what an observer throws ends the run.
 */

import type { Progress } from '#contract/live-messages.ts';
import type { LiveMessage } from '#protocol/live-codec.ts';
import type { DataMessage } from '#protocol/data-codec.ts';
import type { DeviceMessage, ServerMessage } from '#protocol/messages.ts';
import type { DeviceEvent } from '#sdk/device-state.ts';
import type { DeviceNode } from '#test/simulation/device-node.ts';
import type { ServerNode } from '#test/simulation/server-node.ts';
import type { ViewerNode } from '#test/simulation/viewer-node.ts';

/** What a device did, or what was done to it, before its store was opened. The gravest since the boot before. */
export type BootReason = 'boot' | 'kill' | 'power' | 'wipe' | 'corrupt' | 'clone';

export interface PushedReading {
  /** World-unique; `readingContent(id, axes)` is its content. */
  readonly id: number;
  readonly streamId: string;
  readonly sessionId: string;
  /** Device time as it was given to the runtime. */
  readonly timeUs: number;
}

export interface WorldObserver {
  /** The device's program gives this reading to its runtime, in this call of `push`. */
  pushed(device: DeviceNode, reading: PushedReading): void;
  /** The sensor failed to give so many. */
  skipped(device: DeviceNode, streamId: string, count: number): void;
  /**
   * A process of the device opened its store: ids it still holds. What was held before and is not now was lost with power,
   * wipe or corruption.
   */
  booted(device: DeviceNode, held: ReadonlySet<number>, why: BootReason): void;
  /** Every message a server sends to a device, at the moment of sending. `streamKey(ref)`: `${streamId}/${epoch}`. */
  serverSaid(
    server: ServerNode,
    device: DeviceNode,
    message: ServerMessage,
    streamKey: (ref: number) => string | null,
  ): void;
  /** Every message a device sends, at the moment of sending. Frames are views into the message. */
  deviceSaid(device: DeviceNode, server: ServerNode, message: DeviceMessage | DataMessage): void;
  deviceEvent(device: DeviceNode, event: DeviceEvent): void;
  viewerSaw(viewer: ViewerNode, frames: LiveMessage | readonly Progress[]): void;
  /** For the trace: one short line. */
  note(what: string, detail?: Readonly<Record<string, unknown>>): void;
}
