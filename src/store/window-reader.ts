/**
 * Owns the readings of windows: which there are, from which numbers of which epochs, and their times and values, in the
 * order of (epoch as opened, seq) within a stream. Reads ahead along an epoch, so that windows that follow each other cost
 * few queries and unpack each chunk once. Bound: AHEAD readings of each epoch in memory, or one sealed block.
 */

import type { Range, RangeSet } from '#base/ranges.ts';
import { chunkStatement, unpackChunks } from '#store/chunk-reader.ts';
import type { PackedLayout } from '#store/chunk-codec.ts';
import { int8ToEpoch } from '#store/epoch.ts';
import { parseMultirange } from '#store/multirange.ts';
import type { Statement } from '#store/pools.ts';
import { decodeBlocks, type ReadingBlock } from '#store/reading-block.ts';

/** Forty seconds of a stream at 200 Hz: 650 kB of nine axes. */
const AHEAD = 8_192;
const CHUNKS_PER_FETCH = 1_000;

/** Runs a statement as a role that may read windows and chunks. */
export type Ask = (statement: Statement) => Promise<readonly unknown[]>;

/** A window that is closed. */
export interface WindowRow {
  readonly startUs: number;
  readonly revision: number;
  readonly isSettled: boolean;
  readonly readings: number;
  readonly inputChange: number;
  readonly spans: readonly WindowSpan[];
}

export interface WindowSpan {
  readonly streamId: string;
  readonly epoch: string;
  readonly seqs: RangeSet;
}

/** Closed windows of a session that begin at or after `fromUs`, in order, with their spans: one statement, one state. */
export function windowsStatement(sessionId: string, fromUs: number | null, limit: number): Statement {
  return {
    name: 'window-rows',
    text: `with w as (
        select * from kymo.session_window
         where session_id = $1 and revision > 0 and start_us >= coalesce($2::int8, -9007199254740992)
         order by start_us limit $3)
      select w.start_us::text, w.revision, w.is_settled, w.readings::text, w.input_change::text,
          coalesce(p.spans, '[]') as spans
        from w left join lateral (
          select json_agg(json_build_array(x.stream_id, x.epoch::text, x.seqs::text)
                          order by x.stream_id, e.opened_at, x.epoch) as spans
            from kymo.window_span x
            join kymo.stream_epoch e on e.stream_id = x.stream_id and e.epoch = x.epoch
           where x.session_id = $1 and x.start_us = w.start_us) p on true
       order by w.start_us`,
    values: [sessionId, fromUs, limit],
  };
}

export function windowRows(rows: readonly unknown[]): WindowRow[] {
  return (
    rows as readonly {
      start_us: string;
      revision: number;
      is_settled: boolean;
      readings: string;
      input_change: string;
      spans: readonly (readonly [stream: string, epoch: string, seqs: string])[];
    }[]
  ).map((row) => ({
    startUs: Number(row.start_us),
    revision: row.revision,
    isSettled: row.is_settled,
    readings: Number(row.readings),
    inputChange: Number(row.input_change),
    spans: row.spans.map(([streamId, epoch, seqs]) => ({
      streamId,
      epoch: int8ToEpoch(epoch),
      seqs: parseMultirange(seqs),
    })),
  }));
}

/** Readings of one stream in one window. */
export interface StreamReadings {
  readonly streamId: string;
  readonly count: number;
  /** Device time, microseconds. */
  readonly timesUs: Float64Array;
  /** Row by row, all axes: float32 as it is, int16 times its scale. */
  readonly values: Float64Array;
  readonly axisCount: number;
}

export interface WindowReader {
  /** Null: readings of it are stored no longer. `layoutOf`: of the session's streams; others are left out. */
  read(window: WindowRow): Promise<readonly StreamReadings[] | null>;
}

export function createWindowReader(
  ask: Ask,
  options: {
    readonly layoutOf: (streamId: string) => PackedLayout | null;
    /** What will be read, so that nothing further is fetched. */
    readonly windows: readonly WindowRow[];
  },
): WindowReader {
  const { layoutOf, windows } = options;
  const ends = new Map<string, number>();
  for (const { spans } of windows)
    for (const { streamId, epoch, seqs } of spans) {
      const key = `${streamId}/${epoch}`;
      ends.set(key, Math.max(ends.get(key) ?? 0, seqs.at(-1)?.to ?? 0));
    }
  /** The newest blocks of each epoch. */
  const ahead = new Map<string, readonly ReadingBlock[]>();

  async function blocksFrom(span: WindowSpan, layout: PackedLayout, fromSeq: number) {
    const { streamId, epoch } = span;
    const key = `${streamId}/${epoch}`;
    const held = ahead.get(key) ?? [];
    if (held.some(({ firstSeq, n }) => firstSeq <= fromSeq && fromSeq < firstSeq + n)) return held;
    const toSeq = Math.max(ends.get(key) ?? 0, fromSeq + 1);
    const rows = await ask(
      chunkStatement({ streamId, epoch, fromSeq, toSeq, maxReadings: AHEAD }, CHUNKS_PER_FETCH),
    );
    const blocks = decodeBlocks(unpackChunks(rows), layout);
    ahead.set(key, blocks);
    return blocks;
  }

  /** The pieces of blocks that hold `range`; null when some of it is gone. */
  async function piecesOf(span: WindowSpan, layout: PackedLayout, range: Range): Promise<Piece[] | null> {
    const pieces: Piece[] = [];
    for (let seq = range.from; seq < range.to;) {
      const blocks = await blocksFrom(span, layout, seq);
      const block = blocks.find(({ firstSeq, n }) => firstSeq <= seq && seq < firstSeq + n);
      if (block === undefined) return null;
      const to = Math.min(range.to, block.firstSeq + block.n);
      pieces.push({ block, from: seq - block.firstSeq, to: to - block.firstSeq });
      seq = to;
    }
    return pieces;
  }

  return {
    async read(window) {
      const streams: StreamReadings[] = [];
      for (const [streamId, spans] of Map.groupBy(window.spans, (span) => span.streamId)) {
        const layout = layoutOf(streamId);
        if (layout === null) continue;
        const pieces: Piece[] = [];
        for (const span of spans)
          for (const range of span.seqs) {
            const found = await piecesOf(span, layout, range);
            if (found === null) return null;
            pieces.push(...found);
          }
        streams.push(joinPieces(streamId, pieces, layout.axisCount));
      }
      return streams;
    },
  };
}

interface Piece extends Range {
  readonly block: ReadingBlock;
}

function joinPieces(streamId: string, pieces: readonly Piece[], axisCount: number): StreamReadings {
  const count = pieces.reduce((sum, { from, to }) => sum + to - from, 0);
  const timesUs = new Float64Array(count);
  const values = new Float64Array(count * axisCount);
  let at = 0;
  for (const { block, from, to } of pieces) {
    timesUs.set(block.times.subarray(from, to), at);
    values.set(block.values.subarray(from * axisCount, to * axisCount), at * axisCount);
    at += to - from;
  }
  return { streamId, count, timesUs, values, axisCount };
}
