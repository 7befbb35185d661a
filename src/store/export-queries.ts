/**
 * Owns the reading of whole streams for export, in the order of (epoch, seq). Which readings belong is settled when the
 * export opens: those that are committed then. Committed readings never change, so every later fetch is a short
 * transaction of its own, a download of hours holds neither a connection nor a snapshot, and what arrives meanwhile is
 * left out. Readings that are removed meanwhile end the export with an error. Bound: one fetch in memory.
 */

import { intersect, type RangeSet } from '#base/ranges.ts';
import { AppError } from '#base/errors.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { decodeTimes, decodeValues, type PackedLayout } from '#store/chunk-codec.ts';
import { chunkStatement, unpackChunks, type StoredChunk } from '#store/chunk-reader.ts';
import { epochToInt8, int8ToEpoch } from '#store/epoch.ts';
import { readStreamsRecord, type StreamsRecord } from '#store/export-record.ts';
import { parseMultirange } from '#store/multirange.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';
import { definitionOf } from '#store/session-queries.ts';
import type { StreamRow } from '#store/stream-definition.ts';

export const exportLimits = {
  /** Chunks of one fetch: 64 of 500 readings of 32 float32 axes are 4 MB. */
  chunksPerFetch: 64,
  /** Readings of one fetch, but for the last chunk of it, hot or sealed: a round trip is then a tenth of the time. */
  readingsPerFetch: 8_192,
} as const;

export interface ExportRange {
  readonly streamId: string;
  /** Device time in microseconds, half-open; null: from the beginning, to the end. */
  readonly fromUs: number | null;
  readonly toUs: number | null;
}

/** Consecutive readings of one epoch. */
export interface ReadingBlock {
  readonly epoch: string;
  readonly firstSeq: number;
  /** Device time of each, microseconds. */
  readonly times: Float64Array;
  /** Row by row, one value an axis. */
  readonly values: Float64Array;
}

export interface StreamExport {
  readonly definition: StreamDefinition;
  readonly deviceId: string;
  /** How many readings come: exactly for a whole stream, at most for a range of time. */
  readonly readings: number;
  /** Once. Throws AppError `conflict` when readings were removed meanwhile: what came so far is incomplete then. */
  blocks(): AsyncGenerator<ReadingBlock, void>;
}

export interface ExportQueries {
  /** Null when the organisation has no such stream. */
  open(orgId: string, range: ExportRange): Promise<StreamExport | null>;
  /** What is to be known of a session's streams; none when the organisation has no such session. */
  record(orgId: string, sessionId: string): Promise<StreamsRecord>;
}

export function createExportQueries(app: RolePool): ExportQueries {
  return {
    async open(orgId, range) {
      const [streams, epochs, counts] = await runAsOrg(app, orgId, {
        statements: openStatements(range),
        mode: 'snapshot',
      });
      const row = streams?.rows[0] as (StreamRow & { label: string }) | undefined;
      if (row === undefined) return null;
      const [count] = (counts?.rows ?? []) as { readings: number }[];
      const work: ExportWork = {
        range,
        layout: { axisCount: row.axes.length, encoding: row.encoding, scale: row.scale },
        epochs: ((epochs?.rows ?? []) as EpochRow[]).map(({ epoch, committed }) => ({
          epoch: int8ToEpoch(epoch),
          committed: parseMultirange(committed),
        })),
        fetch: (epoch, fromSeq, toSeq) => fetchChunks({ app, orgId, range }, { epoch, fromSeq, toSeq }),
      };
      const readings = count?.readings ?? 0;
      return {
        definition: definitionOf(row, row),
        deviceId: row.device_id,
        readings,
        blocks: () => readBlocks(work, isWhole(range) ? readings : null),
      };
    },
    record: (orgId, sessionId) => readStreamsRecord(app, orgId, sessionId),
  };
}

interface EpochRow {
  readonly epoch: string;
  readonly committed: string;
}

interface ExportWork {
  readonly range: ExportRange;
  readonly layout: PackedLayout;
  readonly epochs: readonly { readonly epoch: string; readonly committed: RangeSet }[];
  fetch(epoch: string, fromSeq: number, toSeq: number): Promise<StoredChunk[]>;
}

function isWhole({ fromUs, toUs }: ExportRange): boolean {
  return fromUs === null && toUs === null;
}

async function* readBlocks(work: ExportWork, expected: number | null): AsyncGenerator<ReadingBlock, void> {
  let given = 0;
  for (const { epoch, committed } of work.epochs) {
    let position = committed[0]?.from ?? 0;
    const end = committed.at(-1)?.to ?? 0;
    while (position < end) {
      const chunks = await work.fetch(epoch, position, end);
      const last = chunks.at(-1);
      if (last === undefined) break;
      for (const chunk of chunks)
        for (const block of blocksOf(chunk, { work, epoch, committed, fromSeq: position })) {
          given += block.times.length;
          yield block;
        }
      position = last.firstSeq + last.n;
    }
  }
  if (expected !== null && given !== expected) throw removedMeanwhile();
}

/** The readings of one chunk that belong to the export, as runs of consecutive ones. */
function* blocksOf(
  chunk: StoredChunk,
  {
    work,
    epoch,
    committed,
    fromSeq,
  }: { work: ExportWork; epoch: string; committed: RangeSet; fromSeq: number },
): Generator<ReadingBlock> {
  const { axisCount } = work.layout;
  const times = decodeTimes(chunk);
  const values = decodeValues(chunk, work.layout);
  const fromUs = work.range.fromUs ?? Number.NEGATIVE_INFINITY;
  const toUs = work.range.toUs ?? Number.POSITIVE_INFINITY;
  const stored = [{ from: Math.max(fromSeq, chunk.firstSeq), to: chunk.firstSeq + chunk.n }];
  for (const { from, to } of intersect(stored, committed)) {
    const end = to - chunk.firstSeq;
    let i = from - chunk.firstSeq;
    while (i < end) {
      while (i < end && !(times[i]! >= fromUs && times[i]! < toUs)) i++;
      const start = i;
      while (i < end && times[i]! >= fromUs && times[i]! < toUs) i++;
      if (i === start) continue;
      yield {
        epoch,
        firstSeq: chunk.firstSeq + start,
        times: times.subarray(start, i),
        values: values.subarray(start * axisCount, i * axisCount),
      };
    }
  }
}

// Erasure removes the guard's row before the readings (store/erasure.ts), so where it stands all of them do.
async function fetchChunks(
  { app, orgId, range }: { app: RolePool; orgId: string; range: ExportRange },
  { epoch, fromSeq, toSeq }: { epoch: string; fromSeq: number; toSeq: number },
): Promise<StoredChunk[]> {
  const { streamId } = range;
  const [standing, chunks] = await runAsOrg(app, orgId, {
    mode: 'snapshot',
    statements: [
      {
        name: 'export-standing',
        text: `select 1 from kymo.stream_epoch e join kymo.stream s on s.id = e.stream_id
          where e.stream_id = $1 and e.epoch = $2`,
        values: [streamId, epochToInt8(epoch)],
      },
      chunkStatement(
        {
          streamId,
          epoch,
          fromSeq,
          toSeq,
          ...(range.fromUs === null ? {} : { fromUs: range.fromUs }),
          ...(range.toUs === null ? {} : { toUs: range.toUs }),
          maxReadings: exportLimits.readingsPerFetch,
        },
        exportLimits.chunksPerFetch,
      ),
    ],
  });
  if (standing?.rowCount !== 1) throw removedMeanwhile();
  return unpackChunks(chunks?.rows ?? []);
}

function removedMeanwhile(): AppError {
  return new AppError(
    'conflict',
    'readings were removed while they were exported, by erasure or retention: export what is left',
  );
}

const BEYOND = 2 ** 53;

function openStatements({ streamId, fromUs, toUs }: ExportRange): Statement[] {
  return [
    {
      name: 'export-stream',
      text: `select s.id, s.org_id, s.session_id, s.device_id, s.segment, s.sensor, s.axes, s.rate_hz, s.encoding,
          s.scale, s.clock, s.retention_class, t.synthetic, t.label
        from kymo.stream s join kymo.session t on t.id = s.session_id where s.id = $1`,
      values: [streamId],
    },
    {
      name: 'export-epochs',
      text: `select epoch::text, committed::text from kymo.stream_epoch
        where stream_id = $1 and committed <> '{}' order by opened_at, epoch`,
      values: [streamId],
    },
    {
      name: 'export-count',
      text: `select coalesce(sum(c.n), 0)::bigint as readings
        from kymo.stream_epoch e
       cross join lateral (
         select sum(c.n) as n from kymo.stored_chunk c
          where c.stream_id = e.stream_id and c.epoch = e.epoch
            and c.commit_day between e.first_commit_day and e.last_commit_day
            and c.last_us + 0 >= $2::bigint and c.first_us + 0 < $3::bigint) c
        where e.stream_id = $1`,
      values: [streamId, fromUs ?? -BEYOND, toUs ?? BEYOND],
    },
  ];
}
