/**
 * Owns the frames of one (stream, epoch) between the socket and the store: a ring of live frames and a lane of replayed
 * ones. Each is bounded in frames and bytes; the ring overwrites its oldest frame, and if the store had not taken it
 * yet, the device is asked to send again from there. It outlives connections, so that nothing is dropped by a
 * reconnect.
 */

import { createBoundedQueue } from '#base/bounded-queue.ts';
import type { EpochProgress, Frame, FrameSource, LossDeclaration, StreamHandle } from '#contract/readings.ts';
import { frameBytes } from '#protocol/data-codec.ts';
import type { CreditLedger } from '#ingest/credit.ts';

/** 50 s of 20 frames a second, the usual frame rate. */
const RING_FRAMES = 1_024;
/** 36 s of one nine-axis stream at 200 Hz. */
const RING_BYTES = 256 * 1024;
/** The replay lane of one stream; credit bounds it further. */
const REPLAY_FRAMES = 1_024;
/** Tombstones that wait for a flush; devices repeat what was dropped. */
const LOSSES = 256;

/** What the store's answers go to: the connection that has the stream open now. */
export interface StreamListener {
  settled(buffer: StreamBuffer, progress: EpochProgress): void;
  rewind(buffer: StreamBuffer, fromSeq: number): void;
  refused(buffer: StreamBuffer, message: string): void;
  unknown(buffer: StreamBuffer): void;
}

/** What watches all streams of the process, whoever has them open. */
export interface StreamObserver {
  committed(handle: StreamHandle, progress: EpochProgress): void;
  /** The store takes nothing more under this handle: the buffer is dead. */
  dead(handle: StreamHandle): void;
}

export interface StreamBufferCounters {
  /** Frames that were overwritten before the store took them. */
  overwrittenFrames: number;
}

export interface StreamBuffer extends FrameSource {
  /** The listener, or null while no connection has the stream open. */
  listener: StreamListener | null;
  /** Takes a received frame that should be stored. `ledger` is who paid for it. */
  push(frame: Frame, ledger: CreditLedger): void;
  declareLost(loss: LossDeclaration): void;
  /** True when nothing waits here and nothing is with the store. */
  readonly isEmpty: boolean;
}

interface Entry {
  readonly frame: Frame;
  readonly bytes: number;
  readonly ledger: CreditLedger;
}

export function createStreamBuffer(
  handle: StreamHandle,
  counters: StreamBufferCounters,
  observer: StreamObserver,
): StreamBuffer {
  const ring = createBoundedQueue<Entry>(RING_FRAMES);
  const replay = createBoundedQueue<Entry>(REPLAY_FRAMES);
  const losses = createBoundedQueue<LossDeclaration>(LOSSES);
  let ringBytes = 0;
  let waitingReadings = 0;
  /** Bytes that the store holds, by who paid for them; settled together, since one flush takes them together. */
  let taken: { ledger: CreditLedger; bytes: number }[] = [];

  function drop(entry: Entry): void {
    counters.overwrittenFrames++;
    waitingReadings -= entry.frame.count;
    entry.ledger.settle(entry.bytes);
    buffer.listener?.rewind(buffer, entry.frame.firstSeq);
  }

  function takeFrom(queue: typeof ring, frames: Frame[], room: number): number {
    let left = room;
    while (left > 0 || frames.length === 0) {
      const entry = queue.shift();
      if (entry === undefined) break;
      if (queue === ring) ringBytes -= entry.bytes;
      frames.push(entry.frame);
      left -= entry.frame.count;
      waitingReadings -= entry.frame.count;
      const last = taken.at(-1);
      if (last !== undefined && last.ledger === entry.ledger) last.bytes += entry.bytes;
      else taken.push({ ledger: entry.ledger, bytes: entry.bytes });
    }
    return left;
  }

  function giveBack(): void {
    const paid = taken;
    taken = [];
    for (const { ledger, bytes } of paid) ledger.settle(bytes);
  }

  /** What waits was not acknowledged, so the device still has it. */
  function abandon(): void {
    giveBack();
    for (const queue of [ring, replay])
      for (let entry = queue.shift(); entry !== undefined; entry = queue.shift())
        entry.ledger.settle(entry.bytes);
    ringBytes = 0;
    waitingReadings = 0;
    observer.dead(handle);
  }

  const buffer: StreamBuffer = {
    handle,
    listener: null,
    get isEmpty() {
      return ring.size === 0 && replay.size === 0 && losses.size === 0 && taken.length === 0;
    },
    push(frame, ledger) {
      const entry = { frame, bytes: frameBytes(frame), ledger };
      waitingReadings += frame.count;
      if (frame.historical) {
        const evicted = replay.push(entry);
        if (evicted !== undefined) drop(evicted);
        return;
      }
      ringBytes += entry.bytes;
      for (let oldest = ring.push(entry); ; oldest = ring.shift()) {
        if (oldest !== undefined) {
          ringBytes -= oldest.bytes;
          drop(oldest);
        }
        if (ringBytes <= RING_BYTES || ring.size <= 1) break;
      }
    },
    declareLost: (loss) => void losses.push(loss),
    pendingReadings: () => waitingReadings,
    take(maxReadings) {
      const frames: Frame[] = [];
      const left = takeFrom(ring, frames, maxReadings);
      if (left > 0) takeFrom(replay, frames, left);
      return frames;
    },
    takeLosses() {
      const list: LossDeclaration[] = [];
      for (let loss = losses.shift(); loss !== undefined; loss = losses.shift()) list.push(loss);
      return list;
    },
    settled(progress) {
      giveBack();
      buffer.listener?.settled(buffer, progress);
      observer.committed(handle, progress);
    },
    rewind: (fromSeq) => buffer.listener?.rewind(buffer, fromSeq),
    refused(message) {
      abandon();
      buffer.listener?.refused(buffer, message);
    },
    unknown() {
      abandon();
      buffer.listener?.unknown(buffer);
    },
  };
  return buffer;
}
