/** The format of back-up files: a round trip, and that nothing but an unharmed file is accepted. */

import { createHash } from 'node:crypto';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import {
  backupLimits,
  createBackupWriter,
  readBackup,
  type BackupHeader,
  type BackupPiece,
} from '#store/backup-format.ts';

const header: BackupHeader = {
  kymo: '0.1.0',
  migrations: ['0001-foundation'],
  incarnation: '0197a1b2-0000-4000-8000-000000000000',
  snapshotAt: '2026-01-31T23:59:59.123Z',
  postgres: '18.1',
  partitions: [
    {
      name: 'chunk_c0',
      parent: 'chunk',
      bound: "FOR VALUES IN ('0')",
      key: 'RANGE (commit_day)',
      options: [],
    },
    {
      name: 'chunk_c0_20260131',
      parent: 'chunk_c0',
      bound: "FOR VALUES FROM ('2026-01-31') TO ('2026-02-01')",
      key: null,
      options: ['toast_tuple_target=8160', 'autovacuum_vacuum_insert_scale_factor=0.5'],
    },
  ],
  sequences: [{ name: 'some_seq', value: '-9223372036854775808', isCalled: true }],
};

/** A binary COPY of one row with one field. */
function copyOf(data: Uint8Array): Buffer {
  const head = Buffer.concat([Buffer.from('PGCOPY\n\u00ff\r\n\0', 'latin1'), Buffer.alloc(14)]);
  head.writeInt16BE(1, 19);
  head.writeInt32BE(data.length, 21);
  return Buffer.concat([head, data, Buffer.of(0xff, 0xff)]);
}

async function fileOf(
  tables: readonly Uint8Array[],
  overrides: Partial<BackupHeader> = {},
  rows = 1,
): Promise<Buffer> {
  const out: Buffer[] = [];
  const writer = createBackupWriter(async (bytes) => void out.push(bytes));
  await writer.header({ ...header, ...overrides });
  for (const [i, table] of tables.entries()) {
    await writer.beginTable({ table: `t${i}`, partition: null, columns: [{ name: 'a', type: 'uuid' }] });
    const data = copyOf(table);
    for (let at = 0; at < data.length; at += 700_000) await writer.write(data.subarray(at, at + 700_000));
    await writer.endTable(rows);
  }
  await writer.finish();
  return Buffer.concat(out);
}

async function read(file: Buffer, pieceBytes = 1 << 20): Promise<BackupPiece[]> {
  async function* source(): AsyncGenerator<Buffer> {
    for (let at = 0; at < file.length; at += pieceBytes) yield file.subarray(at, at + pieceBytes);
  }
  const pieces: BackupPiece[] = [];
  for await (const piece of readBackup(source())) pieces.push(piece);
  return pieces;
}

/** The code of the AppError that reading throws; anything else that is thrown fails the test. */
async function refusal(file: Buffer): Promise<string> {
  try {
    await read(file);
  } catch (error) {
    if (error instanceof AppError) return error.code;
    throw error;
  }
  return 'accepted';
}

const noise = (bytes: number): Buffer => {
  const out = Buffer.alloc(bytes);
  for (let i = 0, x = 1; i < bytes; i++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    out[i] = x >>> 24;
  }
  return out;
};

test('what was written is read, in pieces of any size', async () => {
  const tables = [
    noise(10),
    noise(backupLimits.blockBytes * 2 + 7),
    Buffer.alloc(0),
    noise(backupLimits.blockBytes),
  ];
  const file = await fileOf(tables);
  for (const pieceBytes of [1 << 20, 4096]) {
    const pieces = await read(file, pieceBytes);
    expect(pieces[0]).toEqual({ type: 'header', header });
    const found: Buffer[][] = [];
    for (const piece of pieces) {
      if (piece.type === 'table') found.push([]);
      if (piece.type === 'data') found.at(-1)!.push(piece.bytes);
    }
    expect(found).toHaveLength(tables.length);
    for (const [i, parts] of found.entries())
      expect(Buffer.concat(parts).equals(copyOf(tables[i]!))).toBe(true);
    expect(pieces.at(-1)).toMatchObject({
      type: 'end',
      summary: { parts: 4, rows: 4, bytes: 3 * backupLimits.blockBytes + 17 + 4 * 27 },
      sha256: file.subarray(-32).toString('hex'),
    });
  }
});

test('any changed byte, any cut and anything added is found', async () => {
  const file = await fileOf([noise(300), Buffer.from('a'.repeat(900))]);
  for (let at = 0; at < file.length; at++) {
    const changed = Buffer.from(file);
    changed[at]! ^= 1 << (at % 8);
    expect(await refusal(changed), `byte ${at}`).not.toBe('accepted');
    expect(await refusal(file.subarray(0, at)), `cut at ${at}`).toBe('malformed-message');
  }
  expect(await refusal(Buffer.concat([file, Buffer.of(0)]))).toBe('malformed-message');
  expect(await refusal(Buffer.concat([file, file]))).toBe('malformed-message');
});

test('a table that was left out is found, also with a checksum that fits', async () => {
  const file = await fileOf([noise(300), noise(301), noise(302)]);
  const second = file.indexOf('"t1"') - '{"table":'.length - 9;
  const third = file.indexOf('"t2"') - '{"table":'.length - 9;
  const without = Buffer.concat([file.subarray(0, second), file.subarray(third, -32)]);
  expect(await refusal(sealed(without))).toBe('malformed-message');
});

test('a table with fewer rows than it states is found, also with checksums that fit', async () => {
  await expect(read(await fileOf([noise(300)], {}, 2))).rejects.toThrow('other rows than it says');
});

test('a newer format is called newer, and other files are no back-ups', async () => {
  const newer = await fileOf([]);
  newer.writeUInt16LE(2, 8);
  expect(await refusal(newer)).toBe('unsupported-version');
  expect(await refusal(Buffer.from('PGDMP and so on, a dump of another program'))).toBe('malformed-message');
  expect(await refusal(Buffer.alloc(0))).toBe('malformed-message');
});

test('nothing that could get into a statement passes as a name, a bound or an option', async () => {
  const [first, second] = header.partitions;
  const hostile: Partial<BackupHeader>[] = [
    { partitions: [{ ...first!, name: 'a"; drop table x; --' }] },
    { partitions: [{ ...first!, bound: "FOR VALUES IN ('0'); drop table x" }] },
    { partitions: [{ ...first!, bound: 'DEFAULT' }] },
    { partitions: [{ ...second!, options: ['a=1) ; drop table x; --'] }] },
    { partitions: [{ ...first!, key: 'RANGE ((f()))' }] },
  ];
  for (const overrides of hostile) {
    const text = JSON.stringify({ ...header, ...overrides });
    const head = Buffer.alloc(9);
    head.writeUInt8(1, 0);
    head.writeUInt32LE(Buffer.byteLength(text), 1);
    head.writeUInt32LE(Buffer.byteLength(text), 5);
    const file = Buffer.concat([(await fileOf([])).subarray(0, 12), head, Buffer.from(text)]);
    await expect(read(sealed(file))).rejects.toThrow('its header has a wrong value');
  }
});

test('a block that claims to be huge is refused before it is unpacked', async () => {
  const file = await fileOf([noise(300)]);
  const at = file.indexOf(Buffer.from([3, 0x47, 1, 0, 0]));
  expect(at).toBeGreaterThan(0);
  const huge = Buffer.from(file);
  huge.writeUInt32LE(0xffff_ffff, at + 1);
  await expect(read(huge)).rejects.toThrow('impossible size');
  huge.writeUInt32LE(0xffff_fff0, at + 5);
  await expect(read(huge)).rejects.toThrow('impossible size');
});

/** With a checksum that fits: what somebody writes on purpose. */
function sealed(withoutDigest: Buffer): Buffer {
  return Buffer.concat([withoutDigest, createHash('sha256').update(withoutDigest).digest()]);
}

test('hostile files are refused with a code, and never crash the reader', async () => {
  const file = await fileOf([noise(300), Buffer.from('b'.repeat(5000))]);
  const edit = fc.record({ at: fc.nat(file.length - 33), byte: fc.nat(255), insert: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      fc.array(edit, { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      async (edits, isSealed) => {
        let changed = Buffer.from(file.subarray(0, -32));
        for (const { at, byte, insert } of edits)
          if (insert)
            changed = Buffer.concat([changed.subarray(0, at), Buffer.of(byte), changed.subarray(at)]);
          else changed[at] = byte;
        const code = await refusal(isSealed ? sealed(changed) : Buffer.concat([changed, file.subarray(-32)]));
        // With a checksum that fits, what was changed may be a back-up again, of something else.
        const isSame = changed.equals(file.subarray(0, -32));
        expect(isSealed || (code === 'accepted') === isSame).toBe(true);
      },
    ),
    { numRuns: 400 },
  );
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (bytes) => {
      const prefix = file.subarray(0, 12);
      expect(await refusal(Buffer.concat([prefix, bytes]))).not.toBe('accepted');
      expect(await refusal(Buffer.from(bytes))).not.toBe('accepted');
    }),
  );
});
