/**
 * Owns the channel of class live that carries readings in binary messages: the ticks of a session's readings, newest wins, and beside them what the store has
 * committed, the newest per (stream, epoch). A tick is encoded once for all viewers. Ticks are kept for viewers that
 * lag only, bounded in number and bytes, oldest out first; a viewer sees what it missed as a jump of the offset.
 */

import { Type } from 'typebox';
import { Compile } from 'typebox/compile';

import { Progress } from '#contract/live-messages.ts';
import { limits as protocolLimits } from '#protocol/limits.ts';
import type { Batch, Channel, ChannelContext, ChannelSeat, Cursor, Pulled } from '#live/channel.ts';
import { createNewestRing } from '#live/newest-ring.ts';
import { encodeControl, encodeTick } from '#live/outgoing.ts';
import type { Outgoing } from '#live/transport.ts';

const progressList = Compile(Type.Array(Progress, { maxItems: protocolLimits.streamsPerConnection }));

export function createReadingsChannel(seat: ChannelSeat, context: ChannelContext): Channel {
  const { counters, limits } = context;
  const { bus } = context.channels;
  const ticks = createTicks(seat, context);
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
  // A session's id is its own in all organisations, so the topics of ingest do without them.
  const stopProgress = bus.subscribe(seat.name.replace(/readings$/, 'committed'), (payload) => {
    counters.busPayloads++;
    if (payload.length > limits.payloadBytes) counters.busOversized++;
    else if (progress.learn(payload)) seat.changed();
    else counters.busMalformed++;
  });
  return {
    name: seat.name,
    number: seat.number,
    lossClass: 'live',
    async start() {
      // The readings begin with the next tick; the progress begins with all that is known of it.
      const cursor = { offset: ticks.ring.newestOffset, revision: 0, generation: 0, isCaughtUp: true };
      return { cursor, position: null, isRecovered: null };
    },
    positionOf: () => null,
    seal: ticks.seal,
    pull(cursor, batch) {
      const pulled = ticks.ring.pull(cursor, batch);
      return pulled === 'all' ? progress.pull(cursor, batch) : pulled;
    },
    isBehind: () => false,
    release: ticks.ring.clear,
    look: () => undefined,
    stop() {
      stopReadings();
      stopProgress();
    },
  };
}

function createTicks(seat: ChannelSeat, { clock, counters, limits }: ChannelContext) {
  const ring = createNewestRing({ items: limits.ringTicks, bytes: limits.ringBytes, counters });
  let collected: Uint8Array[] = [];
  let collectedBytes = 0;

  const seal = (): void => {
    if (collected.length === 0) return;
    const header = { channel: seat.number, offset: ring.newestOffset + 1, publishedUs: clock.nowUs() };
    const item = encodeTick(seat.name, header, collected);
    collected = [];
    collectedBytes = 0;
    ring.push(item);
  };
  return {
    ring,
    seal,
    collect(payload: Uint8Array): void {
      if (collectedBytes + payload.length > limits.tickBytes) seal();
      collected.push(payload);
      collectedBytes += payload.length;
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
    pull(cursor: Cursor, batch: Batch): Pulled {
      if (cursor.revision === revision) return 'all';
      const item = encodeSince(cursor.revision);
      if (batch.bytes > 0 && batch.bytes + item.framed.length > batch.maxBytes) return 'more';
      batch.items.push(item);
      batch.bytes += item.framed.length;
      cursor.revision = revision;
      return 'all';
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
