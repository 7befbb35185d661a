/**
 * Owns a channel of class live: the ticks of a session's readings, newest wins, and beside them what the store has
 * committed, the newest per (stream, epoch). A tick is encoded once for all viewers. Ticks are kept for viewers that
 * lag only, bounded in number and bytes, oldest out first; a viewer sees what it missed as a jump of the offset.
 */

import { Type } from 'typebox';
import { Compile } from 'typebox/compile';

import { Progress } from '#contract/live-messages.ts';
import { limits as protocolLimits } from '#protocol/limits.ts';
import type { Batch, Channel, ChannelContext, ChannelSeat, Cursor } from '#live/channel.ts';
import { encodeControl, encodeTick } from '#live/outgoing.ts';
import type { Outgoing } from '#live/transport.ts';

interface Tick {
  readonly offset: number;
  readonly item: Outgoing;
}

const progressList = Compile(Type.Array(Progress, { maxItems: protocolLimits.streamsPerConnection }));

export function createLiveChannel(
  seat: ChannelSeat,
  context: ChannelContext,
  progressTopic: string,
): Channel {
  const { bus, counters, limits } = context;
  const ticks = createTickRing(seat, context);
  const progress = createProgressState(seat, context);

  const stopReadings = bus.subscribe(seat.name, (payload) => {
    counters.busPayloads++;
    if (payload.length > limits.payloadBytes) {
      counters.busOversized++;
      return;
    }
    if (payload.length === 0) return;
    ticks.collect(payload);
    seat.changed();
  });
  const stopProgress = bus.subscribe(progressTopic, (payload) => {
    counters.busPayloads++;
    if (payload.length > limits.payloadBytes) counters.busOversized++;
    else if (progress.learn(payload)) seat.changed();
    else counters.busMalformed++;
  });
  return {
    name: seat.name,
    number: seat.number,
    // The readings begin with the next tick; the progress begins with all that is known of it.
    start: () => ({ offset: ticks.newestOffset(), revision: 0 }),
    seal: ticks.seal,
    pull(cursor, batch) {
      return ticks.pull(cursor, batch) && progress.pull(cursor, batch);
    },
    release: ticks.clear,
    stop() {
      stopReadings();
      stopProgress();
    },
  };
}

function createTickRing(seat: ChannelSeat, { clock, counters, limits }: ChannelContext) {
  const ring: Tick[] = [];
  let ringBytes = 0;
  let newestOffset = 0;
  let collected: Uint8Array[] = [];
  let collectedBytes = 0;

  const seal = (): void => {
    if (collected.length === 0) return;
    newestOffset++;
    const header = { channel: seat.number, offset: newestOffset, publishedUs: clock.nowUs() };
    const item = encodeTick(seat.name, header, collected);
    collected = [];
    collectedBytes = 0;
    counters.ticks++;
    ring.push({ offset: newestOffset, item });
    ringBytes += item.framed.length;
    while (ring.length > 1 && (ring.length > limits.ringTicks || ringBytes > limits.ringBytes)) {
      ringBytes -= ring.shift()!.item.framed.length;
      counters.ticksEvicted++;
    }
  };
  return {
    seal,
    newestOffset: () => newestOffset,
    collect(payload: Uint8Array): void {
      if (collectedBytes + payload.length > limits.tickBytes) seal();
      collected.push(payload);
      collectedBytes += payload.length;
    },
    clear(): void {
      ring.length = 0;
      ringBytes = 0;
    },
    /** Newest wins: the longest run of newest ticks that fits. Only a batch that is still empty may be exceeded. */
    pull(cursor: Cursor, batch: Batch): boolean {
      if (cursor.offset === newestOffset) return true;
      let first = ring.length;
      let bytes = batch.bytes;
      while (first > 0 && ring[first - 1]!.offset > cursor.offset) {
        const next = bytes + ring[first - 1]!.item.framed.length;
        if (next > batch.maxBytes && bytes > 0) break;
        bytes = next;
        first--;
      }
      if (first === ring.length) return false;
      for (let i = first; i < ring.length; i++) batch.items.push(ring[i]!.item);
      batch.bytes = bytes;
      counters.ticksSkipped += ring[first]!.offset - cursor.offset - 1;
      cursor.offset = newestOffset;
      return true;
    },
  };
}

function createProgressState(seat: ChannelSeat, { counters, limits }: ChannelContext) {
  // In the order of change, so that the first entry is the one that changed longest ago.
  const entries = new Map<string, { readonly progress: Progress; readonly revision: number }>();
  let revision = 0;
  let cached: { readonly from: number; readonly to: number; readonly item: Outgoing } | undefined;

  const encodeSince = (from: number): Outgoing => {
    if (cached !== undefined && cached.from === from && cached.to === revision) return cached.item;
    const streams: Progress[] = [];
    for (const entry of entries.values()) if (entry.revision > from) streams.push(entry.progress);
    const item = encodeControl({ type: 'committed', channel: seat.number, streams });
    cached = { from, to: revision, item };
    return item;
  };
  return {
    /** False when the payload is not a list of progress. */
    learn(payload: Uint8Array): boolean {
      const list = parseProgress(payload);
      if (list === null) return false;
      revision++;
      for (const progress of list) {
        const key = `${progress.stream}/${progress.epoch}`;
        entries.delete(key);
        entries.set(key, { progress, revision });
      }
      for (const key of entries.keys()) {
        if (entries.size <= limits.progressEntries) break;
        entries.delete(key);
        counters.progressEvicted++;
      }
      return true;
    },
    pull(cursor: Cursor, batch: Batch): boolean {
      if (cursor.revision === revision) return true;
      const item = encodeSince(cursor.revision);
      if (batch.bytes > 0 && batch.bytes + item.framed.length > batch.maxBytes) return false;
      batch.items.push(item);
      batch.bytes += item.framed.length;
      cursor.revision = revision;
      return true;
    },
  };
}

function parseProgress(payload: Uint8Array): Progress[] | null {
  try {
    const value: unknown = JSON.parse(
      Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString(),
    );
    return progressList.Check(value) ? value : null;
  } catch {
    return null;
  }
}
