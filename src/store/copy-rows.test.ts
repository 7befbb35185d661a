/** Rows of a binary COPY, counted in pieces of any size. */

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { createCopyRowCounter } from '#store/copy-rows.ts';

const signature = Buffer.from('PGCOPY\n\u00ff\r\n\0', 'latin1');

function copyOf(rows: readonly (readonly (Uint8Array | null)[])[], extension = 0): Buffer {
  const int = (bytes: 2 | 4, value: number): Buffer => {
    const out = Buffer.alloc(bytes);
    out.writeIntBE(value, 0, bytes);
    return out;
  };
  return Buffer.concat([
    signature,
    int(4, 0),
    int(4, extension),
    Buffer.alloc(extension, 1),
    ...rows.flatMap((fields) => [
      int(2, fields.length),
      ...fields.flatMap((field) =>
        field === null ? [int(4, -1)] : [int(4, field.length), Buffer.from(field)],
      ),
    ]),
    int(2, -1),
  ]);
}

const field = fc.option(fc.uint8Array({ maxLength: 40 }), { nil: null });

test('rows are counted wherever the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(field, { maxLength: 5 }), { maxLength: 20 }),
      fc.nat(20),
      fc.integer({ min: 1, max: 70 }),
      (rows, extension, pieceBytes) => {
        const bytes = copyOf(rows, extension);
        const counter = createCopyRowCounter();
        for (let at = 0; at < bytes.length; at += pieceBytes) {
          expect(counter.isWhole).toBe(false);
          counter.add(bytes.subarray(at, at + pieceBytes));
        }
        expect(counter).toMatchObject({ rows: rows.length, isWhole: true });
      },
    ),
  );
});

test('what is cut, or goes on after its end, is not whole', () => {
  const bytes = copyOf([[Buffer.from('a'), null], [Buffer.alloc(300)]]);
  for (const broken of [bytes.subarray(0, -1), bytes.subarray(0, 20), Buffer.concat([bytes, Buffer.of(0)])]) {
    const counter = createCopyRowCounter();
    counter.add(broken);
    expect(counter.isWhole).toBe(false);
  }
});
