/**
 * Owns the streams that one connection has open: by the device's references, from `open` to `closed`. It listens to
 * their buffers and gathers what has settled into one acknowledgement a turn. Bound: limits.streamsPerConnection open or
 * being opened; references that the server gave up are remembered, at most as many as there are (65,536).
 */

import { emptyRanges, intersect, rangesOfPairs, subtract, union, type RangeSet } from '#base/ranges.ts';
import type { Result } from '#base/result.ts';
import type { EpochProgress } from '#contract/readings.ts';
import type { WireError } from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';
import type { ServerMessage, Settled } from '#protocol/messages.ts';
import type { Close, Open, OpenAnswer } from '#ingest/gateway-output.ts';
import type { StreamBuffer, StreamListener } from '#ingest/stream-buffer.ts';

type OpenedNewest = NonNullable<Extract<ServerMessage, { type: 'opened' }>['newest']>;

export interface OpenStream {
  readonly ref: number;
  readonly buffer: StreamBuffer;
  closing: Close | null;
  /** Set while the end is being recorded. */
  isEnding: boolean;
  /** Set while it is asked why the store does not know the stream any more. */
  isLost: boolean;
  progress: EpochProgress;
  /** Declared lost, and held by this device after all: not settled for it, since a stored reading wins. */
  wanted: RangeSet;
  /** The device is to be asked to send again from here; null: nothing was dropped. */
  rewindFrom: number | null;
}

export interface OpenStreams {
  get(ref: number): OpenStream | undefined;
  /** True when the server closed what was open under this reference, which the device may not know yet. */
  wasReleased(ref: number): boolean;
  /** Whether the stream under this reference was erased: what comes is acknowledged and dropped. */
  isDiscarded(ref: number): boolean;
  /** Acknowledges what came under the reference of an erased stream. */
  acknowledgeDiscarded(ref: number): void;
  closeDiscarded(ref: number): void;
  /** The stream of this buffer was erased while it is open here. */
  erased(buffer: StreamBuffer): void;
  /** Why this cannot be opened, or null: then `opened` must follow. What is open may be opened again under its reference. */
  begin(request: Open): WireError | null;
  opened(request: Open, answer: Result<OpenAnswer, WireError>): void;
  /** The device says that nothing more follows. */
  close(stream: OpenStream, message: Close): void;
  ended(buffer: StreamBuffer): void;
  endFailed(buffer: StreamBuffer): void;
  /** Asks again for the ends whose recording failed. */
  retryEnds(): void;
  /** What settled since the last call; empty when nothing did. Rewinds and ends follow with `afterAck`. */
  takeSettled(): ({ ref: number } & Settled)[];
  afterAck(): void;
  releaseAll(): void;
}

export interface OpenStreamsOptions {
  send(message: ServerMessage): void;
  /** An answer to the device, not a fault of its own. */
  answerError(error: WireError, ref: number): void;
  endStream(buffer: StreamBuffer, close: Close): void;
  ackSoon(): void;
  /** The store does not know a stream any more: it was erased, or the connection has to begin anew. */
  lostStream(buffer: StreamBuffer, wasSettled: boolean): void;
  /** What was settled is not any more. */
  wentBack(): void;
  /** A newer connection of this device writes, at another server. */
  superseded(): void;
}

/** What is stated of an erased stream: nothing of it is open. */
const ALL_SETTLED: Settled = { next: limits.seqExclusive - 1, ranges: [] };

export function createOpenStreams(options: OpenStreamsOptions): OpenStreams {
  const byRef = new Map<number, OpenStream>();
  const byBuffer = new Map<StreamBuffer, OpenStream>();
  /** References whose `open` is being looked up. */
  const opening = new Set<number>();
  const released = new Set<number>();
  /** References of erased streams, until the device closes them. */
  const discarded = new Set<number>();
  const unacknowledgedDiscarded = new Set<number>();
  const unacknowledged = new Set<OpenStream>();
  const rewinds = new Set<OpenStream>();
  let isAckAsked = false;

  function askForAck(): void {
    if (isAckAsked) return;
    isAckAsked = true;
    options.ackSoon();
  }

  const listener: StreamListener = {
    settled(buffer, progress) {
      const stream = byBuffer.get(buffer);
      if (stream === undefined) return;
      if (subtract(settledSet(stream.progress), settledSet(progress)).length > 0) options.wentBack();
      stream.progress = progress;
      unacknowledged.add(stream);
      askForAck();
    },
    rewind(buffer, fromSeq) {
      const stream = byBuffer.get(buffer);
      if (stream === undefined) return;
      // Frames are dropped one by one, and the oldest says it all.
      stream.rewindFrom = Math.min(fromSeq, stream.rewindFrom ?? fromSeq);
      rewinds.add(stream);
      askForAck();
    },
    refused(buffer, message) {
      const stream = byBuffer.get(buffer);
      if (stream === undefined) return;
      options.answerError({ code: 'stream-refused', message }, stream.ref);
      release(stream);
    },
    unknown(buffer) {
      const stream = byBuffer.get(buffer);
      if (stream === undefined || stream.isLost) return;
      stream.isLost = true;
      options.lostStream(buffer, settledSet(stream.progress).length > 0);
    },
    superseded: (buffer) => {
      if (byBuffer.has(buffer)) options.superseded();
    },
    outdated(buffer) {
      const stream = byBuffer.get(buffer);
      if (stream === undefined) return;
      const message = 'another connection wrote meanwhile: open the stream again';
      options.answerError({ code: 'overloaded', message }, stream.ref);
      release(stream);
    },
    // The connection was closed before, and heard nothing more from its buffers.
    renewed: () => undefined,
  };

  function endIfSettled(stream: OpenStream): void {
    const { closing } = stream;
    if (closing === null || stream.isEnding || settledOf(stream.progress).next < closing.next) return;
    stream.isEnding = true;
    options.endStream(stream.buffer, closing);
  }

  function release(stream: OpenStream): void {
    byRef.delete(stream.ref);
    byBuffer.delete(stream.buffer);
    unacknowledged.delete(stream);
    rewinds.delete(stream);
    released.add(stream.ref);
    if (stream.buffer.listener === listener) stream.buffer.listener = null;
  }

  function discard(ref: number): void {
    discarded.add(ref);
    released.delete(ref);
    options.send({ type: 'opened', ref, settled: ALL_SETTLED, discarded: true });
  }

  return {
    get: (ref) => byRef.get(ref),
    isDiscarded: (ref) => discarded.has(ref),
    acknowledgeDiscarded(ref) {
      unacknowledgedDiscarded.add(ref);
      askForAck();
    },
    closeDiscarded(ref) {
      discarded.delete(ref);
      unacknowledgedDiscarded.delete(ref);
      released.add(ref);
      options.send({ type: 'closed', ref });
    },
    erased(buffer) {
      const stream = byBuffer.get(buffer);
      if (stream === undefined) return;
      release(stream);
      discard(stream.ref);
    },
    wasReleased: (ref) => released.has(ref),
    begin({ ref, definition, epoch }) {
      const open = byRef.get(ref)?.buffer.handle;
      // The same once more is a further question about what is stored.
      const isSame = open?.definition.stream === definition.stream && open.epoch === epoch;
      if ((open !== undefined && !isSame) || opening.has(ref) || discarded.has(ref))
        return {
          code: 'reference-in-use',
          message: 'close the stream under this reference first',
          field: '/ref',
        };
      if (byRef.size + opening.size + discarded.size >= limits.streamsPerConnection)
        return {
          code: 'limit-exceeded',
          message: `at most ${limits.streamsPerConnection} streams a connection`,
        };
      opening.add(ref);
      return null;
    },
    opened({ ref, held }, answer) {
      opening.delete(ref);
      const open = byRef.get(ref);
      if (!answer.ok && open !== undefined) release(open);
      if (!answer.ok && answer.error.code === 'erased') {
        discard(ref);
        return;
      }
      if (!answer.ok) {
        options.answerError(answer.error, ref);
        return;
      }
      const { buffer, progress, newest } = answer.value;
      const twin = byBuffer.get(buffer);
      if (twin !== undefined && twin.ref !== ref) {
        const message = `this stream is open under reference ${twin.ref}`;
        options.answerError({ code: 'reference-in-use', message, field: '/ref' }, ref);
        return;
      }
      if (twin === undefined && open !== undefined) release(open);
      const stream = twin ?? newOpenStream(ref, buffer, progress);
      stream.wanted = union(stream.wanted, intersect(progress.lost, rangesOfPairs(held ?? [])));
      byRef.set(ref, stream);
      byBuffer.set(buffer, stream);
      buffer.listener = listener;
      options.send({
        type: 'opened',
        ref,
        settled: settledFor(stream, progress),
        ...(newest === null ? {} : { newest: newestOf(newest, buffer) }),
      });
    },
    close(stream, message) {
      stream.closing = message;
      endIfSettled(stream);
    },
    ended(buffer) {
      const stream = byBuffer.get(buffer);
      if (stream === undefined) return;
      options.send({ type: 'closed', ref: stream.ref });
      release(stream);
    },
    endFailed(buffer) {
      const stream = byBuffer.get(buffer);
      if (stream !== undefined) stream.isEnding = false;
    },
    retryEnds() {
      for (const stream of byRef.values()) endIfSettled(stream);
    },
    takeSettled() {
      isAckAsked = false;
      const settled = [...unacknowledged].map((stream) => ({
        ref: stream.ref,
        ...settledFor(stream, stream.progress),
      }));
      for (const ref of unacknowledgedDiscarded) settled.push({ ref, ...ALL_SETTLED });
      unacknowledgedDiscarded.clear();
      return settled;
    },
    afterAck() {
      for (const stream of rewinds) {
        options.send({ type: 'rewind', ref: stream.ref, fromSeq: stream.rewindFrom! });
        stream.rewindFrom = null;
      }
      rewinds.clear();
      const acknowledged = [...unacknowledged];
      unacknowledged.clear();
      for (const stream of acknowledged) endIfSettled(stream);
    },
    releaseAll() {
      for (const stream of byRef.values()) release(stream);
      discarded.clear();
      unacknowledgedDiscarded.clear();
    },
  };
}

function newOpenStream(ref: number, buffer: StreamBuffer, progress: EpochProgress): OpenStream {
  return {
    ref,
    buffer,
    closing: null,
    isEnding: false,
    isLost: false,
    progress,
    wanted: emptyRanges,
    rewindFrom: null,
  };
}

function settledFor({ wanted }: OpenStream, progress: EpochProgress): Settled {
  return settledOf(
    wanted.length === 0 ? progress : { committed: progress.committed, lost: subtract(progress.lost, wanted) },
  );
}

/** Without a device clock the stored time is that of arrival, of which the device knows nothing. */
function newestOf(newest: NonNullable<OpenAnswer['newest']>, { handle }: StreamBuffer): OpenedNewest {
  const { seq, timeUs, crc32 } = newest;
  return handle.definition.clock === 'none' ? { seq, crc32 } : { seq, timeUs, crc32 };
}

function settledSet({ committed, lost }: EpochProgress): RangeSet {
  return lost.length === 0 ? committed : union(committed, lost);
}

/** What a device must know to stop sending: everything settled, in at most `limits.rangesPerAck` ranges. */
export function settledOf(progress: EpochProgress): Settled {
  const settled = settledSet(progress);
  const first = settled[0];
  const startsAtZero = first !== undefined && first.from === 0;
  const rest = startsAtZero
    ? settled.slice(1, limits.rangesPerAck + 1)
    : settled.slice(0, limits.rangesPerAck);
  return { next: startsAtZero ? first.to : 0, ranges: rest.map((range) => [range.from, range.to]) };
}
