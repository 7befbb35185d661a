/**
 * Owns the reading of PostgreSQL's binary COPY stream (documentation, "COPY", Binary Format): bytes in, rows of fields
 * out. Keeps at most one unfinished row.
 */

import { assert } from '#base/assert.ts';

const HEADER_BYTES = 19;
const SIGNATURE = 'PGCOPY\n';

/** A field is a view into the stream, only valid during the call; null is SQL's null. */
export type CopyField = Buffer | null;

/** Returns the function that takes the stream's bytes as they come. `row` gets the same array each time. */
export function createCopyRowParser(row: (fields: readonly CopyField[]) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  let hasHeader = false;
  const fields: CopyField[] = [];

  /** Reads the row at `start` into `fields`; its end, or -1 when it is not all there. */
  const readRow = (bytes: Buffer, start: number, count: number): number => {
    let at = start + 2;
    fields.length = 0;
    for (let i = 0; i < count; i++) {
      if (at + 4 > bytes.length) return -1;
      const length = bytes.readInt32BE(at);
      at += 4;
      if (length < 0) fields.push(null);
      else {
        if (at + length > bytes.length) return -1;
        fields.push(bytes.subarray(at, at + length));
        at += length;
      }
    }
    return at;
  };
  return (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    if (!hasHeader) {
      if (bytes.length < HEADER_BYTES) {
        rest = bytes;
        return;
      }
      assert(bytes.subarray(0, SIGNATURE.length).toString('latin1') === SIGNATURE, 'a binary COPY stream');
      at = HEADER_BYTES + bytes.readInt32BE(HEADER_BYTES - 4);
      hasHeader = true;
    }
    while (at + 2 <= bytes.length) {
      const count = bytes.readInt16BE(at);
      // -1 is the trailer.
      const end = count < 0 ? at + 2 : readRow(bytes, at, count);
      if (end < 0) break;
      if (count >= 0) row(fields);
      at = end;
    }
    rest = at === bytes.length ? Buffer.alloc(0) : bytes.subarray(at);
  };
}

/** An int8 field as a number; it must be a safe integer. */
export function int8Of(field: CopyField): number {
  assert(field !== null && field.length === 8, 'an int8 field');
  const value = field.readInt32BE(0) * 4294967296 + field.readUInt32BE(4);
  assert(Number.isSafeInteger(value), 'a safe integer');
  return value;
}

/** An int4 field. */
export function int4Of(field: CopyField): number {
  assert(field !== null && field.length === 4, 'an int4 field');
  return field.readInt32BE(0);
}

/** A bytea field, or the bytes of any other. */
export function bytesOf(field: CopyField): Buffer {
  assert(field !== null, 'a field that is not null');
  return field;
}

/** A uuid field in its usual text form. */
export function uuidOf(field: CopyField): string {
  const hex = bytesOf(field).toString('hex');
  assert(hex.length === 32, 'a uuid field');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
