/**
 * Owns the checker of fault tests: reads every chunk of a stream from the database as it is and compares it with what
 * was generated, bit by bit. It uses none of the code that wrote the chunks, and of sealed ones the codec's unpacking.
 */

import pg from 'pg';

import { unpackBlock } from '#store/sealed-codec.ts';

export interface StoredStream {
  /** Rows of kymo.stored_chunk in (epoch, first_seq) order. */
  readonly chunks: readonly { epoch: string; firstSeq: number; count: number; data: Buffer }[];
  /** Declared losses as [from, to). */
  readonly losses: readonly { epoch: string; from: number; to: number; reason: string }[];
}

type ChunkRow = { epoch: string; first_seq: string; n: number } & (
  | { data: Buffer; block: null }
  | { data: null; block: Buffer }
);

function unpacked(block: Buffer): Buffer {
  const plain = unpackBlock(block);
  if (!plain.ok) throw new Error(`a damaged block: ${plain.error}`);
  return Buffer.from(plain.value.data);
}

export async function readStored(ownerUrl: string, streamId: string): Promise<StoredStream> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await client.query('set role kymo_writer');
    const chunks = await client.query<ChunkRow>(
      'select epoch, first_seq, n, data, block from kymo.stored_chunk where stream_id = $1 order by epoch, first_seq',
      [streamId],
    );
    const losses = await client.query<{ epoch: string; from_seq: string; to_seq: string; reason: string }>(
      'select epoch, from_seq, to_seq, reason from kymo.loss where stream_id = $1 order by epoch, from_seq',
      [streamId],
    );
    return {
      chunks: chunks.rows.map((row) => ({
        epoch: row.epoch,
        firstSeq: Number(row.first_seq),
        count: row.n,
        data: row.block === null ? row.data : unpacked(row.block),
      })),
      losses: losses.rows.map((row) => ({
        epoch: row.epoch,
        from: Number(row.from_seq),
        to: Number(row.to_seq),
        reason: row.reason,
      })),
    };
  } finally {
    await client.end();
  }
}

export interface Verdict {
  readonly stored: number;
  readonly doubled: number;
  readonly missing: number;
  readonly different: number;
}

/** Compares one stream of one epoch with the float32 rows that were generated for readings 0 to `sent`. */
export function compare(stored: StoredStream, generated: Float32Array, axes: number): Verdict {
  const sent = generated.length / axes;
  const seen = new Uint8Array(sent);
  const verdict = { stored: 0, doubled: 0, missing: 0, different: 0 };
  const expected = Buffer.from(generated.buffer, generated.byteOffset, generated.byteLength);
  const readingBytes = axes * 4;
  for (const { firstSeq, count, data } of stored.chunks) {
    if (data.length !== count * readingBytes) throw new Error('a chunk of another size than it says');
    for (let i = 0; i < count; i++) {
      const seq = firstSeq + i;
      if (seq >= sent) throw new Error(`reading ${seq} was never sent`);
      verdict.stored++;
      if (seen[seq] === 1) verdict.doubled++;
      seen[seq] = 1;
      const got = data.subarray(i * readingBytes, (i + 1) * readingBytes);
      if (!got.equals(expected.subarray(seq * readingBytes, (seq + 1) * readingBytes))) verdict.different++;
    }
  }
  for (const flag of seen) if (flag === 0) verdict.missing++;
  return verdict;
}
