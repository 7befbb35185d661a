/**
 * Owns envelopes (contract/envelope.ts): one round trip gives the roll-ups or single readings of a range, what is not
 * rolled up yet, and the gaps; they become columns here. Works in turns of the event loop, so that no one waits for a
 * large one. Bounds: contract/envelope.ts for what comes out, envelope-statements.ts for what is read.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';

import { assert } from '#base/assert.ts';
import { intersect, sizeOf, type Range, type RangeSet } from '#base/ranges.ts';
import { envelopeLimits, type EnvelopeData, type EnvelopeGap } from '#contract/envelope.ts';
import type { Axis } from '#protocol/messages.ts';
import { unpackNumbers } from '#store/binary-arrays.ts';
import type { PackedLayout } from '#store/chunk-codec.ts';
import { unpackChunks } from '#store/chunk-reader.ts';
import {
  createColumnSet,
  createSingleSet,
  type Buckets,
  type ColumnRange,
  type Columns,
} from '#store/envelope-columns.ts';
import { placeGap, tailGaps } from '#store/envelope-gaps.ts';
import { envelopeBounds, envelopeStatements, type EnvelopeQuery } from '#store/envelope-statements.ts';
import { parseMultirange } from '#store/multirange.ts';
import { runAsOrg, type RolePool } from '#store/pools.ts';
import { createBlockDecoder, type ReadingBlock } from '#store/reading-block.ts';

export interface EnvelopeQueries {
  read(orgId: string, query: EnvelopeQuery): Promise<EnvelopeData | 'unknown-stream'>;
}

/** About 3 ms of work with nine axes. */
const READINGS_PER_TURN = 10_000;

export function createEnvelopeQueries(app: RolePool): EnvelopeQueries {
  return {
    async read(orgId, query) {
      const { fromUs, toUs, width } = query;
      assert(
        width >= envelopeLimits.minWidth && width <= envelopeLimits.maxWidth,
        'the edge bounds the width',
      );
      assert(fromUs === null || toUs === null || fromUs < toUs, 'the edge checks the range');
      const results = await runAsOrg(app, orgId, { statements: envelopeStatements(query), mode: 'snapshot' });
      const [, heads, rows, chunks, gaps] = results.map((result) => result.rows as unknown[]);
      const head = heads?.[0] as HeadRow | undefined;
      if (head === undefined) return 'unknown-stream';
      const source = readSource(head, (rows ?? []) as BucketRow[], (chunks ?? []) as ChunkRow[]);
      const { columns, isRaw } = await foldColumns(source, width * envelopeLimits.columnsPerWidth);
      const { range } = source;
      return {
        stream: query.streamId,
        axes: [...head.axes],
        fromUs: range.fromUs,
        toUs: range.toUs,
        firstUs: numberOrNull(head.first_us),
        lastUs: numberOrNull(head.last_us),
        bucketUs: isRaw ? 0 : source.bucketUs,
        rawDropped: source.isRaw && !isRaw,
        unrolled: unrolledOf(head, source),
        gaps: gapsOf(source, (gaps ?? []) as GapRow[], head.rate_hz),
        ...columns,
      };
    },
  };
}

interface HeadRow {
  readonly axes: readonly Axis[];
  readonly encoding: 'float32' | 'int16';
  readonly scale: readonly number[] | null;
  readonly rate_hz: number;
  readonly from_us: string;
  readonly to_us: string;
  readonly first_us: string | null;
  readonly last_us: string | null;
  readonly bucket_us: string;
  readonly is_raw: boolean;
  readonly read_from_us: string;
  readonly read_to_us: string;
  readonly tail_chunks: number;
  /** Null: nothing was opened. */
  readonly epochs: readonly EpochRow[] | null;
}

type EpochRow = readonly [
  epoch: string,
  committed: string,
  dirty: string,
  tailLost: boolean,
  minLagUs: string | null,
  firstUs: string | null,
  lastUs: string | null,
];

interface BucketRow {
  readonly epoch: string;
  readonly start_us: string;
  readonly slots: Buffer;
  readonly counts: Buffer;
  readonly lags: Buffer;
  readonly finites: Buffer | null;
  readonly mins: Buffer;
  readonly maxs: Buffer;
  readonly sums: Buffer;
}

/** With the columns that unpackChunks reads. */
interface ChunkRow {
  readonly epoch: string;
  readonly first_seq: number;
  readonly n: number;
}

interface GapRow {
  readonly epoch: string;
  readonly from_seq: string;
  readonly to_seq: string;
  readonly is_lost: boolean;
  readonly end_seq: string | null;
  readonly last_us: string | null;
  readonly first_seq: string | null;
  readonly first_us: string | null;
  readonly reason: string | null;
}

interface SourceEpoch {
  readonly name: string;
  readonly committed: RangeSet;
  /** Committed, and in no roll-up. */
  readonly dirty: RangeSet;
  readonly tailLost: boolean;
  readonly minLagUs: number;
  readonly firstUs: number | null;
  readonly lastUs: number | null;
}

/** What the database gave, read. */
interface Source {
  readonly layout: PackedLayout;
  readonly range: { readonly fromUs: number; readonly toUs: number };
  /** Whole buckets around the range. */
  readonly wide: { readonly fromUs: number; readonly toUs: number };
  readonly bucketUs: number;
  readonly isRaw: boolean;
  readonly epochs: readonly SourceEpoch[];
  readonly buckets: readonly Buckets[];
  /** In the order of epochs and seq, each once. */
  readonly chunks: readonly SourceChunk[];
}

interface SourceChunk {
  readonly epoch: SourceEpoch;
  readonly firstSeq: number;
  readonly row: ChunkRow;
}

function readSource(head: HeadRow, rows: readonly BucketRow[], chunks: readonly ChunkRow[]): Source {
  const epochs = (head.epochs ?? []).map(
    ([name, committed, dirty, tailLost, minLagUs, firstUs, lastUs]): SourceEpoch => ({
      name,
      committed: parseMultirange(committed),
      dirty: parseMultirange(dirty),
      tailLost,
      minLagUs: Number(minLagUs ?? Infinity),
      firstUs: numberOrNull(firstUs),
      lastUs: numberOrNull(lastUs),
    }),
  );
  const bucketUs = Number(head.bucket_us);
  return {
    layout: { axisCount: head.axes.length, encoding: head.encoding, scale: head.scale },
    range: { fromUs: Number(head.from_us), toUs: Number(head.to_us) },
    wide: { fromUs: Number(head.read_from_us), toUs: Number(head.read_to_us) },
    bucketUs,
    isRaw: head.is_raw,
    epochs,
    buckets: rows.map((row) => bucketsOf(row, bucketUs)),
    chunks: chunksOf(chunks, epochs),
  };
}

/** In the order of epochs and seq. A chunk with fresh and with rolled readings came for both, and is kept once. */
function chunksOf(rows: readonly ChunkRow[], epochs: readonly SourceEpoch[]): SourceChunk[] {
  const order = new Map(epochs.map((epoch, i) => [epoch.name, i]));
  const chunks = rows.map((row) => {
    const at = order.get(row.epoch)!;
    return { row, at, epoch: epochs[at]!, firstSeq: row.first_seq };
  });
  chunks.sort((a, b) => a.at - b.at || a.firstSeq - b.firstSeq);
  return chunks.filter(
    ({ at, firstSeq }, i) => chunks[i - 1]?.at !== at || chunks[i - 1]?.firstSeq !== firstSeq,
  );
}

function bucketsOf(row: BucketRow, bucketUs: number): Buckets {
  const startUs = Number(row.start_us);
  return {
    startUs: unpackNumbers(row.slots).map((slot) => startUs + slot * bucketUs),
    counts: unpackNumbers(row.counts),
    lags: unpackNumbers(row.lags),
    finites: row.finites === null ? null : unpackNumbers(row.finites),
    mins: unpackNumbers(row.mins),
    maxs: unpackNumbers(row.maxs),
    sums: unpackNumbers(row.sums),
  };
}

/** `isRaw`: of single readings, as wanted and possible. */
async function foldColumns(
  source: Source,
  maxColumns: number,
): Promise<{ columns: Columns; isRaw: boolean }> {
  const { range, wide, layout, isRaw } = source;
  const of: ColumnRange = { ...range, axisCount: layout.axisCount, maxColumns };
  const rolled = createColumnSet(of, source.bucketUs);
  const found = createColumnSet(of, 0);
  const single = createSingleSet(of);
  const decode = createBlockDecoder(layout);
  let minLagUs = Math.min(...source.epochs.map((epoch) => epoch.minLagUs));
  let rolledReadings = 0;
  let sinceTurn = 0;
  for (const { row, epoch } of source.chunks) {
    const [chunk] = unpackChunks([row]);
    sinceTurn += chunk!.n;
    if (sinceTurn > READINGS_PER_TURN) {
      await nextTurn();
      sinceTurn = 0;
    }
    const block = decode(chunk!);
    if (isRaw) {
      single.addReadings(block, 0, block.n);
      found.addReadings(block, 0, block.n);
      rolledReadings += countWithin(block, { from: 0, to: block.n }, wide);
    }
    for (const { from, to } of freshOf(block, epoch)) {
      const fresh = { from: from - block.firstSeq, to: to - block.firstSeq };
      for (let i = fresh.from; i < fresh.to; i++) minLagUs = Math.min(minLagUs, block.lags[i]!);
      rolled.addReadings(block, fresh.from, fresh.to);
      if (isRaw) rolledReadings -= countWithin(block, fresh, wide);
    }
  }
  // Roll-ups outlive readings: where these are fewer, retention has dropped some, and the roll-ups are shown.
  if (isRaw && rolledReadings >= countBetween(source))
    return { columns: (single.count <= maxColumns ? single : found).finish(minLagUs), isRaw: true };
  for (const buckets of source.buckets) rolled.addBuckets(buckets);
  return { columns: rolled.finish(minLagUs), isRaw: false };
}

/** Numbers of readings that no roll-up contains. */
function freshOf({ firstSeq, n }: { firstSeq: number; n: number }, { dirty }: SourceEpoch): RangeSet {
  return dirty.length === 0 ? [] : intersect([{ from: firstSeq, to: firstSeq + n }], dirty);
}

function countWithin(
  { times }: ReadingBlock,
  readings: Range,
  { fromUs, toUs }: { fromUs: number; toUs: number },
): number {
  let count = 0;
  for (let i = readings.from; i < readings.to; i++) if (times[i]! >= fromUs && times[i]! < toUs) count++;
  return count;
}

/** Readings that the roll-ups have in whole buckets around the range. */
function countBetween({ buckets, wide }: Source): number {
  let count = 0;
  for (const { startUs, counts } of buckets)
    for (let i = 0; i < counts.length; i++)
      if (startUs[i]! >= wide.fromUs && startUs[i]! < wide.toUs) count += counts[i]!;
  return count;
}

/** Only when there is more than is read at once: an upload that the keeper has not caught up with. */
function unrolledOf(head: HeadRow, { epochs, chunks }: Source): number {
  if (head.tail_chunks < envelopeBounds.unrolledChunks) return 0;
  let unrolled = 0;
  for (const { dirty } of epochs) unrolled += sizeOf(dirty);
  for (const { firstSeq, row, epoch } of chunks) unrolled -= sizeOf(freshOf({ firstSeq, n: row.n }, epoch));
  return unrolled;
}

function gapsOf({ epochs, range }: Source, rows: readonly GapRow[], rateHz: number): EnvelopeGap[] {
  const committed = new Map(epochs.map((epoch) => [epoch.name, epoch.committed]));
  const placed = rows.map((row) =>
    placeGap(
      {
        fromSeq: Number(row.from_seq),
        toSeq: Number(row.to_seq),
        isLost: row.is_lost,
        reason: row.reason,
        before: row.end_seq === null ? null : { endSeq: Number(row.end_seq), lastUs: Number(row.last_us) },
        after:
          row.first_seq === null ? null : { firstSeq: Number(row.first_seq), firstUs: Number(row.first_us) },
      },
      committed.get(row.epoch) ?? [],
      rateHz,
    ),
  );
  return [...placed, ...tailGaps(epochs)]
    .filter((gap) => gap !== null)
    .filter((gap) => gap.toUs >= range.fromUs && gap.fromUs < range.toUs)
    .toSorted((a, b) => a.fromUs - b.fromUs);
}

function numberOrNull(text: string | null): number | null {
  return text === null ? null : Number(text);
}
