/**
 * Owns the format of a back-up file, which can be written to and read from a stream: records in the order header, then
 * for each part of a table its head, blocks of COPY bytes compressed with zstd, and its end, then a summary, then the
 * SHA-256 of everything before. A file that was cut, changed or mixed is found by reading it once. Bounds: a block, and
 * COMPRESSING of them at once when writing.
 *
 *     file   := magic[8] version:u16 zero:u16 record* sha256[32]
 *     record := kind:u8 rawBytes:u32 storedBytes:u32 payload[storedBytes]        (little endian)
 */

import { createHash, type Hash } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';

import { Type, type Static, type TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import { createCopyRowCounter, type CopyRowCounter } from '#store/copy-rows.ts';

/** Not text, and damaged by every transfer that takes it for text (the idea is PNG's). */
const MAGIC = Buffer.from([0x89, 0x4b, 0x59, 0x4d, 0x4f, 0x0d, 0x0a, 0x1a]);
export const BACKUP_FORMAT = 1;
const PREFIX_BYTES = 12;
const RECORD_HEADER_BYTES = 9;
const DIGEST_BYTES = 32;

export const backupLimits = {
  /** COPY bytes of a block: zstd gains nothing from more, and a reader holds two of them. */
  blockBytes: 1024 * 1024,
  /** The largest block that is read: what is written, and the last piece of a COPY that ran over. */
  maxBlockBytes: 8 * 1024 * 1024,
  /** A header names every partition: 8 classes x 10 years of days in two tables are 6 MiB. */
  jsonBytes: 16 * 1024 * 1024,
} as const;

/** Blocks that are compressed at once: one for each of the cores that a small server can spare. */
const COMPRESSING = 2;
/** Readings are noise to a compressor: a higher level costs several times the time for some percent. */
const LEVEL = 1;

const strict = { additionalProperties: false } as const;
const Identifier = Type.String({ pattern: '^[a-z_][a-z0-9_]{0,62}$' });
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });
const day = `'\\d{4}-\\d\\d-\\d\\d'`;

const Partition = Type.Object(
  {
    name: Identifier,
    parent: Identifier,
    /** As pg_get_expr writes it; nothing else gets into a statement. */
    bound: Type.String({ pattern: `^FOR VALUES (IN \\('?\\d{1,4}'?\\)|FROM \\(${day}\\) TO \\(${day}\\))$` }),
    /** Of one that has partitions of its own. */
    key: Type.Union([Type.String({ pattern: '^(RANGE|LIST) \\([a-z_][a-z0-9_]{0,62}\\)$' }), Type.Null()]),
    options: Type.Array(Type.String({ pattern: '^[a-z_.]{1,64}=[a-z0-9_.-]{1,32}$' }), { maxItems: 32 }),
  },
  strict,
);
export type BackupPartition = Static<typeof Partition>;

const Header = Type.Object(
  {
    /** Version of the program that wrote it. */
    kymo: Type.String({ maxLength: 64 }),
    /** Applied migrations, in order. */
    migrations: Type.Array(Type.String({ pattern: '^[a-z0-9-]{1,100}$' }), { minItems: 1, maxItems: 10_000 }),
    incarnation: Type.String({ pattern: '^[0-9a-f-]{36}$' }),
    /** By the database's clock; ISO 8601, UTC. */
    snapshotAt: Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT[0-9:.]{8,20}Z$' }),
    postgres: Type.String({ maxLength: 128 }),
    /** Parents before their partitions. */
    partitions: Type.Array(Partition),
    sequences: Type.Array(
      Type.Object(
        { name: Identifier, value: Type.String({ pattern: '^-?\\d{1,19}$' }), isCalled: Type.Boolean() },
        strict,
      ),
    ),
  },
  strict,
);
export type BackupHeader = Static<typeof Header>;

/** A table, or one partition of one. A table comes after those that it refers to. */
const TableHead = Type.Object(
  {
    table: Identifier,
    partition: Type.Union([Identifier, Type.Null()]),
    columns: Type.Array(Type.Object({ name: Identifier, type: Type.String({ maxLength: 128 }) }, strict), {
      minItems: 1,
      maxItems: 1600,
    }),
  },
  strict,
);
export type BackupTableHead = Static<typeof TableHead>;

const TableEnd = Type.Object({ rows: Count, bytes: Count, sha256: Sha256 }, strict);
export type BackupTableEnd = Static<typeof TableEnd>;

const Summary = Type.Object({ parts: Count, rows: Count, bytes: Count }, strict);
export type BackupSummary = Static<typeof Summary>;

const BLOCK = 3;
const documents = { header: 1, table: 2, tableEnd: 4, summary: 5 } as const;
type Document = keyof typeof documents;
const validators: Record<Document, Validator> = {
  header: compile(Header),
  table: compile(TableHead),
  tableEnd: compile(TableEnd),
  summary: compile(Summary),
};

function compile(schema: TSchema): Validator {
  return Compile(schema);
}

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

export interface BackupWriter {
  header(header: BackupHeader): Promise<void>;
  beginTable(head: BackupTableHead): Promise<void>;
  /** Takes the bytes over. Resolves when there is room for more. */
  write(bytes: Buffer): Promise<void>;
  endTable(rows: number): Promise<BackupTableEnd>;
  /** Writes the summary and the checksum of the whole, which is returned. */
  finish(): Promise<{ summary: BackupSummary; sha256: string; fileBytes: number }>;
}

/** A file written piece by piece to `sink`, which is called again only after its promise has resolved. */
export function createBackupWriter(sink: (bytes: Buffer) => Promise<void>): BackupWriter {
  const whole = createHash('sha256');
  const total = { parts: 0, rows: 0, bytes: 0 };
  let fileBytes = 0;
  let part: { hash: Hash; bytes: number } | null = null;
  let gathered: Buffer[] = [];
  let gatheredBytes = 0;
  const compressing: Promise<Buffer>[] = [];

  async function emit(bytes: Buffer): Promise<void> {
    whole.update(bytes);
    fileBytes += bytes.length;
    await sink(bytes);
  }

  async function emitDocument(kind: Document, value: unknown): Promise<void> {
    const payload = Buffer.from(JSON.stringify(value));
    assert(validators[kind].Check(value), `a valid ${kind}`);
    assert(payload.length <= backupLimits.jsonBytes, `a ${kind} within its limit`);
    await emit(record(documents[kind], payload.length, payload));
  }

  async function cutBlock(): Promise<void> {
    if (gatheredBytes === 0) return;
    const raw = gathered.length === 1 ? gathered[0]! : Buffer.concat(gathered, gatheredBytes);
    gathered = [];
    gatheredBytes = 0;
    part!.hash.update(raw);
    part!.bytes += raw.length;
    const block = compress(raw, { params: { [constants.ZSTD_c_compressionLevel]: LEVEL } }).then((stored) =>
      record(BLOCK, raw.length, stored),
    );
    // Awaited below, in order; one that fails before must not end the process.
    block.catch(() => undefined);
    compressing.push(block);
    if (compressing.length > COMPRESSING) await emit(await compressing.shift()!);
  }

  return {
    async header(header) {
      const prefix = Buffer.alloc(PREFIX_BYTES);
      MAGIC.copy(prefix);
      prefix.writeUInt16LE(BACKUP_FORMAT, MAGIC.length);
      await emit(prefix);
      await emitDocument('header', header);
    },
    async beginTable(head) {
      assert(part === null, 'one table after the other');
      part = { hash: createHash('sha256'), bytes: 0 };
      await emitDocument('table', head);
    },
    async write(bytes) {
      for (let at = 0; at < bytes.length;) {
        const piece = bytes.subarray(at, at + backupLimits.blockBytes - gatheredBytes);
        gathered.push(piece);
        gatheredBytes += piece.length;
        at += piece.length;
        if (gatheredBytes >= backupLimits.blockBytes) await cutBlock();
      }
    },
    async endTable(rows) {
      await cutBlock();
      for (const block of compressing.splice(0)) await emit(await block);
      assert(part !== null, 'a table that began');
      const end = { rows, bytes: part.bytes, sha256: part.hash.digest('hex') };
      part = null;
      total.parts++;
      total.rows += rows;
      total.bytes += end.bytes;
      await emitDocument('tableEnd', end);
      return end;
    },
    async finish() {
      await emitDocument('summary', total);
      const digest = whole.digest();
      fileBytes += digest.length;
      await sink(digest);
      return { summary: { ...total }, sha256: digest.toString('hex'), fileBytes };
    },
  };
}

function record(kind: number, rawBytes: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(RECORD_HEADER_BYTES);
  head.writeUInt8(kind, 0);
  head.writeUInt32LE(rawBytes, 1);
  head.writeUInt32LE(payload.length, 5);
  return Buffer.concat([head, payload]);
}

export type BackupPiece =
  | { readonly type: 'header'; readonly header: BackupHeader }
  | { readonly type: 'table'; readonly head: BackupTableHead }
  | { readonly type: 'data'; readonly bytes: Buffer }
  | { readonly type: 'tableEnd'; readonly end: BackupTableEnd }
  | { readonly type: 'end'; readonly summary: BackupSummary; readonly sha256: string };

/**
 * What is in a file, in order, each table checked at its end and the whole at `end`: nothing is proven before that.
 * Throws AppError: `malformed-message` when it is no back-up, or a damaged or incomplete one; `unsupported-version` when a
 * newer Kymo wrote it.
 */
export async function* readBackup(source: AsyncIterable<Buffer>): AsyncGenerator<BackupPiece, undefined> {
  const input = createInput(source);
  await readPrefix(input);
  const header = await readRecord(input);
  if (header.kind !== 'header') throw damaged('it does not begin with a header');
  yield { type: 'header', header: header.value as BackupHeader };
  const total = { parts: 0, rows: 0, bytes: 0 };
  let part: { hash: Hash; bytes: number; counter: CopyRowCounter } | null = null;
  for (;;) {
    const next = await readRecord(input);
    if (next.kind === 'block' && part !== null) {
      part.hash.update(next.raw);
      part.bytes += next.raw.length;
      part.counter.add(next.raw);
      yield { type: 'data', bytes: next.raw };
    } else if (next.kind === 'table' && part === null) {
      part = { hash: createHash('sha256'), bytes: 0, counter: createCopyRowCounter() };
      yield { type: 'table', head: next.value as BackupTableHead };
    } else if (next.kind === 'tableEnd' && part !== null) {
      const end = next.value as BackupTableEnd;
      if (end.bytes !== part.bytes || end.sha256 !== part.hash.digest('hex'))
        throw damaged('a table differs from its checksum');
      if (end.rows !== part.counter.rows || !part.counter.isWhole)
        throw damaged('a table has other rows than it says');
      part = null;
      total.parts++;
      total.rows += end.rows;
      total.bytes += end.bytes;
      yield { type: 'tableEnd', end };
    } else if (next.kind === 'summary' && part === null) {
      const summary = next.value as BackupSummary;
      if (JSON.stringify(summary) !== JSON.stringify(total)) throw damaged('tables are missing or doubled');
      yield { type: 'end', summary, sha256: await readDigest(input) };
      return;
    } else throw damaged('its records are in a wrong order');
  }
}

async function readPrefix(input: Input): Promise<void> {
  const prefix = await input.take(PREFIX_BYTES);
  if (!prefix.subarray(0, MAGIC.length).equals(MAGIC))
    throw new AppError('malformed-message', 'this is not a back-up of Kymo');
  const format = prefix.readUInt16LE(MAGIC.length);
  if (format > BACKUP_FORMAT)
    throw new AppError(
      'unsupported-version',
      `the back-up has format ${format}, and this Kymo reads up to ${BACKUP_FORMAT}: use the Kymo that wrote it, or a newer one`,
    );
  if (format !== BACKUP_FORMAT || prefix.readUInt16LE(10) !== 0) throw damaged('its format is unknown');
}

type ReadRecord =
  | { readonly kind: 'block'; readonly raw: Buffer }
  | { readonly kind: Document; readonly value: unknown };

async function readRecord(input: Input): Promise<ReadRecord> {
  const head = await input.take(RECORD_HEADER_BYTES);
  const kind = head.readUInt8(0);
  const rawBytes = head.readUInt32LE(1);
  const storedBytes = head.readUInt32LE(5);
  if (kind === BLOCK) {
    if (rawBytes === 0 || rawBytes > backupLimits.maxBlockBytes || storedBytes > rawBytes + 65_536)
      throw damaged('a block has an impossible size');
    return { kind: 'block', raw: await inflate(await input.take(storedBytes), rawBytes) };
  }
  const name = (Object.keys(documents) as Document[]).find((each) => documents[each] === kind);
  if (name === undefined) throw damaged(`it has a record of the unknown kind ${kind}`);
  if (storedBytes !== rawBytes || storedBytes > backupLimits.jsonBytes)
    throw damaged(`its ${name} has an impossible size`);
  return { kind: name, value: parseDocument(name, await input.take(storedBytes)) };
}

async function inflate(stored: Buffer, rawBytes: number): Promise<Buffer> {
  try {
    const raw = await decompress(stored, { maxOutputLength: rawBytes });
    if (raw.length === rawBytes) return raw;
  } catch (cause) {
    throw damaged('a block cannot be unpacked', cause);
  }
  throw damaged('a block has another size than it says');
}

function parseDocument(name: Document, payload: Buffer): unknown {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString('utf8'));
  } catch (cause) {
    throw damaged(`its ${name} is no JSON`, cause);
  }
  if (!validators[name].Check(value)) throw damaged(`its ${name} has a wrong value`);
  return value;
}

async function readDigest(input: Input): Promise<string> {
  const expected = input.digest();
  const stated = await input.take(DIGEST_BYTES);
  if (!stated.equals(expected)) throw damaged('it differs from its checksum');
  if (!(await input.isAtEnd())) throw damaged('something follows its end');
  return expected.toString('hex');
}

function damaged(what: string, cause?: unknown): AppError {
  return new AppError(
    'malformed-message',
    `the back-up is damaged: ${what}`,
    cause === undefined ? {} : { cause },
  );
}

interface Input {
  /** The next `count` bytes; throws when the file ends before. */
  take(count: number): Promise<Buffer>;
  /** SHA-256 of everything taken so far. */
  digest(): Buffer;
  isAtEnd(): Promise<boolean>;
}

function createInput(source: AsyncIterable<Buffer>): Input {
  const iterator = source[Symbol.asyncIterator]();
  const whole = createHash('sha256');
  let chunks: Buffer[] = [];
  let available = 0;

  /** False when the source has ended. */
  async function pull(): Promise<boolean> {
    const next = await iterator.next();
    if (next.done === true) return false;
    chunks.push(next.value);
    available += next.value.length;
    return true;
  }

  return {
    async take(count) {
      while (available < count) if (!(await pull())) throw damaged('it ends too early');
      const all = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, available);
      const taken = all.subarray(0, count);
      chunks = [all.subarray(count)];
      available -= count;
      whole.update(taken);
      return taken;
    },
    digest: () => whole.copy().digest(),
    async isAtEnd() {
      while (available === 0) if (!(await pull())) return true;
      return false;
    },
  };
}
