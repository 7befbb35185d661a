/** Owns the reading of stored chunks for the checker: one pass, nothing kept. */

import { AppError } from '#base/errors.ts';
import type { BenchDatabase } from '#bench/support/bench-database.ts';
import { bytesOf, int4Of, int8Of, uuidOf, type CopyField } from '#bench/support/copy-rows.ts';
import type { ReadingChecker, StoredRow } from '#bench/support/reading-checker.ts';
import { unpackBlock } from '#store/sealed-codec.ts';

/** Of a database of ours: shows the checker every stored reading, hot and sealed. */
export async function checkStored(checker: ReadingChecker, database: BenchDatabase): Promise<void> {
  await database.copyOut(
    'select stream_id, epoch, first_seq, n, segments, data, block from kymo.stored_chunk',
    (fields) => {
      const block = fields[6] ?? null;
      if (block === null) {
        checker.row(plainRow(fields));
        return;
      }
      const unpacked = unpackBlock(block);
      if (!unpacked.ok) throw new AppError('internal', `a sealed chunk is damaged: ${unpacked.error}`);
      const { segments, data } = unpacked.value;
      checker.row({ ...keyOf(fields), segments, data });
    },
  );
}

/** Shows the checker every row of a peer's table, which has these columns of kymo.chunk. */
export async function checkChunks(
  checker: ReadingChecker,
  database: BenchDatabase,
  table: string,
): Promise<void> {
  await database.copyOut(`select stream_id, epoch, first_seq, n, segments, data from ${table}`, (fields) =>
    checker.row(plainRow(fields)),
  );
}

type Fields = readonly CopyField[];

function plainRow(fields: Fields): StoredRow {
  return { ...keyOf(fields), segments: bytesOf(fields[4] ?? null), data: bytesOf(fields[5] ?? null) };
}

function keyOf([stream, epoch, firstSeq, n]: Fields): Omit<StoredRow, 'segments' | 'data'> {
  return {
    streamId: uuidOf(stream ?? null),
    epoch: bytesOf(epoch ?? null).toString('hex'),
    firstSeq: int8Of(firstSeq ?? null),
    n: int4Of(n ?? null),
  };
}
