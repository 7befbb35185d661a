/**
 * Owns PostgreSQL's binary form of arrays of one dimension without nulls (src/backend/utils/adt/arrayfuncs.c, array_send
 * and array_recv): how arrays of numbers go in as a parameter that is a Buffer, and come out as `array_send(...)`. A tenth
 * of what their text costs on both sides, and exact.
 */

import { assert } from '#base/assert.ts';

const HEADER_BYTES = 12;
const DIMENSION_BYTES = 8;

/** Object ids of the element types (src/include/catalog/pg_type.dat). */
const elementOids = { int2: 21, int8: 20, float8: 701 } as const;

export function packFloat8s(values: ArrayLike<number>): Buffer {
  const { bytes, start } = allocate(values.length, elementOids.float8, 8);
  for (let i = 0, at = start; i < values.length; i++, at += 12) {
    bytes.writeInt32BE(8, at);
    bytes.writeDoubleBE(values[i]!, at + 4);
  }
  return bytes;
}

/** Of integers that doubles hold exactly. */
export function packInt8s(values: ArrayLike<number>): Buffer {
  const { bytes, start } = allocate(values.length, elementOids.int8, 8);
  for (let i = 0, at = start; i < values.length; i++, at += 12) {
    const high = Math.floor(values[i]! / 4294967296);
    bytes.writeInt32BE(8, at);
    bytes.writeInt32BE(high, at + 4);
    bytes.writeUInt32BE(values[i]! - high * 4294967296, at + 8);
  }
  return bytes;
}

export function packInt2s(values: ArrayLike<number>): Buffer {
  const { bytes, start } = allocate(values.length, elementOids.int2, 2);
  for (let i = 0, at = start; i < values.length; i++, at += 6) {
    bytes.writeInt32BE(2, at);
    bytes.writeInt16BE(values[i]!, at + 4);
  }
  return bytes;
}

function allocate(count: number, oid: number, elementBytes: number): { bytes: Buffer; start: number } {
  if (count === 0) {
    const bytes = Buffer.alloc(HEADER_BYTES);
    bytes.writeInt32BE(oid, 8);
    return { bytes, start: HEADER_BYTES };
  }
  const start = HEADER_BYTES + DIMENSION_BYTES;
  const bytes = Buffer.alloc(start + count * (4 + elementBytes));
  bytes.writeInt32BE(1, 0);
  bytes.writeInt32BE(oid, 8);
  bytes.writeInt32BE(count, 12);
  bytes.writeInt32BE(1, 16);
  return { bytes, start };
}

/** The numbers of an array of int2, int8 or float8; of int8 what a double holds exactly. */
export function unpackNumbers(bytes: Buffer): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const dimensions = view.getInt32(0);
  assert(dimensions <= 1 && view.getInt32(4) === 0, 'an array of one dimension without nulls');
  if (dimensions === 0) return new Float64Array(0);
  const oid = view.getInt32(8);
  const values = new Float64Array(view.getInt32(12));
  const start = HEADER_BYTES + DIMENSION_BYTES;
  if (oid === elementOids.float8)
    for (let i = 0, at = start + 4; i < values.length; i++, at += 12) values[i] = view.getFloat64(at);
  else if (oid === elementOids.int8)
    for (let i = 0, at = start + 4; i < values.length; i++, at += 12)
      values[i] = view.getInt32(at) * 4294967296 + view.getUint32(at + 4);
  else {
    assert(oid === elementOids.int2, 'an array of numbers of a known type');
    for (let i = 0, at = start + 4; i < values.length; i++, at += 6) values[i] = view.getInt16(at);
  }
  return values;
}
