import { expect, test } from 'vitest';

import { bytesOf, createCopyRowParser, int4Of, int8Of, uuidOf } from '#bench/support/copy-rows.ts';

const header = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
const uuid = '01900000-0000-7000-8000-0000000000ff';

function row(...fields: (Buffer | null)[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeInt16BE(fields.length);
  return Buffer.concat([
    count,
    ...fields.map((field) => {
      const length = Buffer.alloc(4);
      length.writeInt32BE(field === null ? -1 : field.length);
      return field === null ? length : Buffer.concat([length, field]);
    }),
  ]);
}

function int8(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}

test('rows come out however the stream is cut', () => {
  const stream = Buffer.concat([
    header,
    row(Buffer.from(uuid.replaceAll('-', ''), 'hex'), int8(2n ** 40n + 7n), null, Buffer.alloc(300, 5)),
    row(Buffer.from(uuid.replaceAll('-', ''), 'hex'), int8(-3n), Buffer.from([0, 0, 1, 0]), Buffer.alloc(0)),
    Buffer.from([0xff, 0xff]),
  ]);
  for (const size of [1, 5, 19, 64, stream.length]) {
    const rows: unknown[] = [];
    const parse = createCopyRowParser(([id, seq, n, data]) =>
      rows.push([uuidOf(id!), int8Of(seq!), n === null ? null : int4Of(n!), bytesOf(data!).length]),
    );
    for (let at = 0; at < stream.length; at += size) parse(stream.subarray(at, at + size));
    expect(rows).toEqual([
      [uuid, 2 ** 40 + 7, null, 300],
      [uuid, -3, 256, 0],
    ]);
  }
});

test('an int8 beyond the safe integers is refused', () => {
  expect(() => int8Of(int8(2n ** 53n))).toThrow('a safe integer');
});
