/**
 * Owns what one connection knows of one log: the reference, and which numbers were sent on it. Invariant: everything
 * below `replaySeq` is settled, was sent on this connection, or is not held. Bound: SENT_RANGES ranges beyond; more
 * forget the oldest of them, which costs sending it twice and nothing else.
 */

import { crc32 } from '#protocol/crc32.ts';
import { firstMissing, intersect, subtract, union, type RangeSet } from '#base/ranges.ts';
import type { DeviceMessage } from '#protocol/messages.ts';
import { heldStatement, type Search } from '#sdk/device-comparison.ts';
import { cutFrame } from '#sdk/device-frame.ts';
import type { DeviceLog, DeviceStore, Loss, StoredFrame } from '#sdk/device-store.ts';

/** Each interruption of the durable credit leaves one; the replay closes the oldest first. */
export const SENT_RANGES = 64;

export interface Channel {
  readonly ref: number;
  /** `refused`: the server does not take this stream on this connection. */
  state: 'opening' | 'open' | 'refused';
  replaySeq: number;
  /** Sent on this connection, beyond replaySeq. */
  sentAbove: RangeSet;
  /** Losses stated on this connection. */
  stated: RangeSet;
  isCloseSent: boolean;
  /** When to ask for the stream again after a temporary refusal; Infinity for never on this connection. */
  retryAtMs: number;
  refusals: number;
  /** When it last began again at the oldest gap. */
  rewoundAtMs: number;
  /** While it is looked for where the server's readings begin to be another's. */
  search: Search | null;
  /** The oldest number that is not settled, and since when it is that one. */
  oldest: { readonly seq: number; readonly sinceMs: number };
}

export function newChannel(ref: number): Channel {
  return {
    ref,
    state: 'opening',
    replaySeq: 0,
    sentAbove: [],
    stated: [],
    isCloseSent: false,
    retryAtMs: Number.POSITIVE_INFINITY,
    refusals: 0,
    rewoundAtMs: Number.NEGATIVE_INFINITY,
    search: null,
    oldest: { seq: -1, sinceMs: 0 },
  };
}

/** `below`: only what is held below is to be compared. */
export function openMessage(
  store: DeviceStore,
  log: DeviceLog,
  { ref, below = log.nextSeq }: { ref: number; below?: number },
): DeviceMessage {
  const newest = newestAcknowledged(store, log);
  const held = heldStatement(store, log, below);
  return {
    type: 'open',
    ref,
    epoch: log.epoch,
    definition: log.definition,
    ...(newest === null ? {} : { newest }),
    ...(held.length === 0 ? {} : { held }),
    ...(log.previousStoreLost ? { previousStoreLost: true } : {}),
  };
}

/** The newest reading that is settled, held, and was not declared lost, with the CRC-32 of its packed axes. */
function newestAcknowledged(store: DeviceStore, log: DeviceLog): { seq: number; crc32: number } | null {
  const given = intersect(log.settled, [{ from: 0, to: log.nextSeq }]);
  const known = subtract(intersect(given, store.held(log)), log.losses);
  const seq = (known.at(-1)?.to ?? 0) - 1;
  const frame = seq < 0 ? undefined : store.read(log, seq, 0)[0];
  if (frame === undefined || frame.firstSeq > seq) return null;
  return { seq, crc32: crc32(cutFrame(frame, seq, seq + 1).payload) };
}

/** Notes that [from, to) was sent to be stored. */
export function markSent(channel: Channel, from: number, to: number): void {
  if (from > channel.replaySeq) {
    const all = union(channel.sentAbove, [{ from, to }]);
    channel.sentAbove = all.length > SENT_RANGES ? all.slice(1) : all;
    return;
  }
  channel.replaySeq = Math.max(channel.replaySeq, to);
  absorb(channel);
}

function absorb(channel: Channel): void {
  let absorbed = 0;
  for (const range of channel.sentAbove) {
    if (range.from > channel.replaySeq) break;
    channel.replaySeq = Math.max(channel.replaySeq, range.to);
    absorbed++;
  }
  if (absorbed > 0) channel.sentAbove = channel.sentAbove.slice(absorbed);
}

export function wasSent(channel: Channel, seq: number): boolean {
  return seq < channel.replaySeq || channel.sentAbove.some((r) => r.from <= seq && seq < r.to);
}

/** Notes that the server lost everything it had from `fromSeq` on and had not settled. */
export function markRewound(channel: Channel, fromSeq: number): void {
  channel.sentAbove =
    channel.replaySeq > fromSeq ? [] : intersect(channel.sentAbove, [{ from: 0, to: fromSeq }]);
  channel.replaySeq = Math.min(channel.replaySeq, fromSeq);
}

/**
 * Sends and states again what should be long settled: the server let go of it and did not say so, or the disk did not
 * give it back when it was its turn. Other streams, and newer readings of this one, may be acknowledged all the while.
 */
export function beginAgainWhenStuck(
  log: DeviceLog,
  channel: Channel,
  { nowMs, stallMs, progressMs }: { nowMs: number; stallMs: number; progressMs: number },
): boolean {
  const seq = firstMissing(log.settled);
  if (channel.state !== 'open' || seq >= Math.min(channel.replaySeq, log.nextSeq)) return false;
  if (seq !== channel.oldest.seq) channel.oldest = { seq, sinceMs: nowMs };
  // Where nothing at all was heard since, the connection is what is stuck, and it is left.
  if (nowMs - channel.oldest.sinceMs <= stallMs || progressMs <= channel.oldest.sinceMs) return false;
  channel.oldest = { seq, sinceMs: nowMs };
  channel.stated = [];
  markRewound(channel, seq);
  return true;
}

/** Notes that the settled set shrank to `next`: what was sent but was settled before must be sent again. */
export function markRegressed(channel: Channel, before: RangeSet, next: number): void {
  if (next >= channel.replaySeq) return;
  const inFlight = subtract([{ from: next, to: channel.replaySeq }], before);
  channel.sentAbove = union(inFlight, channel.sentAbove);
  channel.replaySeq = next;
  absorb(channel);
}

/**
 * Held readings that are neither settled nor sent on this connection, oldest first, as whole frames or parts of
 * frames, about `maxBytes` of payload. Moves replaySeq over what needs no sending; the caller calls `markReplayed` for
 * each piece that it sends, in order.
 */
export function unsent(
  store: DeviceStore,
  log: DeviceLog,
  channel: Channel,
  maxBytes: number,
): StoredFrame[] {
  while (channel.replaySeq < log.nextSeq) {
    const open = subtract([{ from: channel.replaySeq, to: log.nextSeq }], log.settled);
    const todo = subtract(open, channel.sentAbove);
    const frames = todo.length === 0 ? [] : store.read(log, todo[0]!.from, maxBytes);
    const pieces: StoredFrame[] = [];
    for (const frame of frames)
      for (const range of intersect([{ from: frame.firstSeq, to: frame.firstSeq + frame.count }], todo))
        pieces.push(cutFrame(frame, range.from, range.to));
    if (pieces.length > 0) return pieces;
    // Numbers between held frames are losses, which their tombstones state.
    const last = frames.at(-1);
    channel.replaySeq = last === undefined ? log.nextSeq : last.firstSeq + last.count;
    absorb(channel);
  }
  return [];
}

/** Notes that a piece of `unsent` was sent: nothing below its end is left to send. */
export function markReplayed(channel: Channel, piece: StoredFrame): void {
  channel.replaySeq = Math.max(channel.replaySeq, piece.firstSeq + piece.count);
  absorb(channel);
}

/**
 * Losses that are neither settled nor stated on this connection, as messages, as long as `mayState` says so; notes them
 * as stated.
 */
export function unstatedLosses(log: DeviceLog, channel: Channel, mayState: () => boolean): Loss[] {
  const unstated = log.losses.flatMap((loss) =>
    subtract(subtract([loss], log.settled), channel.stated).map((range) => ({
      ...range,
      reason: loss.reason,
    })),
  );
  const end = unstated.findIndex(() => !mayState());
  const out = end < 0 ? unstated : unstated.slice(0, end);
  channel.stated = union(channel.stated, out);
  return out;
}

/** True while something that was sent on this connection waits for its acknowledgement. */
export function isWaiting(log: DeviceLog, channel: Channel): boolean {
  if (channel.state === 'opening') return true;
  if (channel.state === 'refused') return false;
  return (
    firstMissing(log.settled) < Math.min(channel.replaySeq, log.nextSeq) ||
    subtract(channel.sentAbove, log.settled).length > 0
  );
}
