/**
 * Owns the reading of CSV as `kymo export` writes it, and of any table with a column of microseconds: a heading with
 * `time_us` and axes as `acc_x [m/s2]`, then a row a reading. Bounded: MAX_READINGS rows.
 */

import { AppError } from '#base/errors.ts';
import { limits } from '#protocol/limits.ts';
import type { Axis } from '#protocol/messages.ts';

/** Five hours at 200 Hz; nine axes of these are 150 MB. */
export const MAX_READINGS = 4_000_000;
/** No row of numbers is longer. */
const MAX_LINE = 16_384;
/** Of a stream (protocol/limits.ts): no sensor has more. */
const MAX_AXES = limits.axesPerStream;
/** Columns that are not axes. */
const OTHERS = new Set(['time_us', 'time', 'seq', 'epoch']);

export interface CsvReadings {
  readonly axes: readonly Axis[];
  readonly timesUs: Float64Array;
  /** Row by row. */
  readonly values: Float32Array;
}

/** Throws AppError `malformed-message` that names the line, `limit-exceeded` for more than MAX_READINGS rows. */
export async function readCsv(chunks: AsyncIterable<Uint8Array>, name: string): Promise<CsvReadings> {
  const decoder = new TextDecoder('utf8', { fatal: false });
  let table: Table | null = null;
  let rest = '';
  let line = 0;
  const take = (text: string): void => {
    line++;
    if (text.trim() === '') return;
    if (table === null) table = createTable(text, name);
    else table.add(text, line);
  };
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE)
      throw new AppError(
        'malformed-message',
        `${name}: line ${line + 1} is too long for a table of readings`,
      );
    for (const one of lines) take(one.endsWith('\r') ? one.slice(0, -1) : one);
  }
  take(rest);
  const found = table as Table | null;
  if (found === null) throw new AppError('malformed-message', `${name} is empty`);
  return found.finish();
}

interface Table {
  add(text: string, line: number): void;
  finish(): CsvReadings;
}

function createTable(heading: string, name: string): Table {
  const columns = heading
    .replace(/^\uFEFF/, '')
    .split(',')
    .map((one) => one.trim().replaceAll(/^"|"$/g, ''));
  const timeColumn = columns.indexOf('time_us');
  if (timeColumn === -1)
    throw new AppError(
      'malformed-message',
      `${name}: no column is called time_us (microseconds); its columns are ${columns.slice(0, 12).join(', ')}`,
    );
  const axes: Axis[] = [];
  const axisColumns: number[] = [];
  for (const [i, column] of columns.entries()) {
    if (OTHERS.has(column)) continue;
    const parts = /^(.*?)\s*\[(.*)\]$/.exec(column);
    axes.push({ name: parts?.[1] ?? column, unit: parts?.[2] ?? '1' });
    axisColumns.push(i);
  }
  if (axes.length > MAX_AXES)
    throw new AppError(
      'malformed-message',
      `${name} has ${axes.length} columns of values, and ${MAX_AXES} at most`,
    );
  let capacity = 65_536;
  let timesUs = new Float64Array(capacity);
  let values = new Float32Array(capacity * axes.length);
  let count = 0;
  return {
    add(text, line) {
      if (count === MAX_READINGS)
        throw new AppError('limit-exceeded', `${name} has more than ${MAX_READINGS} readings`);
      if (count === capacity) {
        capacity *= 2;
        const [grownTimes, grownValues] = [
          new Float64Array(capacity),
          new Float32Array(capacity * axes.length),
        ];
        grownTimes.set(timesUs);
        grownValues.set(values);
        [timesUs, values] = [grownTimes, grownValues];
      }
      const cells = text.split(',');
      const timeUs = Number(cells[timeColumn]);
      // Of larger numbers a microsecond more is the same.
      const isTime = Math.abs(timeUs) < limits.timeUsExclusive && cells[timeColumn]!.trim() !== '';
      if (cells.length !== columns.length || !isTime)
        throw new AppError(
          'malformed-message',
          `${name}, line ${line}: ${cells.length !== columns.length ? `${cells.length} columns, not ${columns.length}` : 'time_us is no number of microseconds'}`,
        );
      timesUs[count] = timeUs;
      for (const [i, column] of axisColumns.entries()) {
        const cell = cells[column]!;
        values[count * axes.length + i] = cell.trim() === '' ? Number.NaN : Number(cell);
      }
      count++;
    },
    finish: () => ({
      axes,
      timesUs: timesUs.slice(0, count),
      values: values.slice(0, count * axes.length),
    }),
  };
}
