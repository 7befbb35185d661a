/**
 * Owns what sealing was compared with: simpler ways to pack a block's values, each on the same pieces as the one that
 * was chosen. Only values are packed by these; times come on top.
 */

import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

import { AppError } from '#base/errors.ts';
import { accumulate, createPlaneReader, createPlaneWriter, difference } from '#store/byte-planes.ts';
import { blockLimits, packBlock, unpackBlock } from '#store/sealed-codec.ts';
import type { SetStream } from '#bench/seal/sets.ts';
import { liveChunks } from '#bench/seal/live-chunks.ts';

export interface CandidateFigures {
  readonly bytes: number;
  readonly packMs: number;
  readonly unpackMs: number;
}

export interface Candidate {
  readonly name: string;
  /** Packs and unpacks the stream piece by piece; throws when what comes out differs. */
  measure(stream: SetStream): Promise<CandidateFigures>;
}

interface Piece {
  readonly n: number;
  readonly data: Buffer;
}

type Transform = (column: Uint32Array, width: 2 | 4) => Uint32Array;

const LEVEL = 3;
const zstd = (bytes: Uint8Array): Buffer =>
  zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: LEVEL } });

export const candidates: readonly Candidate[] = [
  simple('zstd of the rows', {
    pack: ({ data }) => zstd(data),
    unpack: (bytes) => zstdDecompressSync(bytes),
  }),
  shuffled('byte shuffle', { forward: same, back: same }),
  shuffled('xor + shuffle', { forward: xorForward, back: xorBack }),
  shuffled('delta + shuffle', {
    forward: (column, width) => difference(column, width, 1),
    back: (column, width) => accumulate(column, width, 1),
  }),
  shuffled('second difference + shuffle', {
    forward: (column, width) => difference(column, width, 2),
    back: (column, width) => accumulate(column, width, 2),
  }),
  {
    name: 'sealed, times included',
    async measure(stream) {
      let [bytes, packMs, unpackMs] = [0, 0, 0];
      for (const chunks of piecesOfChunks(stream)) {
        const startedMs = performance.now();
        const block = await packBlock(chunks, stream);
        packMs += performance.now() - startedMs;
        bytes += block.length;
        const unpackStartedMs = performance.now();
        const unpacked = unpackBlock(block);
        unpackMs += performance.now() - unpackStartedMs;
        const data = Buffer.concat(chunks.map((chunk) => chunk.data));
        if (!unpacked.ok || Buffer.compare(unpacked.value.data, data) !== 0)
          throw new AppError('internal', 'a sealed block came back otherwise');
      }
      return { bytes, packMs, unpackMs };
    },
  },
];

function readingsPerPiece({ axisCount, encoding }: SetStream): number {
  const readingBytes = axisCount * (encoding === 'float32' ? 4 : 2);
  return Math.min(blockLimits.readings, Math.floor(blockLimits.dataBytes / readingBytes));
}

function* piecesOfChunks(stream: SetStream) {
  const chunks = liveChunks(stream);
  const perPiece = Math.floor(readingsPerPiece(stream) / 50);
  for (let from = 0; from < chunks.length; from += perPiece) yield chunks.slice(from, from + perPiece);
}

function simple(
  name: string,
  codec: {
    pack: (piece: Piece, stream: SetStream) => Buffer;
    unpack: (bytes: Buffer, n: number, stream: SetStream) => Buffer;
  },
): Candidate {
  return {
    name,
    async measure(stream) {
      const perPiece = readingsPerPiece(stream);
      const readingBytes = stream.data.length / stream.n;
      let [bytes, packMs, unpackMs] = [0, 0, 0];
      for (let from = 0; from < stream.n; from += perPiece) {
        const n = Math.min(perPiece, stream.n - from);
        const data = stream.data.subarray(from * readingBytes, (from + n) * readingBytes);
        const startedMs = performance.now();
        const packed = codec.pack({ n, data }, stream);
        packMs += performance.now() - startedMs;
        bytes += packed.length;
        const unpackStartedMs = performance.now();
        const back = codec.unpack(packed, n, stream);
        unpackMs += performance.now() - unpackStartedMs;
        if (Buffer.compare(back, data) !== 0) throw new AppError('internal', `${name} came back otherwise`);
      }
      return { bytes, packMs, unpackMs };
    },
  };
}

function shuffled(name: string, { forward, back }: { forward: Transform; back: Transform }): Candidate {
  return simple(name, {
    pack({ n, data }, { axisCount, encoding }) {
      const width = encoding === 'float32' ? 4 : 2;
      const planes = createPlaneWriter();
      for (let axis = 0; axis < axisCount; axis++) {
        const column = new Uint32Array(n);
        for (let i = 0, at = axis * width; i < n; i++, at += axisCount * width)
          column[i] = width === 4 ? data.readUInt32LE(at) : data.readUInt16LE(at);
        planes.add(forward(column, width), width);
      }
      return zstd(Buffer.concat(planes.planes));
    },
    unpack(bytes, n, { axisCount, encoding }) {
      const width = encoding === 'float32' ? 4 : 2;
      const planes = createPlaneReader(zstdDecompressSync(bytes));
      const data = Buffer.alloc(n * axisCount * width);
      for (let axis = 0; axis < axisCount; axis++) {
        const column = back(planes.next(n, width), width);
        for (let i = 0, at = axis * width; i < n; i++, at += axisCount * width)
          if (width === 4) data.writeUInt32LE(column[i]!, at);
          else data.writeUInt16LE(column[i]!, at);
      }
      return data;
    },
  });
}

function same(column: Uint32Array): Uint32Array {
  return column;
}

function xorForward(column: Uint32Array): Uint32Array {
  return column.map((value, i) => (i === 0 ? value : value ^ column[i - 1]!));
}

function xorBack(column: Uint32Array): Uint32Array {
  for (let i = 1; i < column.length; i++) column[i] = column[i]! ^ column[i - 1]!;
  return column;
}
