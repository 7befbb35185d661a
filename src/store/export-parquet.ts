/**
 * Owns exported readings as Apache Parquet: typed columns, none of them nullable, float32 streams as FLOAT and int16
 * ones as DOUBLE (scale applied), times and numbers as INT64. Row groups are encoded a column at a time, in turns of the
 * event loop. Bound: one row group, at most 9 MB for 32 int16 axes, and about 150 bytes a column of each written one.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';

import { ByteWriter, ParquetWriter, type ColumnSource, type SchemaElement } from 'hyparquet-writer';

import { columnNames } from '#store/export-csv.ts';
import type { ReadingBlock, StreamExport } from '#store/export-queries.ts';

/** One column of these takes about 8 ms to encode, and a reader finds some hundred groups in ten million readings. */
const GROUP_ROWS = 32_768;

/** What the file says of itself in its key-value metadata, all of it JSON but the version. */
export interface ExportAbout {
  readonly version: string;
}

/** The bytes of the file. Passes on what `source.blocks` throws. */
export async function* parquetBytes(
  source: StreamExport,
  { version }: ExportAbout,
): AsyncGenerator<Uint8Array, void> {
  const { definition, deviceId } = source;
  const names = columnNames(definition.axes);
  const bytes = new ByteWriter(1 << 16);
  const file = new ParquetWriter({
    writer: bytes,
    schema: schemaOf(names, definition.encoding),
    createdBy: `Kymo version ${version}`,
    kvMetadata: [
      { key: 'kymo.version', value: version },
      { key: 'kymo.session', value: definition.session },
      { key: 'kymo.device', value: deviceId },
      { key: 'kymo.stream', value: JSON.stringify(definition) },
    ],
  });
  const group = createGroup(names, definition.encoding);
  const written = (): Uint8Array => {
    const copy = Buffer.from(bytes.getBytes());
    bytes.index = 0;
    return copy;
  };
  for await (const block of source.blocks())
    for (let from = 0; from < block.times.length;) {
      from += group.add(block, from);
      if (!group.isFull) continue;
      for await (const _ of writeGroup(file, group.columns())) yield written();
      group.clear();
    }
  for await (const _ of writeGroup(file, group.columns())) yield written();
  await file.finish();
  yield written();
}

interface RowGroup {
  readonly isFull: boolean;
  /** Takes readings of the block from `from` on, as many as fit; returns how many. */
  add(block: ReadingBlock, from: number): number;
  columns(): ColumnSource[];
  clear(): void;
}

function createGroup(names: readonly string[], encoding: 'float32' | 'int16'): RowGroup {
  const axisNames = names.slice(4);
  const times = new BigInt64Array(GROUP_ROWS);
  const seqs = new BigInt64Array(GROUP_ROWS);
  const epochs = Array.from({ length: GROUP_ROWS }, () => '');
  const axes = axisNames.map(() =>
    encoding === 'float32' ? new Float32Array(GROUP_ROWS) : new Float64Array(GROUP_ROWS),
  );
  let rows = 0;
  return {
    get isFull() {
      return rows === GROUP_ROWS;
    },
    add({ epoch, firstSeq, times: blockTimes, values }, from) {
      const count = Math.min(GROUP_ROWS - rows, blockTimes.length - from);
      for (let i = 0; i < count; i++) {
        times[rows + i] = BigInt(blockTimes[from + i]!);
        seqs[rows + i] = BigInt(firstSeq + from + i);
      }
      epochs.fill(epoch, rows, rows + count);
      for (const [axis, column] of axes.entries())
        for (let i = 0; i < count; i++) column[rows + i] = values[(from + i) * axes.length + axis]!;
      rows += count;
      return count;
    },
    columns: () => [
      ...[times, times, seqs].map((data, i): ColumnSource => ({
        name: names[i]!,
        data: data.subarray(0, rows),
        encoding: 'DELTA_BINARY_PACKED',
      })),
      { name: names[3]!, data: epochs.slice(0, rows) },
      ...axes.map((data, axis): ColumnSource => ({
        name: axisNames[axis]!,
        data: data.subarray(0, rows),
        encoding: 'BYTE_STREAM_SPLIT',
      })),
    ],
    clear: () => void (rows = 0),
  };
}

/** Encodes one row group into the file's writer, and pauses after each column. Writes nothing where there are no rows. */
async function* writeGroup(
  file: ParquetWriter,
  columns: readonly ColumnSource[],
): AsyncGenerator<void, void> {
  const rows = columns[0]?.data.length ?? 0;
  if (rows === 0) return;
  // The writer makes a group of every call, so a column apiece comes as groups of one column, which are then joined.
  const groups = file.row_groups.splice(0);
  const rowsBefore = file.num_rows;
  for (const column of columns) {
    await file.write({ columnData: [column], rowGroupSize: rows });
    yield;
    await nextTurn();
  }
  const parts = file.row_groups;
  const sumOf = (size: (part: (typeof parts)[number]) => bigint | undefined): bigint =>
    parts.reduce((sum, part) => sum + (size(part) ?? 0n), 0n);
  const joined = {
    columns: parts.flatMap((part) => part.columns),
    total_byte_size: sumOf((part) => part.total_byte_size),
    total_compressed_size: sumOf((part) => part.total_compressed_size),
    num_rows: BigInt(rows),
  };
  file.row_groups = [...groups, joined];
  file.num_rows = rowsBefore + BigInt(rows);
}

function schemaOf(names: readonly string[], encoding: 'float32' | 'int16'): SchemaElement[] {
  const required = { repetition_type: 'REQUIRED' } as const;
  const [timeUs, time, seq, epoch, ...axes] = names as [string, string, string, string, ...string[]];
  return [
    { name: 'kymo', num_children: names.length },
    { name: timeUs, type: 'INT64', ...required },
    {
      name: time,
      type: 'INT64',
      converted_type: 'TIMESTAMP_MICROS',
      logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
      ...required,
    },
    { name: seq, type: 'INT64', ...required },
    {
      name: epoch,
      type: 'BYTE_ARRAY',
      converted_type: 'UTF8',
      logical_type: { type: 'STRING' },
      ...required,
    },
    ...axes.map((name): SchemaElement => ({
      name,
      type: encoding === 'float32' ? 'FLOAT' : 'DOUBLE',
      ...required,
    })),
  ];
}
