/**
 * Owns the frames of one (stream, epoch) between the socket and the store: a ring of live frames and a lane of replayed
 * ones. Each is bounded in frames and bytes. The ring overwrites its oldest frame; the lane turns the newest away, since
 * replay comes in order and a gap in it would only be a fragment more. Either way the device is asked to send again from
 * there. It belongs to one generation of the device: what waits here of an older one the store would not take.
 */

import { createBoundedQueue } from '#base/bounded-queue.ts';
import type {
  EpochProgress,
  Frame,
  FrameSource,
  LossDeclaration,
  StreamClaim,
  StreamHandle,
} from '#contract/readings.ts';
import { frameBytes } from '#protocol/data-codec.ts';
import type { CreditPayer } from '#ingest/credit.ts';

export const bufferLimits = {
  /** 50 s of 20 frames a second, the usual frame rate. */
  ringFrames: 1_024,
  /** 36 s of one nine-axis stream at 200 Hz. */
  ringBytes: 256 * 1024,
  /** The replay lane: more than a device sends between two flushes. */
  replayFrames: 1_024,
  /** The largest window of one connection. */
  replayBytes: 1024 * 1024,
  /** Tombstones that wait for a flush: as many as a device keeps of one epoch. Devices repeat what was dropped. */
  losses: 256,
} as const;

/** What the store's answers go to: the connection that has the stream open now. */
export interface StreamListener {
  settled(buffer: StreamBuffer, progress: EpochProgress): void;
  rewind(buffer: StreamBuffer, fromSeq: number): void;
  refused(buffer: StreamBuffer, message: string): void;
  unknown(buffer: StreamBuffer): void;
  superseded(buffer: StreamBuffer): void;
  outdated(buffer: StreamBuffer): void;
  /** The database is another one than before: what it had acknowledged may be missing. */
  renewed(buffer: StreamBuffer): void;
}

/** What watches all streams of the process, whoever has them open. */
export interface StreamObserver {
  committed(handle: StreamHandle, progress: EpochProgress): void;
  /** The store takes nothing more under this handle: the buffer is dead. */
  dead(handle: StreamHandle): void;
}

export interface StreamBufferCounters {
  /** Frames that were dropped before the store took them. */
  overwrittenFrames: number;
  /** Declared losses that were dropped before the store took them. */
  droppedLosses: number;
}

export interface StreamBuffer extends FrameSource {
  /** The listener, or null while no connection has the stream open. */
  listener: StreamListener | null;
  claim: StreamClaim | null;
  /**
   * Takes a received frame that should be stored. `payer` gets back what was paid, `bytes` (default: what the frame takes):
   * one that came with times that its stream has no use for was paid with them.
   */
  push(frame: Frame, payer: CreditPayer, bytes?: number): void;
  declareLost(loss: LossDeclaration): void;
  /** True when nothing waits here and nothing is with the store. */
  readonly isEmpty: boolean;
  /** The store has frames of it that it has not settled. */
  readonly isTaken: boolean;
  /** The largest share of one of its bounds that is in use. */
  readonly fullness: number;
  /**
   * Drops what waits here, since a newer connection opens the stream. Resolves when the store holds nothing of it any more,
   * which changes nothing of what it has taken.
   */
  retire(): Promise<void>;
}

interface Entry {
  readonly frame: Frame;
  readonly bytes: number;
  readonly payer: CreditPayer;
}

export function createStreamBuffer(
  handle: StreamHandle,
  counters: StreamBufferCounters,
  observer: StreamObserver,
): StreamBuffer {
  const ring = createBoundedQueue<Entry>(bufferLimits.ringFrames);
  const replay = createBoundedQueue<Entry>(bufferLimits.replayFrames);
  const losses = createBoundedQueue<LossDeclaration>(bufferLimits.losses);
  let ringBytes = 0;
  let replayBytes = 0;
  let waitingReadings = 0;
  /** Bytes that the store holds, by who paid for them; settled together, since one flush takes them together. */
  let taken: { payer: CreditPayer; bytes: number }[] = [];
  const onReturned: (() => void)[] = [];

  function drop(entry: Entry): void {
    counters.overwrittenFrames++;
    waitingReadings -= entry.frame.count;
    entry.payer.drop(entry.bytes);
    buffer.listener?.rewind(buffer, entry.frame.firstSeq);
  }

  function takeFrom(queue: typeof ring, frames: Frame[], room: number): number {
    let left = room;
    while (left > 0 || frames.length === 0) {
      const entry = queue.shift();
      if (entry === undefined) break;
      if (queue === ring) ringBytes -= entry.bytes;
      else replayBytes -= entry.bytes;
      frames.push(entry.frame);
      left -= entry.frame.count;
      waitingReadings -= entry.frame.count;
      const last = taken.at(-1);
      if (last !== undefined && last.payer === entry.payer) last.bytes += entry.bytes;
      else taken.push({ payer: entry.payer, bytes: entry.bytes });
    }
    return left;
  }

  function giveBack(): void {
    const paid = taken;
    taken = [];
    for (const { payer, bytes } of paid) payer.settle(bytes);
    for (const done of onReturned.splice(0)) done();
  }

  /** What waits was not acknowledged, so the device still has it. */
  function clear(): void {
    for (const queue of [ring, replay])
      for (let entry = queue.shift(); entry !== undefined; entry = queue.shift())
        entry.payer.drop(entry.bytes);
    for (let loss = losses.shift(); loss !== undefined; loss = losses.shift());
    ringBytes = 0;
    replayBytes = 0;
    waitingReadings = 0;
  }

  function abandon(): void {
    giveBack();
    clear();
    observer.dead(handle);
  }

  const buffer: StreamBuffer = {
    handle,
    claim: null,
    listener: null,
    get isEmpty() {
      return ring.size === 0 && replay.size === 0 && losses.size === 0 && taken.length === 0;
    },
    get isTaken() {
      return taken.length > 0;
    },
    get fullness() {
      // One frame is taken however large it is.
      const ringShare = ring.size > 1 ? ringBytes / bufferLimits.ringBytes : 0;
      return Math.max(
        ringShare,
        ring.size / bufferLimits.ringFrames,
        replayBytes / bufferLimits.replayBytes,
        replay.size / bufferLimits.replayFrames,
        losses.size / bufferLimits.losses,
      );
    },
    push(frame, payer, bytes = frameBytes(frame)) {
      const entry = { frame, bytes, payer };
      waitingReadings += frame.count;
      if (frame.historical) {
        if (replay.isFull || replayBytes + entry.bytes > bufferLimits.replayBytes) drop(entry);
        else {
          replay.push(entry);
          replayBytes += entry.bytes;
        }
        return;
      }
      ringBytes += entry.bytes;
      for (let oldest = ring.push(entry); ; oldest = ring.shift()) {
        if (oldest !== undefined) {
          ringBytes -= oldest.bytes;
          drop(oldest);
        }
        if (ringBytes <= bufferLimits.ringBytes || ring.size <= 1) break;
      }
    },
    declareLost(loss) {
      if (losses.push(loss) !== undefined) counters.droppedLosses++;
    },
    pendingReadings: () => waitingReadings,
    take(maxReadings) {
      const frames: Frame[] = [];
      takeFrom(replay, frames, takeFrom(ring, frames, maxReadings));
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
    superseded() {
      abandon();
      buffer.listener?.superseded(buffer);
    },
    outdated() {
      abandon();
      buffer.listener?.outdated(buffer);
    },
    retire() {
      clear();
      return taken.length === 0 ? Promise.resolve() : new Promise((done) => onReturned.push(done));
    },
  };
  return buffer;
}
