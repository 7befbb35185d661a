/**
 * Owns the judgement of a run: every acknowledged reading is stored exactly once, bit-equal to what was sent and at its
 * time. Readings are recomputed, not remembered; memory is one bit for every reading sent.
 */

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import type { LoadStream } from '#bench/support/load-messages.ts';
import {
  AXES,
  READING_BYTES,
  sampleTimeUs,
  streamSeed,
  writeReadings,
} from '#bench/support/synthetic-reading.ts';

const SEGMENT_BYTES = 24;

export interface CheckResult {
  readonly sent: number;
  readonly acknowledged: number;
  /** Different readings found. */
  readonly stored: number;
  /** Found more than once, each surplus counted. */
  readonly duplicates: number;
  /** Acknowledged and not found. */
  readonly missing: number;
  /** Found with other bits, or at another time, than they were sent with. */
  readonly corrupt: number;
  /** Found and never sent. */
  readonly strange: number;
}

/** Readings [firstSeq, firstSeq + n) as they were found. */
export interface StoredRow {
  readonly streamId: string;
  /** 16 hexadecimal digits. */
  readonly epoch: string;
  readonly firstSeq: number;
  readonly n: number;
  /** As in kymo.chunk. */
  readonly segments: Uint8Array;
  readonly data: Uint8Array;
}

export interface ReadingChecker {
  row(row: StoredRow): void;
  finish(): CheckResult;
}

interface Expected {
  readonly stream: SentStream;
  readonly seed: number;
  /** One bit a reading. */
  readonly found: Uint8Array;
}

/** A stream as the generator reported it, with the rate it was sampled at. */
export interface SentStream extends LoadStream {
  readonly rateHz: number;
}

export function createReadingChecker(streams: readonly SentStream[], runSeed: number): ReadingChecker {
  const expected = new Map<string, Expected>();
  for (const stream of streams)
    expected.set(`${stream.streamId}/${stream.epoch}`, {
      stream,
      seed: streamSeed(runSeed, stream.stream),
      found: new Uint8Array(Math.ceil(stream.sentTo / 8)),
    });
  assert(expected.size === streams.length, 'stream ids are unique');
  let scratch = new Uint32Array(1024 * AXES);
  let stored = 0;
  let duplicates = 0;
  let corrupt = 0;
  let strange = 0;

  function compareValues(row: StoredRow, seed: number): void {
    if (row.data.length !== row.n * READING_BYTES) {
      corrupt += row.n;
      return;
    }
    if (scratch.length < row.n * AXES) scratch = new Uint32Array(row.n * AXES);
    writeReadings(scratch, 0, { seed, firstSeq: row.firstSeq, count: row.n });
    const wanted = Buffer.from(scratch.buffer, 0, row.n * READING_BYTES);
    if (wanted.equals(row.data)) return;
    for (let i = 0; i < row.n; i++) {
      const from = i * READING_BYTES;
      const to = from + READING_BYTES;
      if (wanted.compare(row.data, from, to, from, to) !== 0) corrupt++;
    }
  }

  function compareTimes(row: StoredRow, stream: SentStream): void {
    const view = new DataView(row.segments.buffer, row.segments.byteOffset, row.segments.byteLength);
    let seq = row.firstSeq;
    for (let at = 0; at + SEGMENT_BYTES <= row.segments.length; at += SEGMENT_BYTES) {
      const count = view.getUint16(at, true);
      const firstUs = Number(view.getBigInt64(at + 8, true));
      if (firstUs !== sampleTimeUs(stream.startUs, stream.rateHz, seq)) corrupt += count;
      seq += count;
    }
    if (seq !== row.firstSeq + row.n) corrupt += row.n;
  }

  return {
    row(row) {
      const entry = expected.get(`${row.streamId}/${row.epoch}`);
      if (entry === undefined) {
        strange += row.n;
        return;
      }
      const { found, stream } = entry;
      for (let seq = row.firstSeq; seq < row.firstSeq + row.n; seq++) {
        if (seq < 0 || seq >= stream.sentTo) {
          strange++;
          continue;
        }
        const bit = 1 << (seq & 7);
        if ((found[seq >>> 3]! & bit) !== 0) duplicates++;
        else {
          found[seq >>> 3]! |= bit;
          stored++;
        }
      }
      compareValues(row, entry.seed);
      compareTimes(row, stream);
    },
    finish() {
      let sent = 0;
      let acknowledged = 0;
      let missing = 0;
      for (const { stream, found } of expected.values()) {
        sent += stream.sentTo;
        for (const [from, to] of [[0, stream.next] as const, ...stream.ranges]) {
          acknowledged += to - from;
          for (let seq = from; seq < to; seq++)
            if (seq >= stream.sentTo || (found[seq >>> 3]! & (1 << (seq & 7))) === 0) missing++;
        }
      }
      return { sent, acknowledged, stored, duplicates, missing, corrupt, strange };
    },
  };
}

/** Throws unless the run stored exactly what it acknowledged: its figures would describe something broken. */
export function demandExactlyOnce(side: string, check: CheckResult): void {
  const { missing, duplicates, corrupt, strange } = check;
  if (missing + duplicates + corrupt + strange > 0)
    throw new AppError(
      'internal',
      `${side}: ${missing} readings missing, ${duplicates} stored twice, ${corrupt} altered, ${strange} never sent`,
    );
}
