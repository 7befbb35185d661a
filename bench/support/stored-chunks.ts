/** Owns the reading of a table of chunks for the checker: one pass, nothing kept. */

import type { BenchDatabase } from '#bench/support/bench-database.ts';
import { bytesOf, int4Of, int8Of, uuidOf } from '#bench/support/copy-rows.ts';
import type { ReadingChecker } from '#bench/support/reading-checker.ts';

/** Shows the checker every row of a table with the columns of kymo.chunk. */
export async function checkChunks(
  checker: ReadingChecker,
  database: BenchDatabase,
  table: string,
): Promise<void> {
  await database.copyOut(
    `select stream_id, epoch, first_seq, n, segments, data from ${table}`,
    ([stream, epoch, firstSeq, n, segments, data]) =>
      checker.row({
        streamId: uuidOf(stream ?? null),
        epoch: bytesOf(epoch ?? null).toString('hex'),
        firstSeq: int8Of(firstSeq ?? null),
        n: int4Of(n ?? null),
        segments: bytesOf(segments ?? null),
        data: bytesOf(data ?? null),
      }),
  );
}
