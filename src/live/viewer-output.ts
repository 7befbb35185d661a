/**
 * Owns the way out to one viewer and the count of what is unsent: in all, which decides whether the viewer is skipped,
 * and of replies alone, which have their own smaller bound, since they are never dropped. Crossing it is an overflow.
 */

import type { Clock } from '#base/clock.ts';
import type { HubMessage } from '#contract/live-messages.ts';
import type { HubCounters } from '#live/counters.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import { encodeControl } from '#live/outgoing.ts';
import type { Outgoing, Transport } from '#live/transport.ts';

export interface ViewerOutput {
  readonly unsentBytes: number;
  /** When something was written last. */
  readonly writtenMs: number;
  send(items: readonly Outgoing[], bytes: number): void;
  /** Sends at once, ahead of the next tick. */
  reply(message: HubMessage): void;
  /** Nothing is written from now on. */
  stop(): void;
}

export interface OutputContext {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly limits: HubLimits;
  readonly counters: HubCounters;
  /** Less than half of the high-water mark is unsent, after a write left. */
  readonly drained: () => void;
  readonly overflow: () => void;
}

export function createViewerOutput(transport: Transport, context: OutputContext): ViewerOutput {
  const { clock, limits, counters, drained, overflow } = context;
  let isStopped = false;
  let unsentBytes = 0;
  let unsentControlBytes = 0;
  let writtenMs = clock.monotonicMs();

  const write = (items: readonly Outgoing[], bytes: number, controlBytes: number): void => {
    unsentBytes += bytes;
    unsentControlBytes += controlBytes;
    writtenMs = clock.monotonicMs();
    counters.writes++;
    counters.bytesSent += bytes;
    counters.messagesSent += items.length;
    transport.write(items, () => {
      unsentBytes -= bytes;
      unsentControlBytes -= controlBytes;
      if (!isStopped && unsentBytes <= limits.highWaterBytes / 2) drained();
    });
  };
  return {
    get unsentBytes() {
      return unsentBytes;
    },
    get writtenMs() {
      return writtenMs;
    },
    send(items, bytes) {
      if (!isStopped) write(items, bytes, 0);
    },
    reply(message) {
      if (isStopped) return;
      const item = encodeControl(message);
      const bytes = item.framed.length;
      if (unsentControlBytes + bytes > limits.controlUnsentBytes) overflow();
      else write([item], bytes, bytes);
    },
    stop() {
      isStopped = true;
    },
  };
}
