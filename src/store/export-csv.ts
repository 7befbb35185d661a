/**
 * Owns exported readings as CSV (RFC 4180, UTF-8): a header row with units, then a row a reading. Every number is the
 * shortest text that reads back, as a double, to exactly the stored value; -0, NaN and the infinities are written as
 * such. Rows are made in turns of the event loop, so that nobody else waits for an export. Bound: one turn's text.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';

import type { ReadingBlock, StreamExport } from '#store/export-queries.ts';

/** About 3 ms of work with six axes. */
const CELLS_PER_TURN = 5_000;

/** The bytes of the file. Passes on what `source.blocks` throws. */
export async function* csvBytes(source: StreamExport): AsyncGenerator<Uint8Array, void> {
  const { axes } = source.definition;
  yield Buffer.from(`${columnNames(axes).map(quoted).join(',')}\r\n`);
  const rowsPerTurn = Math.ceil(CELLS_PER_TURN / axes.length);
  for await (const block of source.blocks())
    for (let from = 0; from < block.times.length; from += rowsPerTurn) {
      yield Buffer.from(rowsOf(block, from, Math.min(block.times.length, from + rowsPerTurn)));
      await nextTurn();
    }
}

/** Column names of both formats. Units stand in square brackets, so that no axis can be called like one of ours. */
export function columnNames(axes: StreamExport['definition']['axes']): string[] {
  return ['time_us', 'time', 'seq', 'epoch', ...axes.map(({ name, unit }) => `${name} [${unit}]`)];
}

function rowsOf({ epoch, firstSeq, times, values }: ReadingBlock, from: number, to: number): string {
  const axisCount = values.length / times.length;
  let text = '';
  for (let i = from; i < to; i++) {
    const timeUs = times[i]!;
    text += `${timeUs},${isoTime(timeUs)},${firstSeq + i},${epoch}`;
    for (let at = i * axisCount; at < (i + 1) * axisCount; at++) text += `,${numberText(values[at]!)}`;
    text += '\r\n';
  }
  return text;
}

function numberText(value: number): string {
  return value === 0 && 1 / value < 0 ? '-0' : String(value);
}

const US_PER_S = 1_000_000;
let knownSecond = 0;
let knownText = '1970-01-01T00:00:00';

/** ISO 8601 in UTC with microseconds; device times are of the years 1684 to 2255 (protocol/limits.ts). */
function isoTime(timeUs: number): string {
  const second = Math.floor(timeUs / US_PER_S);
  if (second !== knownSecond) {
    knownText = new Date(second * 1000).toISOString().slice(0, 19);
    knownSecond = second;
  }
  return `${knownText}.${String(timeUs - second * US_PER_S).padStart(6, '0')}Z`;
}

// Names are what a device says. A spreadsheet takes what begins so for a formula: an apostrophe makes it text (OWASP, CSV injection).
function quoted(name: string): string {
  const text = /^[=+\-@\t\r]/.test(name) ? `'${name}` : name;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
