/**
 * Owns the reading of what the database holds at the end of a torture run: chunks hot and sealed, guards and declared
 * losses, a stream at a time, decoded here and not by what serves readers (only a sealed block is unpacked by its codec).
 */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import pg from 'pg';

import { rangesOf, type Range, type RangeSet } from '#base/ranges.ts';
import { unpackBlock } from '#store/sealed-codec.ts';
import { readJournal, type JournalContent } from '#test/torture/device-journal.ts';
import {
  checkStream,
  emptyVerdict,
  type StoredChunk,
  type StoredGuard,
  type StoredStream,
  type Verdict,
} from '#test/torture/stored-check.ts';

const SEGMENT_BYTES = 24;

/** The verdict over every stream that is in the database or in a journal of `directory`. */
export async function checkEverything(
  ownerUrl: string,
  options: { readonly seed: number; readonly journalDirectory: string },
): Promise<Verdict> {
  const journals = readJournals(options.journalDirectory);
  const verdict = emptyVerdict();
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await client.query('set role kymo_writer');
    const { rows } = await client.query<{ id: string }>('select id from kymo.stream');
    for (const stream of new Set([...rows.map(({ id }) => id), ...journals.keys()])) {
      const journal = journals.get(stream) ?? { taken: [], refused: [], acknowledged: [] };
      checkStream(await readStream(client, stream), journal, { seed: options.seed, verdict });
    }
  } finally {
    await client.end();
  }
  return verdict;
}

/** All journals, by stream. */
function readJournals(directory: string): Map<string, JournalContent> {
  const byStream = new Map<string, JournalContent>();
  const of = (stream: string): JournalContent => {
    const known = byStream.get(stream) ?? { taken: [], refused: [], acknowledged: [] };
    byStream.set(stream, known);
    return known;
  };
  for (const name of readdirSync(directory).filter((file) => file.endsWith('.journal'))) {
    const content = readJournal(join(directory, name));
    for (const entry of content.taken) of(entry.stream).taken.push(entry);
    for (const entry of content.refused) of(entry.stream).refused.push(entry);
    for (const entry of content.acknowledged) of(entry.stream).acknowledged.push(entry);
  }
  return byStream;
}

interface ChunkRow {
  readonly epoch: string;
  readonly first_seq: string;
  readonly n: number;
  readonly segments: Buffer | null;
  readonly deltas: Buffer | null;
  readonly data: Buffer | null;
  readonly block: Buffer | null;
}

async function readStream(client: pg.Client, stream: string): Promise<StoredStream> {
  // One statement, one state: sealing may move rows meanwhile.
  const chunks = await client.query<ChunkRow>(
    `select epoch, first_seq, n, segments, deltas, data, block from kymo.stored_chunk
      where stream_id = $1 order by epoch, first_seq`,
    [stream],
  );
  const guards = await client.query<{ epoch: string; committed: string; lost: string }>(
    'select epoch, committed::text, lost::text from kymo.stream_epoch where stream_id = $1',
    [stream],
  );
  const losses = await client.query<{ epoch: string; from_seq: string; to_seq: string }>(
    'select epoch, from_seq, to_seq from kymo.loss where stream_id = $1',
    [stream],
  );
  const declared = (epoch: string): RangeSet =>
    rangesOf(
      losses.rows
        .filter((row) => row.epoch === epoch)
        .map((row) => ({ from: Number(row.from_seq), to: Number(row.to_seq) })),
    );
  return {
    stream,
    chunks: chunks.rows.map(decodeChunk),
    guards: new Map(
      guards.rows.map(({ epoch, committed, lost }): [string, StoredGuard] => [
        epoch,
        { committed: parseRanges(committed), lost: parseRanges(lost), declared: declared(epoch) },
      ]),
    ),
  };
}

function decodeChunk(row: ChunkRow): StoredChunk {
  const { epoch, first_seq: firstSeq, n } = row;
  const { segments, deltas, data } = row.block === null ? row : unpacked(row.block);
  return {
    epoch,
    firstSeq: Number(firstSeq),
    count: n,
    data: bufferOf(data!),
    timesUs: timesOf(n, bufferOf(segments!), deltas === null ? null : bufferOf(deltas)),
  };
}

function unpacked(block: Buffer): { segments: Uint8Array; deltas: Uint8Array | null; data: Uint8Array } {
  const plain = unpackBlock(block);
  if (plain.ok) return plain.value;
  // A block that cannot be read counts as readings that differ.
  return { segments: new Uint8Array(), deltas: null, data: new Uint8Array() };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The layout is that of the table's comment: u16 count, u16 zero, u32 period_ns, i64 first_us, i64 arrival_us. */
function timesOf(count: number, segments: Buffer, deltas: Buffer | null): Float64Array {
  const times: number[] = [];
  for (let at = 0; at + SEGMENT_BYTES <= segments.length; at += SEGMENT_BYTES) {
    const inSegment = segments.readUInt16LE(at);
    const periodNs = segments.readUInt32LE(at + 4);
    const firstUs = Number(segments.readBigInt64LE(at + 8));
    for (let i = 0; i < inSegment && times.length < count; i++)
      times.push(
        firstUs +
          (deltas === null ? Math.floor((i * periodNs + 500) / 1000) : deltas.readUInt32LE(times.length * 4)),
      );
  }
  return Float64Array.from(times);
}

/** PostgreSQL's text of an int8multirange: {[0,10),[20,30)}. */
export function parseRanges(text: string): RangeSet {
  return [...text.matchAll(/\[(\d+),(\d+)\)/g)].map(([, from, to]): Range => ({
    from: Number(from),
    to: Number(to),
  }));
}
