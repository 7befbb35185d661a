/**
 * Owns one stream of the load generator: which readings are sampled, sent and acknowledged, and when each unacknowledged
 * frame was sent. Readings themselves are not kept: they are recomputed when they must be sent again. Timing is
 * kept for at most MAX_TIMED_FRAMES; frames beyond are sent, counted and not timed.
 */

import { randomEpoch, uuidv7 } from '#base/uuid.ts';
import type { LatencyHistogram } from '#bench/support/latency-histogram.ts';
import type { LoadStream } from '#bench/support/load-messages.ts';
import { sampleTimeUs, streamSeed } from '#bench/support/synthetic-reading.ts';
import type { OutgoingFrame } from '#bench/support/data-message-slab.ts';
import type { Settled, WireRange } from '#protocol/messages.ts';

/** 10 s at 200 frames/s: longer than any acknowledgement of a run that still counts as sustained. */
const MAX_TIMED_FRAMES = 2048;

export interface LoadStreamOptions {
  readonly ref: number;
  /** Counts the streams of a run; decides the content. */
  readonly stream: number;
  readonly seed: number;
  readonly rateHz: number;
  readonly readingsPerFrame: number;
}

export interface StreamLoad {
  readonly streamId: string;
  readonly epoch: string;
  readonly ref: number;
  readonly unsent: number;
  readonly unacknowledged: number;
  readonly acknowledged: number;
  readonly sentTo: number;
  readonly resent: number;
  readonly unmeasuredFrames: number;
  begin(startUs: number): void;
  /** Another frame's readings exist now; `Infinity` for a flood. */
  sample(readings: number): void;
  /** The next frame to send, or null when there is none. Nothing changes until `markSent`. */
  next(): OutgoingFrame | null;
  markSent(frame: OutgoingFrame, sentUs: number): void;
  /** Takes what the server says is settled; times what it newly covers. Returns the newly settled readings. */
  settle(settled: Settled, nowUs: number, latency: LatencyHistogram): number;
  /** Sends again from here; on a new connection what was on its way is lost. */
  rewind(fromSeq: number): void;
  report(): LoadStream;
}

export function createStreamLoad(options: LoadStreamOptions): StreamLoad {
  const { rateHz, readingsPerFrame } = options;
  const streamId = uuidv7({ nowUs: () => Date.now() * 1000 });
  const epoch = randomEpoch();
  const seed = streamSeed(options.seed, options.stream);
  const timing = createFrameTiming();
  let startUs = 0;
  let sampledTo = 0;
  let nextToSend = 0;
  let sentTo = 0;
  let resent = 0;
  let settledNext = 0;
  let settledRanges: readonly WireRange[] = [];
  let acknowledged = 0;

  /** Moves past readings that a resume said are settled already. */
  const skipSettled = (): void => {
    if (nextToSend < settledNext) nextToSend = settledNext;
    for (const [from, to] of settledRanges) if (nextToSend >= from && nextToSend < to) nextToSend = to;
  };
  return {
    streamId,
    epoch,
    ref: options.ref,
    get unsent() {
      return Math.max(0, sampledTo - nextToSend);
    },
    get unacknowledged() {
      return sentTo - acknowledged;
    },
    get acknowledged() {
      return acknowledged;
    },
    get sentTo() {
      return sentTo;
    },
    get resent() {
      return resent;
    },
    get unmeasuredFrames() {
      return timing.unmeasured;
    },
    begin(at) {
      startUs = at;
    },
    sample(readings) {
      sampledTo += readings;
    },
    next() {
      skipSettled();
      // After a rewind into the middle of a frame the first piece is shorter, and frames are aligned again.
      let count = Math.min(sampledTo - nextToSend, readingsPerFrame - (nextToSend % readingsPerFrame));
      for (const [from] of settledRanges) if (from > nextToSend) count = Math.min(count, from - nextToSend);
      if (count <= 0) return null;
      const firstUs = sampleTimeUs(startUs, rateHz, nextToSend);
      return { ref: options.ref, seed, firstSeq: nextToSend, count, firstUs };
    },
    markSent(frame, sentUs) {
      nextToSend = frame.firstSeq + frame.count;
      resent += Math.max(0, Math.min(nextToSend, sentTo) - frame.firstSeq);
      if (nextToSend > sentTo) sentTo = nextToSend;
      timing.sent(nextToSend, sentUs);
    },
    settle(settled, nowUs, latency) {
      settledNext = settled.next;
      settledRanges = settled.ranges;
      let count = settled.next;
      for (const [from, to] of settled.ranges) count += to - from;
      const change = count - acknowledged;
      acknowledged = count;
      timing.settled(settled.next, nowUs, latency);
      return change;
    },
    rewind(fromSeq) {
      nextToSend = Math.min(nextToSend, fromSeq);
      timing.forget();
    },
    report: () => ({
      streamId,
      epoch,
      stream: options.stream,
      startUs,
      sentTo,
      next: settledNext,
      ranges: settledRanges,
    }),
  };
}

interface FrameTiming {
  readonly unmeasured: number;
  sent(endSeq: number, sentUs: number): void;
  settled(next: number, nowUs: number, latency: LatencyHistogram): void;
  forget(): void;
}

/** A ring of (end of frame, moment of sending), oldest first. */
function createFrameTiming(): FrameTiming {
  const endSeqs = new Float64Array(MAX_TIMED_FRAMES);
  const sentAtUs = new Float64Array(MAX_TIMED_FRAMES);
  let head = 0;
  let size = 0;
  let unmeasured = 0;
  return {
    get unmeasured() {
      return unmeasured;
    },
    sent(endSeq, sentUs) {
      if (size === MAX_TIMED_FRAMES) {
        unmeasured++;
        return;
      }
      const at = (head + size) % MAX_TIMED_FRAMES;
      endSeqs[at] = endSeq;
      sentAtUs[at] = sentUs;
      size++;
    },
    settled(next, nowUs, latency) {
      while (size > 0 && endSeqs[head]! <= next) {
        latency.record(nowUs - sentAtUs[head]!);
        head = (head + 1) % MAX_TIMED_FRAMES;
        size--;
      }
    },
    forget() {
      size = 0;
    },
  };
}
