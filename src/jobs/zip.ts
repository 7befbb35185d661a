/**
 * Owns the writing of zip files (PKWARE APPNOTE 6.3.10) as a stream: what is in them comes as streams too, so that neither is
 * in memory as a whole. No Zip64: an entry is under 4 GiB, and so is the whole. Names are UTF-8.
 */

import { Readable, pipeline } from 'node:stream';
import { constants, crc32, createDeflateRaw } from 'node:zlib';

import { AppError } from '#base/errors.ts';

export interface ZipEntry {
  /** With `/` between folders. */
  readonly name: string;
  readonly content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** False for what is packed already. Default true. */
  readonly isPackable?: boolean;
}

const MOST_BYTES = 0xffff_ffff;
const STORED = 0;
const DEFLATED = 8;
/** Sizes follow the data (bit 3); names are UTF-8 (bit 11). */
const FLAGS = 0x0808;
const VERSION = 20;

interface WrittenEntry {
  readonly name: Buffer;
  readonly method: number;
  readonly offset: number;
  readonly checksum: number;
  readonly packedBytes: number;
  readonly bytes: number;
}

/** The bytes of a zip file of these entries, all with the time `atMs`. Passes on what their contents throw. */
export async function* zipBytes(
  entries: AsyncIterable<ZipEntry> | Iterable<ZipEntry>,
  atMs: number,
): AsyncGenerator<Uint8Array, void> {
  const time = dosTime(atMs);
  const written: WrittenEntry[] = [];
  let offset = 0;
  for await (const entry of entries) {
    const name = Buffer.from(entry.name);
    const method = entry.isPackable === false ? STORED : DEFLATED;
    const header = localHeader(name, method, time);
    yield header;
    let checksum = 0;
    let bytes = 0;
    let packedBytes = 0;
    async function* counted(): AsyncGenerator<Uint8Array, void> {
      for await (const piece of entry.content) {
        checksum = crc32(piece, checksum);
        bytes += piece.length;
        yield piece;
      }
    }
    for await (const piece of method === STORED ? counted() : deflated(counted())) {
      packedBytes += piece.length;
      yield piece;
    }
    if (bytes > MOST_BYTES || offset + packedBytes > MOST_BYTES)
      throw new AppError('limit-exceeded', 'the export is larger than 4 GiB: export single streams');
    const end = descriptor(checksum, packedBytes, bytes);
    yield end;
    written.push({ name, method, offset, checksum, packedBytes, bytes });
    offset += header.length + packedBytes + end.length;
  }
  yield directory(written, offset, time);
}

/** At the quickest level: readings shrink to a third with it, and little more with any other. */
async function* deflated(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const deflate = createDeflateRaw({ level: constants.Z_BEST_SPEED });
  // A failure of the source comes out of the iteration below.
  pipeline(Readable.from(content, { objectMode: false }), deflate, () => undefined);
  for await (const piece of deflate) yield piece as Buffer;
}

function localHeader(name: Buffer, method: number, time: number): Buffer {
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x0403_4b50, 0);
  header.writeUInt16LE(VERSION, 4);
  header.writeUInt16LE(FLAGS, 6);
  header.writeUInt16LE(method, 8);
  header.writeUInt32LE(time, 10);
  header.writeUInt16LE(name.length, 26);
  return Buffer.concat([header, name]);
}

function descriptor(checksum: number, packedBytes: number, bytes: number): Buffer {
  const end = Buffer.alloc(16);
  end.writeUInt32LE(0x0807_4b50, 0);
  end.writeUInt32LE(checksum, 4);
  end.writeUInt32LE(packedBytes, 8);
  end.writeUInt32LE(bytes, 12);
  return end;
}

function directory(entries: readonly WrittenEntry[], offset: number, time: number): Buffer {
  const heads = entries.map((entry) => {
    const head = Buffer.alloc(46);
    head.writeUInt32LE(0x0201_4b50, 0);
    head.writeUInt16LE(VERSION, 4);
    head.writeUInt16LE(VERSION, 6);
    head.writeUInt16LE(FLAGS, 8);
    head.writeUInt16LE(entry.method, 10);
    head.writeUInt32LE(time, 12);
    head.writeUInt32LE(entry.checksum, 16);
    head.writeUInt32LE(entry.packedBytes, 20);
    head.writeUInt32LE(entry.bytes, 24);
    head.writeUInt16LE(entry.name.length, 28);
    head.writeUInt32LE(entry.offset, 42);
    return Buffer.concat([head, entry.name]);
  });
  const size = heads.reduce((sum, { length }) => sum + length, 0);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x0605_4b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(size, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...heads, end]);
}

/** Time and date of MS-DOS, in UTC; they begin in 1980 and count in steps of two seconds. */
function dosTime(atMs: number): number {
  const at = new Date(Math.max(atMs, Date.UTC(1980, 0, 1)));
  const date = ((at.getUTCFullYear() - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate();
  const time = (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1);
  return ((date << 16) | time) >>> 0;
}
