/**
 * Owns the reading of readings: one stream's, by device time, in the order of (epoch, seq), decoded from chunks and
 * page by page. Epochs come in the order in which they were opened. Bounds: `maxRows` readings a page, and
 * `chunksPerFetch` chunks in memory, whatever the range.
 */

import { assert } from '#base/assert.ts';
import { limits } from '#protocol/limits.ts';
import type { Axis } from '#protocol/messages.ts';
import { decodeTimes, decodeValues, type PackedLayout } from '#store/chunk-codec.ts';
import { chunkStatement, unpackChunks, type StoredChunk } from '#store/chunk-reader.ts';
import { int8ToEpoch } from '#store/epoch.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';

export const readingLimits = {
  defaultRows: 1_000,
  /** 32 axes of these are 2.6 MB, decoded. */
  maxRows: 10_000,
  /**
   * Hot ones have at most 500 readings of 32 float32 axes each, so 4 MB; a page of live chunks (50 readings) takes few
   * fetches. Of sealed ones, with half a megabyte each, a page's readings take a few.
   */
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
      while (position !== null) {
        const statements = [chunksFrom(position, query, page.missing)];
        const [result] = await runAsOrg(app, orgId, { statements, mode: 'snapshot' });
        const chunks = unpackChunks(result?.rows ?? []);
        const full = page.add(chunks, position);
        if (full !== null) return page.finish(full);
        position = nextPosition({ chunks, position, epochNames });
      }
      return page.finish(null);
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

interface PageBuilder {
  /** Rows that still fit. */
  readonly missing: number;
  /** Takes the readings in range; returns the first for which there is no place in the page. */
  add(chunks: readonly StoredChunk[], from: Position): Position | null;
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
        for (let i = Math.max(0, from.seq - chunk.firstSeq); i < chunk.n; i++) {
          const timeUs = times[i]!;
          if (timeUs < query.fromUs || timeUs >= query.toUs) continue;
          if (rowCount === query.limit) return { epoch: from.epoch, seq: chunk.firstSeq + i };
          rows[rowCount * width] = timeUs;
          rows.set(values.subarray(i * layout.axisCount, (i + 1) * layout.axisCount), rowCount * width + 1);
          addRow(from.epoch, chunk.firstSeq + i);
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
  chunks: readonly StoredChunk[];
  position: Position;
  epochNames: readonly string[];
}): Position | null {
  const last = at.chunks.at(-1);
  if (last !== undefined) return { epoch: at.position.epoch, seq: last.firstSeq + last.n };
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

/** No more chunks than `rows` readings and one more take when all are in range: that one says where the next page starts. */
function chunksFrom(position: Position, { streamId, fromUs, toUs }: ReadingQuery, rows: number): Statement {
  const range = {
    streamId,
    epoch: position.epoch,
    fromSeq: position.seq,
    toSeq: limits.seqExclusive,
    fromUs,
    toUs,
    maxReadings: rows + 1,
  };
  return chunkStatement(range, readingLimits.chunksPerFetch);
}

function formatCursor(position: Position): string {
  return `${position.epoch}-${position.seq}`;
}

function parseCursor(text: string): Position | null {
  const match = /^([0-9a-f]{16})-(\d{1,16})$/.exec(text);
  const seq = Number(match?.[2]);
  return match === null || !Number.isSafeInteger(seq) ? null : { epoch: match[1]!, seq };
}
