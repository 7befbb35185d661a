/**
 * Owns what a flush sends: new readings first, to be stored while the durable credit lasts, else live-only while the
 * live credit lasts; then replay in its lane. Invariant: neither account is ever overdrawn. Nothing queues here: what
 * is not sent now stays in the store and is found by the replay.
 */

import { assert } from '#base/assert.ts';
import {
  encodeData,
  FRAME_HEADER_BYTES,
  frameBytes,
  MESSAGE_HEADER_BYTES,
  type DataFrame,
} from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';
import { markReplayed, markSent, unsent, wasSent, type Channel } from '#sdk/device-channel.ts';
import { cutFrame } from '#sdk/device-frame.ts';
import type { DeviceLog, DeviceStore, StoredFrame } from '#sdk/device-store.ts';

/** Newest frames of one log that wait for the next flush; older ones are left to the replay. */
export const FRESH_FRAMES = 8;
/** A reading that waited longer in the device is history, not live. */
export const FRESH_MS = 1000;

/** One log across connections. */
export interface Run {
  readonly log: DeviceLog;
  /** Every number that this process, or one before it, may have shown to a server lies below. */
  sentTo: number;
  /** The log's numbers as this process saw them given: a number given twice is a bug of the store. */
  numberedTo: number;
  /** At most FRESH_FRAMES. */
  fresh: { readonly frame: StoredFrame; readonly atMs: number }[];
  channel: Channel | null;
  startedEpochAtMs: number;
}

/** Bytes since the connection opened. */
export interface Account {
  durable: number;
  live: number;
}

export interface Sender {
  readonly granted: Account;
  readonly used: Account;
  /** The server's window, as far as it shows: the durable credit that was open at once lately. */
  windowBytes: number;
  /** The last flush had readings to be stored and no credit for them. */
  isStarved: boolean;
  /** Turns the order of the streams, so that none is always first. */
  turn: number;
}

export interface FlushContext {
  readonly store: DeviceStore;
  readonly nowMs: number;
  /** Device time of sending. */
  readonly nowUs: number;
  /** Share of the durable window that replay leaves alone while new readings come, 0 to 1. */
  readonly liveShare: number;
  readonly replayBytesPerFlush: number;
  readonly sendBinary: (bytes: Uint8Array) => void;
}

export function newSender(): Sender {
  return {
    granted: { durable: 0, live: 0 },
    used: { durable: 0, live: 0 },
    windowBytes: 0,
    isStarved: false,
    turn: 0,
  };
}

/** Credit is cumulative, so a statement that repeats an older one changes nothing. */
export function grant(sender: Sender, credit: Readonly<Account>): void {
  sender.granted.durable = Math.max(sender.granted.durable, credit.durable);
  sender.granted.live = Math.max(sender.granted.live, credit.live);
  // Windows also shrink; a tenth a grant forgets a larger one within seconds.
  sender.windowBytes = Math.max(sender.windowBytes * 0.9, durableLeft(sender));
}

/** Gives back what lies above `durable` and is not used, and says what is left. Any reading still fits, in a frame of its own. */
export function giveBack(sender: Sender, durable: number): number {
  const { granted, used } = sender;
  granted.durable = Math.min(granted.durable, Math.max(used.durable, durable));
  sender.windowBytes = durableLeft(sender);
  return granted.durable;
}

/** Bytes of durable credit that are not used. */
export function durableLeft(sender: Sender): number {
  return sender.granted.durable - sender.used.durable;
}

/** Sends what can be sent. True when more could be sent in the next flush without any news from the server. */
export function flush(sender: Sender, runs: readonly Run[], context: FlushContext): boolean {
  if (runs.length === 0) return false;
  sender.isStarved = false;
  sender.turn = (sender.turn + 1) % runs.length;
  const hasFresh = sendFresh(sender, runs, context);
  return replay(sender, runs, context, hasFresh);
}

/** True when any log had new readings. */
function sendFresh(sender: Sender, runs: readonly Run[], context: FlushContext): boolean {
  const durable = newBatch(context, { liveOnly: false, historical: false });
  const liveOnly = newBatch(context, { liveOnly: true, historical: false });
  let hasFresh = false;
  for (let i = 0; i < runs.length; i++) {
    const run = runs[(i + sender.turn) % runs.length]!;
    const { channel, fresh } = run;
    if (fresh.length === 0 || channel === null || channel.state !== 'open') continue;
    hasFresh = true;
    run.fresh = [];
    let next = 0;
    for (; next < fresh.length; next++) {
      const { frame, atMs } = fresh[next]!;
      if (context.nowMs - atMs > FRESH_MS || wasSent(channel, frame.firstSeq)) continue;
      if (frameBytes(frame) > durableLeft(sender)) break;
      sendDurable(sender, run, channel, frame);
      durable.add(channel.ref, frame);
      markSent(channel, frame.firstSeq, frame.firstSeq + frame.count);
    }
    if (next < fresh.length) {
      sender.isStarved = true;
      sendLiveOnly(sender, channel, fresh.slice(next), liveOnly);
    }
  }
  durable.flush();
  liveOnly.flush();
  return hasFresh;
}

function sendDurable(sender: Sender, run: Run, channel: Channel, frame: StoredFrame): void {
  sender.used.durable += frameBytes(frame);
  assert(sender.used.durable <= sender.granted.durable, 'the durable credit is never overdrawn');
  assert(channel.state === 'open', 'readings are sent to open streams only');
  run.sentTo = Math.max(run.sentTo, frame.firstSeq + frame.count);
}

/** The newest frames that the live credit allows; in their order. */
function sendLiveOnly(sender: Sender, channel: Channel, fresh: Run['fresh'], batch: Batch): void {
  let bytes = 0;
  let first = fresh.length;
  while (first > 0) {
    const next = bytes + frameBytes(fresh[first - 1]!.frame);
    if (sender.used.live + next > sender.granted.live) break;
    bytes = next;
    first--;
  }
  sender.used.live += bytes;
  assert(sender.used.live <= sender.granted.live, 'the live credit is never overdrawn');
  for (const { frame } of fresh.slice(first)) batch.add(channel.ref, frame);
}

function replay(sender: Sender, runs: readonly Run[], context: FlushContext, hasFresh: boolean): boolean {
  const batch = newBatch(context, { liveOnly: false, historical: true });
  let budget = context.replayBytesPerFlush;
  let isBlocked = false;
  for (let i = 0; i < runs.length && budget > 0 && !isBlocked; i++) {
    const run = runs[(i + sender.turn) % runs.length]!;
    const { channel } = run;
    if (channel === null || channel.state !== 'open' || channel.replaySeq >= run.log.nextSeq) continue;
    const pieces = unsent(context.store, run.log, channel, budget);
    for (const piece of fitting(pieces, sender.windowBytes * (1 - context.liveShare))) {
      const bytes = frameBytes(piece);
      isBlocked = !mayReplay(sender, bytes, hasFresh ? context.liveShare : 0);
      if (bytes > durableLeft(sender)) sender.isStarved = true;
      if (isBlocked || budget <= 0) break;
      sendDurable(sender, run, channel, piece);
      batch.add(channel.ref, piece);
      markReplayed(channel, piece);
      budget -= bytes;
    }
  }
  batch.flush();
  return budget <= 0 && !isBlocked;
}

/** Pieces that could never fit the window's share, in parts that can; at least a reading each. */
function* fitting(pieces: readonly StoredFrame[], maxBytes: number): Generator<StoredFrame> {
  for (const piece of pieces) {
    if (frameBytes(piece) <= maxBytes) {
      yield piece;
      continue;
    }
    // A part may need times of its own, 4 bytes a reading.
    const readingBytes = piece.payload.length / piece.count + 4;
    const readings = Math.max(1, Math.floor((maxBytes - FRAME_HEADER_BYTES) / readingBytes));
    const end = piece.firstSeq + piece.count;
    for (let from = piece.firstSeq; from < end; from += readings)
      yield cutFrame(piece, from, Math.min(end, from + readings));
  }
}

/** Replay leaves `liveShare` of the window alone, but one frame may always go when nothing is on its way. */
function mayReplay(sender: Sender, bytes: number, liveShare: number): boolean {
  const left = durableLeft(sender);
  if (bytes > left) return false;
  return left - bytes >= sender.windowBytes * liveShare || left >= sender.windowBytes * 0.9;
}

interface Batch {
  add(ref: number, frame: StoredFrame): void;
  flush(): void;
}

/** Collects frames into messages of at most limits.framesPerMessage frames and limits.messageBytes bytes. */
function newBatch(context: FlushContext, kind: { liveOnly: boolean; historical: boolean }): Batch {
  let frames: DataFrame[] = [];
  let bytes = MESSAGE_HEADER_BYTES;
  const flushBatch = (): void => {
    if (frames.length > 0) context.sendBinary(encodeData({ ...kind, sentUs: context.nowUs, frames }));
    frames = [];
    bytes = MESSAGE_HEADER_BYTES;
  };
  return {
    add: (ref, frame) => {
      const size = frameBytes(frame);
      if (frames.length === limits.framesPerMessage || bytes + size > limits.messageBytes) flushBatch();
      frames.push({ ref, ...frame });
      bytes += size;
    },
    flush: flushBatch,
  };
}

export function newRun(log: DeviceLog): Run {
  return {
    log,
    sentTo: log.nextSeq,
    numberedTo: log.nextSeq,
    fresh: [],
    channel: null,
    startedEpochAtMs: Number.NEGATIVE_INFINITY,
  };
}

/** Notes a frame that the store has just numbered. */
export function addFresh(run: Run, frame: StoredFrame, nowMs: number): void {
  assert(frame.firstSeq >= run.numberedTo, 'no number is given twice');
  run.numberedTo = frame.firstSeq + frame.count;
  if (run.fresh.length === FRESH_FRAMES) run.fresh.shift();
  run.fresh.push({ frame, atMs: nowMs });
}
