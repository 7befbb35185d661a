/**
 * Owns the reading of readings: one stream's, by device time, in the order of (epoch, seq), decoded from chunks and
 * page by page. Epochs come in the order in which they were opened. Bounds: `maxRows` readings a page, and
 * `chunksPerFetch` chunks in memory, whatever the range.
 */

import { assert } from '#base/assert.ts';
import type { Axis } from '#protocol/messages.ts';
import { decodeTimes, decodeValues, type PackedChunk, type PackedLayout } from '#store/chunk-codec.ts';
import { epochToInt8, int8ToEpoch } from '#store/epoch.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';

export const readingLimits = {
  defaultRows: 1_000,
  /** 32 axes of these are 2.6 MB, decoded. */
  maxRows: 10_000,
  /** At most 500 readings of 32 float32 axes each, so 4 MB; a page of live chunks (50 readings) takes few fetches. */
  chunksPerFetch: 64,
} as const;

export interface ReadingQuery {
  readonly streamId: string;
  /** Device time in microseconds, half-open. */
  readonly fromUs: number;
  readonly toUs: number;
  /** 1 to `maxRows`. */
  readonly limit: number;
  /** `next` of the page before. */
  readonly cursor: string | null;
}

/** Consecutive rows that are consecutive readings of one epoch. */
export interface ReadingRun {
  readonly epoch: string;
  readonly firstSeq: number;
  readonly count: number;
}

export interface Readings {
  readonly axes: readonly Axis[];
  readonly rowCount: number;
  /** Row by row: device time in microseconds, then a value an axis. */
  readonly rows: Float64Array;
  readonly runs: readonly ReadingRun[];
  readonly next: string | null;
}

export type ReadingsAnswer = Readings | 'unknown-stream' | 'invalid-cursor';

export interface ReadingQueries {
  read(orgId: string, query: ReadingQuery): Promise<ReadingsAnswer>;
}

export function createReadingQueries(app: RolePool): ReadingQueries {
  return {
    async read(orgId, query) {
      assert(query.limit >= 1 && query.limit <= readingLimits.maxRows, 'the edge bounds the rows of a page');
      const start = query.cursor === null ? null : parseCursor(query.cursor);
      if (query.cursor !== null && start === null) return 'invalid-cursor';
      const [streams, epochs] = await runAsOrg(app, orgId, {
        statements: streamStatements(query),
        mode: 'snapshot',
      });
      const stream = streams?.rows[0] as StreamRow | undefined;
      if (stream === undefined) return 'unknown-stream';
      const epochNames = ((epochs?.rows ?? []) as { epoch: string }[]).map((row) => int8ToEpoch(row.epoch));
      const page = createPage(stream, query);
      let position = start ?? (epochNames[0] === undefined ? null : { epoch: epochNames[0], seq: 0 });
      while (position !== null && page.missing > 0) {
        const statements = [orderedScan, chunkStatement(query, position, page.missing)];
        const [, result] = await runAsOrg(app, orgId, { statements, mode: 'snapshot' });
        const chunks = (result?.rows ?? []) as ChunkRow[];
        position = page.add(chunks, position) ?? nextPosition({ chunks, position, epochNames });
      }
      return page.finish(position);
    },
  };
}

interface Position {
  readonly epoch: string;
  /** The first reading not yet returned. */
  readonly seq: number;
}

interface StreamRow {
  readonly axes: readonly Axis[];
  readonly encoding: 'float32' | 'int16';
  readonly scale: readonly number[] | null;
}

interface ChunkRow extends PackedChunk {
  readonly first_seq: number;
  /** Where the next chunk of the epoch that may have readings in range starts; null at the last one. */
  readonly following: number | null;
}

interface PageBuilder {
  /** Rows that still fit. */
  readonly missing: number;
  /** Takes the readings in range; returns where the page ended when it became full within these chunks. */
  add(chunks: readonly ChunkRow[], from: Position): Position | null;
  finish(position: Position | null): Readings;
}

function createPage(stream: StreamRow, query: ReadingQuery): PageBuilder {
  const layout: PackedLayout = { ...stream, axisCount: stream.axes.length };
  const width = 1 + layout.axisCount;
  const rows = new Float64Array(query.limit * width);
  const runs: { epoch: string; firstSeq: number; count: number }[] = [];
  let rowCount = 0;

  function addRow(epoch: string, seq: number): void {
    const run = runs.at(-1);
    if (run !== undefined && run.epoch === epoch && run.firstSeq + run.count === seq) run.count++;
    else runs.push({ epoch, firstSeq: seq, count: 1 });
    rowCount++;
  }

  return {
    get missing() {
      return query.limit - rowCount;
    },
    add(chunks, from) {
      for (const chunk of chunks) {
        const times = decodeTimes(chunk);
        const values = decodeValues(chunk, layout);
        for (let i = Math.max(0, from.seq - chunk.first_seq); i < chunk.n; i++) {
          const timeUs = times[i]!;
          if (timeUs < query.fromUs || timeUs >= query.toUs) continue;
          if (rowCount === query.limit) return { epoch: from.epoch, seq: chunk.first_seq + i };
          rows[rowCount * width] = timeUs;
          rows.set(values.subarray(i * layout.axisCount, (i + 1) * layout.axisCount), rowCount * width + 1);
          addRow(from.epoch, chunk.first_seq + i);
        }
      }
      return null;
    },
    finish: (position) => ({
      axes: stream.axes,
      rowCount,
      rows: rows.subarray(0, rowCount * width),
      runs,
      next: position === null ? null : formatCursor(position),
    }),
  };
}

/** Behind the fetched chunks, or in the next epoch, or null at the end. */
function nextPosition(at: {
  chunks: readonly ChunkRow[];
  position: Position;
  epochNames: readonly string[];
}): Position | null {
  const following = at.chunks.at(-1)?.following ?? null;
  if (following !== null) return { epoch: at.position.epoch, seq: following };
  const next = at.epochNames[at.epochNames.indexOf(at.position.epoch) + 1];
  return next === undefined ? null : { epoch: next, seq: 0 };
}

function streamStatements(query: ReadingQuery): Statement[] {
  const values = [query.streamId];
  return [
    {
      name: 'stream-layout',
      text: 'select axes, encoding, scale from kymo.stream where id = $1',
      values,
    },
    {
      name: 'stream-epochs',
      text: `select epoch::text from kymo.stream_epoch
        where stream_id = $1 and committed <> '{}' order by opened_at, epoch`,
      values,
    },
  ];
}

// The index on time (BRIN, which only bitmaps read) finds the chunks of all streams at a time; this wants one stream's,
// in order, which the index on seq gives without sorting: 30 ms against 500 for the end of an hour of one stream of ten.
const orderedScan: Statement = {
  name: 'ordered-scan',
  text: `select set_config('enable_bitmapscan', 'off', true)`,
};

// The lateral form lets PostgreSQL leave out all partitions but the epoch's commit days. Chunks of an epoch do not
// overlap, so the last one that starts at or before the position is the first that can hold it. No more chunks come than
// `rows` readings take when all of theirs are in range.
function chunkStatement(query: ReadingQuery, position: Position, rows: number): Statement {
  return {
    name: 'chunks',
    text: `select c.first_seq, c.n, c.segments, c.deltas, c.data, c.following
      from kymo.stream_epoch e
     cross join lateral (
       select coalesce(max(f.first_seq), 0) as first_seq
         from (select b.first_seq from kymo.chunk b
                where b.stream_id = $1 and b.epoch = $2 and b.first_seq <= $3::bigint
                  and b.commit_day between e.first_commit_day and e.last_commit_day
                order by b.first_seq desc limit 1) f) start
     cross join lateral (
       select w.first_seq, w.n, w.segments, w.deltas, w.data, w.following from (
         select c.first_seq, c.n, c.segments, c.deltas, c.data,
                sum(c.n) over (order by c.first_seq) - c.n as before,
                lead(c.first_seq) over (order by c.first_seq) as following
           from kymo.chunk c
          where c.stream_id = $1 and c.epoch = $2 and c.first_seq >= start.first_seq
            and c.commit_day between e.first_commit_day and e.last_commit_day
            and c.first_seq + c.n > $3::bigint and c.last_us >= $4 and c.first_us < $5
          order by c.first_seq limit ${readingLimits.chunksPerFetch}) w
        where w.before < $6) c
      where e.stream_id = $1 and e.epoch = $2
      order by c.first_seq`,
    values: [query.streamId, epochToInt8(position.epoch), position.seq, query.fromUs, query.toUs, rows],
  };
}

function formatCursor(position: Position): string {
  return `${position.epoch}-${position.seq}`;
}

function parseCursor(text: string): Position | null {
  const match = /^([0-9a-f]{16})-(\d{1,16})$/.exec(text);
  const seq = Number(match?.[2]);
  return match === null || !Number.isSafeInteger(seq) ? null : { epoch: match[1]!, seq };
}
