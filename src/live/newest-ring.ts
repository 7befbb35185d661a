/**
 * Owns the ring of a class live channel: the newest items, kept for viewers that lag only, bounded in number and bytes, oldest
 * out first. Who pulls gets the longest run of newest items that fits; what it did not get is counted, not queued.
 */

import type { Batch, Cursor, Pulled } from '#live/channel.ts';
import type { HubCounters } from '#live/counters.ts';
import type { Outgoing } from '#live/transport.ts';

export interface NewestRing {
  readonly newestOffset: number;
  push(item: Outgoing): void;
  clear(): void;
  pull(cursor: Cursor, batch: Batch): Pulled;
}

export interface NewestRingOptions {
  readonly items: number;
  readonly bytes: number;
  readonly counters: HubCounters;
  /** What a viewer gets instead of an item when it was not given `skipped` before it. */
  readonly afterGap?: (item: Outgoing, skipped: number) => Outgoing;
}

export function createNewestRing({ items, bytes, counters, afterGap }: NewestRingOptions): NewestRing {
  const ring: Outgoing[] = [];
  let ringBytes = 0;
  let newestOffset = 0;
  return {
    get newestOffset() {
      return newestOffset;
    },
    push(item) {
      newestOffset++;
      counters.ticks++;
      ring.push(item);
      ringBytes += item.framed.length;
      while (ring.length > 1 && (ring.length > items || ringBytes > bytes)) {
        ringBytes -= ring.shift()!.framed.length;
        counters.ticksEvicted++;
      }
    },
    clear() {
      ring.length = 0;
      ringBytes = 0;
    },
    pull(cursor, batch) {
      if (cursor.offset === newestOffset) return 'all';
      // The ring is contiguous: its item i has this offset.
      const offsetOf = (i: number): number => newestOffset - ring.length + 1 + i;
      let first = ring.length;
      let size = batch.bytes;
      while (first > 0 && offsetOf(first - 1) > cursor.offset) {
        const next = size + ring[first - 1]!.framed.length;
        // Only a batch that is still empty may be exceeded.
        if (next > batch.maxBytes && size > 0) break;
        size = next;
        first--;
      }
      if (first === ring.length) return 'more';
      const skipped = offsetOf(first) - cursor.offset - 1;
      for (let i = first; i < ring.length; i++) batch.items.push(ring[i]!);
      if (skipped > 0 && afterGap !== undefined) {
        const told = afterGap(ring[first]!, skipped);
        batch.items[batch.items.length - ring.length + first] = told;
        size += told.framed.length - ring[first]!.framed.length;
      }
      batch.bytes = size;
      counters.ticksSkipped += skipped;
      cursor.offset = newestOffset;
      return 'all';
    },
  };
}
