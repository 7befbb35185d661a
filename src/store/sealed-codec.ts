/**
 * Owns the sealed block: the readings of many consecutive chunks as one compressed, checked piece of bytes, without loss
 * for any bit pattern. Columns become byte planes (byte-planes.ts), and these one Zstandard frame in which every large
 * plane is a block with statistics of its own. Pure but for the thread pool that compresses. Bound: `blockLimits`.
 *
 * Layout, little endian: u8 version, u8 bytes of a value, u16 axes, u32 readings, u32 segments, u8 1 when times are
 * explicit, u8 arrival method, u8 order of times, u8 zero, u32 CRC-32 of what follows in plain form (segments, explicit
 * times, data), u32 CRC-32 of this head and the methods with this field zero; u32 an axis: order | listed << 8; the frame.
 */

import { constants, crc32, createZstdCompress, zstdDecompressSync } from 'node:zlib';

import { assert } from '#base/assert.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { createPlaneReader, createPlaneWriter, type DifferenceOrder } from '#store/byte-planes.ts';
import type { PackedChunk } from '#store/chunk-codec.ts';
import {
  decodeTimes,
  encodeTimes,
  SEGMENT_BYTES,
  SEGMENT_PLANES,
  type ArrivalMethod,
  type PlainTimes,
} from '#store/sealed-times.ts';
import {
  axisPlanes,
  decodeAxis,
  encodeAxis,
  maxListed,
  type AxisMethod,
  type ValueWidth,
} from '#store/sealed-values.ts';

export const blockLimits = {
  /** 80 s at 200 Hz. Blocks twice as large save another 1 to 4 % and cost a reader of one second twice as much. */
  readings: 16_384,
  /** Of packed values: unpacking this takes about 4 ms. */
  dataBytes: 512 * 1024,
} as const;

/** Far above what a block can be: a damaged head must not make anyone allocate more. */
const MAX_READINGS = 1 << 17;
const MAX_AXES = 64;

const VERSION = 1;
const HEAD_BYTES = 24;
const HEAD_CRC_AT = 20;
/** A smaller plane shares its statistics with the next one: tables of its own would cost more. */
const OWN_BLOCK_BYTES = 1024;
const LEVEL = 1;

/** What one reading consists of. */
export interface BlockLayout {
  readonly axisCount: number;
  readonly encoding: 'float32' | 'int16';
}

/** Packs chunks that follow each other without a gap. Asserts that they fit each other and the layout. */
export async function packBlock(chunks: readonly PackedChunk[], layout: BlockLayout): Promise<Buffer> {
  const { axisCount } = layout;
  const width: ValueWidth = layout.encoding === 'float32' ? 4 : 2;
  const plain = joinChunks(chunks);
  assert(plain.data.length === plain.n * axisCount * width, 'the data have the size of the layout');
  assert(plain.n > 0 && plain.n <= MAX_READINGS && axisCount <= MAX_AXES, 'a block is bounded');
  const planes = createPlaneWriter();
  const times = plainTimes(chunks, plain);
  const timesMethod = encodeTimes(times, planes);
  const methods: AxisMethod[] = [];
  const compressor = createCompressor();
  // An axis at a time: the event loop is free while one is compressed, and none holds it for more than some milliseconds.
  let done = 0;
  for (let axis = 0; axis < axisCount; axis++) {
    methods.push(encodeAxis(axisBits(plain, { axis, axisCount, width }), width, planes));
    await compressor.add(planes.planes.slice(done));
    done = planes.planes.length;
  }
  const head = Buffer.alloc(HEAD_BYTES + axisCount * 4);
  head.writeUInt8(VERSION, 0);
  head.writeUInt8(width, 1);
  head.writeUInt16LE(axisCount, 2);
  head.writeUInt32LE(plain.n, 4);
  head.writeUInt32LE(plain.segments.length / SEGMENT_BYTES, 8);
  head.writeUInt8(plain.deltas === null ? 0 : 1, 12);
  head.writeUInt8(timesMethod.arrival, 13);
  head.writeUInt8(timesMethod.deltaOrder, 14);
  head.writeUInt32LE(checksumOf(plain), 16);
  for (const [axis, { order, listed }] of methods.entries())
    head.writeUInt32LE(order + listed * 256, HEAD_BYTES + axis * 4);
  head.writeUInt32LE(crc32(head), HEAD_CRC_AT);
  return Buffer.concat([head, await compressor.finish()]);
}

/** The readings of a block in the plain form of a chunk, or what is wrong with it. */
export function unpackBlock(block: Uint8Array): Result<PackedChunk, string> {
  const head = parseHead(block);
  if (!head.ok) return head;
  const { n, width, methods, planeBytes } = head.value;
  const planes = decompress(block.subarray(HEAD_BYTES + methods.length * 4), planeBytes);
  if (planes === null) return fail('its compressed bytes are damaged');
  const reader = createPlaneReader(planes);
  const times = decodeTimes(reader, head.value, head.value.times);
  if (times === null) return fail('its segments do not hold its readings');
  const stride = methods.length;
  const rows = width === 4 ? new Uint32Array(n * stride) : new Uint16Array(n * stride);
  for (const [axis, method] of methods.entries())
    if (!decodeAxis(reader, { ...method, width }, { rows, axis, stride }))
      return fail('it names a value that it does not list');
  const plain: PackedChunk = {
    n,
    segments: bytesOf(times.segments),
    deltas: times.deltas === null ? null : bytesOf(times.deltas),
    data: bytesOf(rows),
  };
  return checksumOf(plain) === head.value.checksum ? ok(plain) : fail('its checksum differs');
}

interface BlockHead {
  readonly n: number;
  readonly width: ValueWidth;
  readonly segmentCount: number;
  readonly hasExplicit: boolean;
  readonly times: { readonly arrival: ArrivalMethod; readonly deltaOrder: DifferenceOrder };
  readonly methods: readonly AxisMethod[];
  readonly checksum: number;
  readonly planeBytes: number;
}

function parseHead(block: Uint8Array): Result<BlockHead, string> {
  const view = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  if (view.length < HEAD_BYTES) return fail('it is too short');
  if (view[0] !== VERSION) return fail(`its version is ${view[0]}, this program knows ${VERSION}`);
  const axisCount = view.readUInt16LE(2);
  const headBytes = HEAD_BYTES + axisCount * 4;
  if (axisCount > MAX_AXES || view.length < headBytes) return fail('its head is damaged');
  const head = Buffer.from(view.subarray(0, headBytes));
  head.writeUInt32LE(0, HEAD_CRC_AT);
  if (crc32(head) !== view.readUInt32LE(HEAD_CRC_AT)) return fail('its head is damaged');
  const width = head.readUInt8(1) as ValueWidth;
  const n = head.readUInt32LE(4);
  const segmentCount = head.readUInt32LE(8);
  const methods = Array.from({ length: axisCount }, (_, axis): AxisMethod => {
    const word = head.readUInt32LE(HEAD_BYTES + axis * 4);
    return { order: (word & 255) as DifferenceOrder, listed: word >>> 8 };
  });
  // The checksum holds, so these only fail for a block that a faulty program wrote.
  const isSane =
    (width === 2 || width === 4) &&
    n > 0 &&
    n <= MAX_READINGS &&
    segmentCount <= MAX_READINGS &&
    methods.every(({ order, listed }) => order <= 2 && listed <= maxListed);
  if (!isSane) return fail('its head contradicts itself');
  const hasExplicit = head.readUInt8(12) === 1;
  const planeBytes =
    segmentCount * SEGMENT_PLANES +
    (hasExplicit ? n * 4 : 0) +
    methods.reduce((sum, method) => sum + axisPlanes({ n, width }, method), 0);
  return ok({
    n,
    width,
    segmentCount,
    hasExplicit,
    times: {
      arrival: head.readUInt8(13) as ArrivalMethod,
      deltaOrder: head.readUInt8(14) as DifferenceOrder,
    },
    methods,
    checksum: head.readUInt32LE(16),
    planeBytes,
  });
}

function decompress(frame: Uint8Array, planeBytes: number): Uint8Array | null {
  try {
    // One piece of output: the default makes and joins one every 16 kB.
    const options = {
      chunkSize: Math.max(64, planeBytes + 1),
      maxOutputLength: Math.max(64, planeBytes + 1),
    };
    const planes = zstdDecompressSync(frame, options);
    return planes.length === planeBytes ? planes : null;
  } catch {
    return null;
  }
}

interface Compressor {
  add(planes: readonly Uint8Array[]): Promise<void>;
  finish(): Promise<Buffer>;
}

function createCompressor(): Compressor {
  const stream = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: LEVEL } });
  const parts: Buffer[] = [];
  stream.on('data', (part: Buffer) => parts.push(part));
  const ended = new Promise<void>((resolve, reject) => {
    stream.on('end', resolve);
    stream.on('error', reject);
  });
  // Whoever awaits `finish` hears of a failure; until then it must not count as unhandled.
  ended.catch(() => undefined);
  return {
    async add(planes) {
      for (const plane of planes) {
        stream.write(plane);
        if (plane.length < OWN_BLOCK_BYTES) continue;
        // Flushing ends the block, so that the next plane starts with statistics of its own.
        await new Promise<void>((resolve) => stream.flush(constants.ZSTD_e_flush, resolve));
      }
    },
    async finish() {
      stream.end();
      await ended;
      return Buffer.concat(parts);
    },
  };
}

function joinChunks(chunks: readonly PackedChunk[]): PackedChunk {
  const n = chunks.reduce((sum, chunk) => sum + chunk.n, 0);
  const segments = Buffer.concat(chunks.map((chunk) => chunk.segments));
  const hasExplicit = chunks.some((chunk) => chunk.deltas !== null);
  const data = Buffer.concat(chunks.map((chunk) => chunk.data));
  return { n, segments, deltas: hasExplicit ? joinDeltas(chunks, n) : null, data };
}

/** Even segments among explicit ones get the times that their period says, rounded as everywhere (chunk-codec.ts). */
function joinDeltas(chunks: readonly PackedChunk[], n: number): Buffer {
  const deltas = Buffer.alloc(n * 4);
  let at = 0;
  for (const chunk of chunks) {
    if (chunk.deltas !== null) {
      assert(chunk.deltas.length === chunk.n * 4, 'a chunk has one delta a reading, or none');
      deltas.set(chunk.deltas, at);
      at += chunk.deltas.length;
      continue;
    }
    const segments = Buffer.from(chunk.segments);
    for (let from = 0; from < segments.length; from += SEGMENT_BYTES) {
      const count = segments.readUInt16LE(from);
      const periodNs = segments.readUInt32LE(from + 4);
      for (let i = 0; i < count; i++) at = deltas.writeUInt32LE(Math.floor((i * periodNs + 500) / 1000), at);
    }
  }
  assert(at === deltas.length, 'the segments hold the readings of the chunk');
  return deltas;
}

function plainTimes(chunks: readonly PackedChunk[], plain: PackedChunk): PlainTimes {
  const isExplicit = new Uint8Array(plain.segments.length / SEGMENT_BYTES);
  let segment = 0;
  let readings = 0;
  for (const chunk of chunks) {
    const count = chunk.segments.length / SEGMENT_BYTES;
    assert(Number.isInteger(count) && count > 0, 'segments are of 24 bytes');
    isExplicit.fill(chunk.deltas === null ? 0 : 1, segment, segment + count);
    segment += count;
  }
  const segments = new Int32Array(wordsOf(plain.segments).buffer);
  for (let at = 0; at < segments.length; at += SEGMENT_BYTES / 4) readings += segments[at]! & 0xffff;
  assert(readings === plain.n, 'the segments hold the readings of the chunks');
  return {
    n: plain.n,
    segments,
    isExplicit,
    deltas: plain.deltas === null ? null : wordsOf(plain.deltas),
  };
}

function axisBits(
  { n, data }: PackedChunk,
  { axis, axisCount, width }: { axis: number; axisCount: number; width: ValueWidth },
): Uint32Array {
  const bits = new Uint32Array(n);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const stride = axisCount * width;
  for (let i = 0, at = axis * width; i < n; i++, at += stride)
    bits[i] = width === 4 ? view.getUint32(at, true) : view.getUint16(at, true);
  return bits;
}

function checksumOf({ segments, deltas, data }: PackedChunk): number {
  const ofSegments = crc32(segments);
  return crc32(data, deltas === null ? ofSegments : crc32(deltas, ofSegments));
}

/** A copy as words, since a buffer of the database's may start anywhere. Hosts are little endian, as the formats are. */
function wordsOf(bytes: Uint8Array): Uint32Array {
  const copy = new Uint8Array(bytes.length);
  copy.set(bytes);
  return new Uint32Array(copy.buffer);
}

function bytesOf(words: Int32Array | Uint32Array | Uint16Array): Buffer {
  return Buffer.from(words.buffer, words.byteOffset, words.byteLength);
}
