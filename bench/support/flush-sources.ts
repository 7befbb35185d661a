/**
 * Owns streams for benchmarks of the chunk writer alone: each offers one frame of synthetic readings a flush, and all of
 * them settle together.
 */

import { systemClock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { randomEpoch, uuidv7 } from '#base/uuid.ts';
import { BENCH_AXES, READING_BYTES, streamSeed, writeReadings } from '#bench/support/synthetic-reading.ts';
import type { Frame, FrameSource, StoreSink, StreamHandle } from '#contract/readings.ts';

/** Of all benchmark streams, and the device's id as well. */
export const BENCH_ORGANISATION = '00000000-0000-7000-8000-000000000001';

interface FlushSourceOptions {
  readonly streams: number;
  /** Of each stream in a flush. */
  readonly readings: number;
  /** The first number. */
  readonly firstSeq?: number;
  readonly retentionClass?: number;
}

export interface FlushSources {
  readonly handles: readonly StreamHandle[];
  /** Offers the next frame of every stream; resolves when all have settled. */
  next(): Promise<void>;
}

/** Sources that offer one frame each when `next` is called, which resolves when all of them have settled. */
export function createFlushSources(writer: StoreSink, options: FlushSourceOptions): FlushSources {
  const { streams, readings, firstSeq = 0, retentionClass = 0 } = options;
  let waiting = 0;
  let settled = (): void => undefined;
  const sources = Array.from({ length: streams }, (_, index) => {
    const handle = handleOf(uuidv7(systemClock), retentionClass);
    const payload = payloadOf(index, readings);
    let nextSeq = firstSeq;
    let hasFrame = false;
    const source: FrameSource = {
      handle,
      claim: null,
      pendingReadings: () => (hasFrame ? readings : 0),
      take() {
        if (!hasFrame) return [];
        hasFrame = false;
        nextSeq += readings;
        return [frameOf(handle, { firstSeq: nextSeq - readings, count: readings, payload })];
      },
      takeLosses: () => [],
      settled() {
        waiting--;
        if (waiting === 0) settled();
      },
      rewind: () => undefined,
      unknown: () => {
        throw new AppError('internal', 'the guard has no row of a stream');
      },
      superseded: unexpected,
      outdated: unexpected,
      refused: (message) => {
        throw new AppError('internal', message);
      },
    };
    return { source, offer: () => void (hasFrame = true) };
  });
  return {
    handles: sources.map(({ source }) => source.handle),
    next: () =>
      new Promise<void>((resolve) => {
        settled = resolve;
        waiting = sources.length;
        for (const { offer } of sources) offer();
        for (const { source } of sources) writer.due(source);
      }),
  };
}

function handleOf(stream: string, retentionClass: number): StreamHandle {
  const epoch = randomEpoch();
  return {
    key: `${stream}/${epoch}`,
    orgId: BENCH_ORGANISATION,
    deviceId: BENCH_ORGANISATION,
    epoch,
    readingBytes: READING_BYTES,
    retentionClass,
    definition: {
      stream,
      session: stream,
      segment: 'bench',
      sensor: 'imu',
      axes: [...BENCH_AXES],
      rateHz: 200,
      encoding: 'float32',
      clock: 'device',
    },
  };
}

function payloadOf(stream: number, count: number): Uint8Array {
  const words = new Uint32Array((count * READING_BYTES) / 4);
  writeReadings(words, 0, { seed: streamSeed(1, stream), firstSeq: 0, count });
  return new Uint8Array(words.buffer);
}

function frameOf(
  { definition, epoch }: StreamHandle,
  readings: { firstSeq: number; count: number; payload: Uint8Array },
): Frame {
  const nowUs = systemClock.nowUs();
  return {
    ...readings,
    streamId: definition.stream,
    epoch,
    firstUs: nowUs,
    periodNs: 5_000_000,
    deltasUs: null,
    liveOnly: false,
    historical: false,
    sentUs: nowUs,
    arrivalUs: nowUs,
    offsetUs: 0,
  };
}

function unexpected(): never {
  throw new AppError('internal', 'a stream of this bench belongs to no connection');
}
