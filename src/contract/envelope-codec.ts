/**
 * Owns the two forms of an envelope on the wire: JSON, and little-endian float64 column by column behind a JSON head. It
 * stands apart from the schema, so that a client of the binary form carries no schema library.
 */

import { assert } from '#base/assert.ts';
import type { EnvelopeData, EnvelopeHead } from '#contract/envelope.ts';

/** Arrays that every column has, before those of the axes. */
const PLAIN_ARRAYS = 4;
const ARRAYS_AN_AXIS = 3;

/** The JSON form. */
export function envelopeJson(envelope: EnvelopeData): string {
  const { startUs, endUs, count, lateUs, min, max, mean } = envelope;
  const lists = { startUs, endUs, count, lateUs };
  return JSON.stringify({
    ...headOf(envelope),
    ...Object.fromEntries(Object.entries(lists).map(([name, list]) => [name, Array.from(list)])),
    // JSON.stringify writes what is not finite as null, as the schema says.
    min: min.map((list) => Array.from(list)),
    max: max.map((list) => Array.from(list)),
    mean: mean.map((list) => Array.from(list)),
  });
}

/**
 * The binary form: u32 length of the head, the head (JSON with `columns`), padded with spaces to a multiple of 8 bytes
 * from the beginning, then float64 column by column: startUs, endUs, count, lateUs, then of each axis min, max, mean. All
 * little endian, as every platform that Node and browsers run on is.
 */
export function encodeEnvelope(envelope: EnvelopeData): Uint8Array<ArrayBuffer> {
  const columns = envelope.startUs.length;
  const text = new TextEncoder().encode(JSON.stringify({ ...headOf(envelope), columns }));
  const start = Math.ceil((4 + text.length) / 8) * 8;
  const { startUs, endUs, count, lateUs, min, max, mean } = envelope;
  const lists = [startUs, endUs, count, lateUs];
  for (let axis = 0; axis < envelope.axes.length; axis++) lists.push(min[axis]!, max[axis]!, mean[axis]!);
  const bytes = new Uint8Array(start + lists.length * columns * 8);
  new DataView(bytes.buffer).setUint32(0, start - 4, true);
  bytes.fill(0x20, 4, start);
  bytes.set(text, 4);
  lists.forEach((list, i) => {
    assert(list.length === columns, 'every list of an envelope has one entry a column');
    new Float64Array(bytes.buffer, start + i * columns * 8, columns).set(list);
  });
  return bytes;
}

/** Reads the binary form; the arrays share its memory. Asserts its length: it comes from our own server. */
export function decodeEnvelope(bytes: ArrayBuffer): EnvelopeData {
  assert(bytes.byteLength >= 8, 'an envelope has a head');
  const headBytes = new DataView(bytes).getUint32(0, true);
  const start = 4 + headBytes;
  assert(start % 8 === 0 && start <= bytes.byteLength, 'an envelope has its head, padded');
  const { columns, ...rest } = JSON.parse(
    new TextDecoder().decode(new Uint8Array(bytes, 4, headBytes)),
  ) as EnvelopeHead & { columns: number };
  const lists = PLAIN_ARRAYS + rest.axes.length * ARRAYS_AN_AXIS;
  assert(bytes.byteLength === start + lists * columns * 8, 'an envelope has the columns that its head says');
  const list = (index: number): Float64Array => new Float64Array(bytes, start + index * columns * 8, columns);
  const curves = (offset: number): Float64Array[] =>
    rest.axes.map((_, axis) => list(PLAIN_ARRAYS + axis * ARRAYS_AN_AXIS + offset));
  return {
    ...rest,
    startUs: list(0),
    endUs: list(1),
    count: list(2),
    lateUs: list(3),
    min: curves(0),
    max: curves(1),
    mean: curves(2),
  };
}

function headOf(envelope: EnvelopeData): EnvelopeHead {
  const { stream, axes, fromUs, toUs, firstUs, lastUs, bucketUs, rawDropped, unrolled, gaps } = envelope;
  return { stream, axes, fromUs, toUs, firstUs, lastUs, bucketUs, rawDropped, unrolled, gaps };
}
