/**
 * Owns the reading of readings: one stream's, by device time, in the order of (epoch, seq), decoded from chunks and
 * page by page. Epochs come in the order in which they were opened. Where a range of time is, the roll-ups tell
 * (seq-spans.ts), so that a page of a year costs what one of a minute does. Bounds: `maxRows` readings a page, and
 * `chunksPerFetch` chunks in memory, whatever the range.
 */

import { assert } from '#base/assert.ts';
import type { Axis } from '#protocol/messages.ts';
import { decodeTimes, decodeValues, type PackedLayout } from '#store/chunk-codec.ts';
import { chunkStatement, unpackChunks, type StoredChunk } from '#store/chunk-reader.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';
import { epochSpans, rowsCovering, spansStatement, type EpochSpans } from '#store/seq-spans.ts';

export const readingLimits = {
  defaultRows: 1_000,
  /** 32 axes of these are 2.6 MB, decoded. */
  maxRows: 10_000,
  /**
   * Hot ones have at most 500 readings of 32 float32 axes each, so 4 MB; a page of live chunks (50 readings) takes few
   * fetches. Of sealed ones, with half a megabyte each, a page's readings take a few.
   */
  chunksPerFetch: 64,
  /** Asking once more costs as much as reading over the forty live chunks that hold so many. */
  linkedReadings: 2_048,
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
      const { streamId, fromUs, toUs } = query;
      const ask = async (statement: Statement): Promise<unknown[]> =>
        (await runAsOrg(app, orgId, { statements: [statement], mode: 'snapshot' }))[0]?.rows ?? [];
      const [found] = await ask(layoutStatement(streamId));
      if (found === undefined) return 'unknown-stream';
      const stream = found as StreamRow;
      const page = createPage(stream, query);
      if (fromUs >= toUs) return page.finish(null);
      const rows = rowsCovering(stream.rate_hz, { fromUs, toUs });
      const epochs = epochSpans(await ask(spansStatement(streamId, rows)), readingLimits.linkedReadings);
      let position = start ?? startOf(epochs[0]);
      if (position !== null && !epochs.some(({ epoch }) => epoch === position?.epoch))
        return 'invalid-cursor';
      for (let span = spanAt(position, epochs); span !== null; span = spanAt(position, epochs)) {
        const range = { streamId, ...span, fromUs, toUs, maxReadings: page.missing + 1 };
        const chunks = unpackChunks(await ask(chunkStatement(range, readingLimits.chunksPerFetch)));
        const full = page.add(chunks, { epoch: span.epoch, seq: span.fromSeq });
        if (full !== null) return page.finish(full);
        const last = chunks.at(-1);
        position = { epoch: span.epoch, seq: last === undefined ? span.toSeq : last.firstSeq + last.n };
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
  readonly rate_hz: number;
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

interface Span {
  readonly epoch: string;
  readonly fromSeq: number;
  readonly toSeq: number;
}

/** What there is to read from a position on, in its epoch or the next one that has something; null at the end. */
function spanAt(position: Position | null, epochs: readonly EpochSpans[]): Span | null {
  const first = epochs.findIndex(({ epoch }) => epoch === position?.epoch);
  for (const { epoch, spans } of first < 0 ? [] : epochs.slice(first)) {
    const seq = epoch === position?.epoch ? position.seq : 0;
    const span = spans.find(({ to }) => to > seq);
    if (span !== undefined) return { epoch, fromSeq: Math.max(seq, span.from), toSeq: span.to };
  }
  return null;
}

function startOf(first: EpochSpans | undefined): Position | null {
  return first === undefined ? null : { epoch: first.epoch, seq: 0 };
}

function layoutStatement(streamId: string): Statement {
  return {
    name: 'stream-layout',
    text: 'select axes, encoding, scale, rate_hz from kymo.stream where id = $1',
    values: [streamId],
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
