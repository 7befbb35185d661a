/**
 * Owns the newest publications of one channel, encoded once for all its viewers and without a gap: who follows is a cursor
 * into it. Bounded by `tailMessages` and `tailBytes`, oldest out first; while nobody lags, by the smaller
 * `restingMessages` and `restingBytes`, which spare the broker most of the recoveries.
 */

import type { HubCounters } from '#live/counters.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import type { Outgoing } from '#live/transport.ts';

export interface PublicationTail {
  /** Offset of the newest; also when it is kept no more. */
  readonly newest: number;
  /** Offset of the oldest that is kept; `newest + 1` when none is. */
  readonly first: number;
  /** Must be the one after `newest`. */
  push(item: Outgoing): void;
  /** Null when it is not kept. */
  at(offset: number): Outgoing | null;
  /** Forgets all, and goes on after `newest`. */
  restart(newest: number): void;
  rest(): void;
}

export function createPublicationTail(limits: HubLimits, counters: HubCounters): PublicationTail {
  let items: Outgoing[] = [];
  let bytes = 0;
  let newest = 0;
  const trim = (mostItems: number, mostBytes: number): number => {
    let count = 0;
    while (items.length - count > 1 && (items.length - count > mostItems || bytes > mostBytes))
      bytes -= items[count++]!.framed.length;
    if (count > 0) items.splice(0, count);
    return count;
  };
  const forget = (): void => {
    counters.tailBytes -= bytes;
    items = [];
    bytes = 0;
  };
  return {
    get newest() {
      return newest;
    },
    get first() {
      return newest - items.length + 1;
    },
    push(item) {
      const before = bytes;
      newest++;
      items.push(item);
      bytes += item.framed.length;
      counters.tailEvicted += trim(limits.tailMessages, limits.tailBytes);
      counters.tailBytes += bytes - before;
    },
    at: (offset) => items[offset - newest + items.length - 1] ?? null,
    restart(at) {
      forget();
      newest = at;
    },
    rest() {
      const before = bytes;
      trim(limits.restingMessages, limits.restingBytes);
      counters.tailBytes += bytes - before;
    },
  };
}
