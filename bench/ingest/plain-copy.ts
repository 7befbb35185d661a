/**
 * Owns the yardstick for storing: the rows that a run stored, written again by plain COPY into a table of the same shape
 * and indexes, in the same batches (one COPY a transaction of the run), without guard or acknowledgement. Rows are
 * held in memory, at most MAX_BYTES of them; what is beyond is left out of both counts.
 */

import type { BenchDatabase } from '#bench/support/bench-database.ts';
import { bytesOf, int4Of, type CopyField } from '#bench/support/copy-rows.ts';

/** Two minutes at 100,000 readings/s and 41 bytes each. */
const MAX_BYTES = 512 * 1024 * 1024;
const HEADER = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
const TRAILER = Buffer.from([0xff, 0xff]);
const COLUMNS =
  'org_id, stream_id, epoch, first_seq, first_us, last_us, n, commit_day, retention_class, segments, deltas, data';
const N_COLUMN = COLUMNS.split(', ').indexOf('n');
/** CPU time is read in steps of 10 ms: repeated until it is known to a few percent, but not for ever. */
const ENOUGH_CPU_S = 0.5;
const MAX_REPEATS = 5;

export interface CopyFigures {
  readonly readings: number;
  readonly batches: number;
  readonly cpuS: number;
  readonly elapsedMs: number;
}

/** Copies what is stored of these streams. The database must be idle otherwise. */
export async function measurePlainCopy(
  database: BenchDatabase,
  streamIds: readonly string[],
): Promise<CopyFigures> {
  const { batches, readings } = await collectBatches(database, streamIds);
  await database.query('create schema if not exists bench');
  await database.query('drop table if exists bench.chunk_copy');
  await database.query(
    `create table bench.chunk_copy (like kymo.chunk including storage including indexes) with (toast_tuple_target = 8160)`,
  );
  let cpuS = 0;
  let elapsedMs = 0;
  let repeats = 0;
  while (repeats < MAX_REPEATS && cpuS < ENOUGH_CPU_S) {
    await database.query('truncate bench.chunk_copy');
    await database.checkpoint();
    const before = database.usage();
    const startedMs = performance.now();
    for (const batch of batches)
      await database.copyIn(`copy bench.chunk_copy (${COLUMNS}) from stdin (format binary)`, batch);
    elapsedMs += performance.now() - startedMs;
    cpuS += database.usage().cpuS - before.cpuS;
    repeats++;
  }
  await database.query('drop table bench.chunk_copy');
  return { readings: readings * repeats, batches: batches.length * repeats, cpuS, elapsedMs };
}

/**
 * One COPY stream for each transaction that stored chunks, in the order of their numbers. A scan returns the rows of
 * neighbouring transactions mixed, because the table grows by several pages at a time.
 */
async function collectBatches(
  database: BenchDatabase,
  streamIds: readonly string[],
): Promise<{ batches: Buffer[]; readings: number }> {
  const rowsOf = new Map<string, Buffer[]>();
  let readings = 0;
  let bytes = 0;
  const ids = streamIds.map((id) => `'${id}'`).join(', ');
  await database.copyOut(
    `select xmin::text, ${COLUMNS} from kymo.chunk where stream_id in (${ids})`,
    ([xmin, ...fields]) => {
      if (bytes > MAX_BYTES) return;
      const transaction = bytesOf(xmin ?? null).toString('latin1');
      const row = encodeRow(fields);
      bytes += row.length;
      readings += int4Of(fields[N_COLUMN] ?? null);
      const rows = rowsOf.get(transaction);
      if (rows === undefined) rowsOf.set(transaction, [row]);
      else rows.push(row);
    },
  );
  const batches = [...rowsOf]
    .toSorted(([a], [b]) => Number(a) - Number(b))
    .map(([, rows]) => Buffer.concat([HEADER, ...rows, TRAILER]));
  return { batches, readings };
}

function encodeRow(fields: readonly CopyField[]): Buffer {
  const size = fields.reduce((sum, field) => sum + 4 + (field === null ? 0 : field.length), 2);
  const row = Buffer.allocUnsafe(size);
  let at = row.writeInt16BE(fields.length, 0);
  for (const field of fields) {
    at = row.writeInt32BE(field === null ? -1 : field.length, at);
    if (field !== null) at += field.copy(row, at);
  }
  return row;
}
