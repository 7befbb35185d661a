/**
 * Owns the counting of rows in PostgreSQL's binary COPY format as its bytes pass by, in pieces cut anywhere: for progress
 * while a large table is under way, and as a check of what is stated at its end. Bound: no bytes are kept but a field's
 * header.
 *
 * Format (PostgreSQL documentation, COPY, "Binary Format"): an 11-byte signature, flags and the length of an extension;
 * then for each row an int16 count of fields and for each field an int32 length (-1: null) and its bytes; then int16 -1.
 */

const SIGNATURE_BYTES = 11;
const FLAGS_BYTES = 4;
const END = -1;

export interface CopyRowCounter {
  add(bytes: Buffer): void;
  readonly rows: number;
  /** True when the end of the format was reached, and nothing came after it. */
  readonly isWhole: boolean;
}

/** What the next header of a few bytes is. */
type Header = 'extension' | 'row' | 'field';
const headerBytes: Record<Header, number> = { extension: 4, row: 2, field: 4 };

export function createCopyRowCounter(): CopyRowCounter {
  let toSkip = SIGNATURE_BYTES + FLAGS_BYTES;
  let header: Header | 'end' = 'extension';
  let value = 0;
  let valueBytes = 0;
  let fieldsLeft = 0;
  let rows = 0;
  let isBroken = false;

  /** Takes the header whose value has come. */
  function next(): void {
    if (header === 'extension') {
      toSkip = value;
      header = 'row';
    } else if (header === 'row') {
      fieldsLeft = (value << 16) >> 16;
      if (fieldsLeft === END) header = 'end';
      else {
        rows++;
        header = fieldsLeft > 0 ? 'field' : 'row';
      }
    } else {
      toSkip = Math.max(0, value | 0);
      fieldsLeft--;
      header = fieldsLeft > 0 ? 'field' : 'row';
    }
    value = 0;
    valueBytes = 0;
  }

  return {
    add(bytes) {
      let at = 0;
      while (at < bytes.length) {
        if (toSkip > 0) {
          const skipped = Math.min(toSkip, bytes.length - at);
          toSkip -= skipped;
          at += skipped;
        } else if (header === 'end') {
          isBroken = true;
          return;
        } else {
          value = ((value << 8) | bytes[at]!) >>> 0;
          at++;
          valueBytes++;
          if (valueBytes === headerBytes[header]) next();
        }
      }
    },
    get rows() {
      return rows;
    },
    get isWhole() {
      return header === 'end' && toSkip === 0 && !isBroken;
    },
  };
}
