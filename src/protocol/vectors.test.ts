/** The binary test vectors, in both directions. They were written by a program that shares no code with the codecs. */

import { readFileSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import { errorCodes } from '#protocol/codes.ts';
import { crc32 } from '#protocol/crc32.ts';
import { decodeData, encodeData, frameBytes, readingTimeUs, type DataFrame } from '#protocol/data-codec.ts';
import {
  LIVE_HEADER_BYTES,
  decodeLive,
  encodeLiveFrames,
  writeLiveHeader,
  type LiveFrame,
  type LiveMessage,
} from '#protocol/live-codec.ts';

/** Readings as a person writes them; `values` are rows of axes. */
interface ReadableReadings {
  readonly count: number;
  readonly firstUs: number;
  readonly periodNs: number;
  readonly deltasUs: number[] | null;
  readonly encoding: 'float32' | 'int16';
  readonly values: (number | null)[][];
  readonly timesUs: number[];
}
type ReadableFrame = ReadableReadings &
  Pick<DataFrame, 'ref' | 'firstSeq'> & { readonly creditBytes: number };
type ReadableLiveFrame = ReadableReadings & Omit<LiveFrame, 'payload' | 'deltasUs'>;

interface Vectors<Message> {
  readonly valid: { readonly name: string; readonly hex: string; readonly message: Message }[];
  readonly invalid: {
    readonly name: string;
    readonly hex: string;
    readonly error: { code: string; field?: string };
  }[];
}

function load<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`vectors/${name}.json`, import.meta.url), 'utf8')) as T;
}
const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Rows of axes as bytes: the packing that docs/protocol.md describes, little endian, row by row. */
function pack({ encoding, values }: ReadableReadings): Uint8Array {
  const width = encoding === 'float32' ? 4 : 2;
  const flat = values.flat();
  const view = new DataView(new ArrayBuffer(flat.length * width));
  for (const [i, value] of flat.entries())
    if (encoding === 'float32') view.setFloat32(i * 4, value ?? Number.NaN, true);
    else view.setInt16(i * 2, value ?? 0, true);
  return new Uint8Array(view.buffer);
}

function unpack(payload: Uint8Array, { encoding, values }: ReadableReadings): (number | null)[][] {
  const width = encoding === 'float32' ? 4 : 2;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const axes = values[0]!.length;
  const at = (i: number): number => (width === 4 ? view.getFloat32(i * 4, true) : view.getInt16(i * 2, true));
  return Array.from({ length: payload.length / width / axes }, (_, row) =>
    Array.from({ length: axes }, (__, axis) => {
      const value = at(row * axes + axis);
      return Number.isNaN(value) ? null : value;
    }),
  );
}

const packDeltas = (deltasUs: number[] | null): Uint8Array | null => {
  if (deltasUs === null) return null;
  const view = new DataView(new ArrayBuffer(deltasUs.length * 4));
  for (const [i, delta] of deltasUs.entries()) view.setUint32(i * 4, delta, true);
  return new Uint8Array(view.buffer);
};
const timesOf = (frame: Pick<DataFrame, 'count' | 'firstUs' | 'periodNs' | 'deltasUs'>): number[] =>
  Array.from({ length: frame.count }, (_, i) => readingTimeUs(frame, i));

describe('data messages', () => {
  interface Readable {
    readonly liveOnly: boolean;
    readonly historical: boolean;
    readonly sentUs: number;
    readonly frames: ReadableFrame[];
  }
  const { valid, invalid } = load<Vectors<Readable>>('data-messages');
  const frameOf = (readable: ReadableFrame): DataFrame => {
    const { ref, firstSeq, count, firstUs, periodNs } = readable;
    return {
      ref,
      firstSeq,
      count,
      firstUs,
      periodNs,
      deltasUs: packDeltas(readable.deltasUs),
      payload: pack(readable),
    };
  };

  test.each(valid)('$name is encoded to its bytes', ({ hex, message }) => {
    expect(hexOf(encodeData({ ...message, frames: message.frames.map(frameOf) }))).toBe(hex);
  });

  test.each(valid)('$name is decoded to its meaning, times and credit included', ({ hex, message }) => {
    const decoded = decodeData(bytesOf(hex));
    const frames = message.frames.map(frameOf);
    expect(decoded).toEqual({ ok: true, value: { ...message, frames } });
    const read = decoded.ok ? decoded.value.frames : [];
    expect(read.map((frame, i) => unpack(frame.payload, message.frames[i]!))).toEqual(
      message.frames.map((frame) => frame.values),
    );
    expect(read.map(timesOf)).toEqual(message.frames.map((frame) => frame.timesUs));
    expect(read.map(frameBytes)).toEqual(message.frames.map((frame) => frame.creditBytes));
  });

  test.each(invalid)('$name is refused with its code and field', ({ hex, error }) => {
    const decoded = decodeData(bytesOf(hex));
    expect(decoded.ok ? null : { ...decoded.error, message: '' }).toEqual({ ...error, message: '' });
    expect(Object.keys(errorCodes)).toContain(error.code);
  });
});

describe('live messages', () => {
  type Readable = Omit<LiveMessage, 'frames'> & { readonly frames: ReadableLiveFrame[] };
  const { valid, invalid } = load<Vectors<Readable>>('live-messages');
  const frameOf = (readable: ReadableLiveFrame): LiveFrame => {
    const { encoding: _, values: __, timesUs: ___, ...rest } = readable;
    return { ...rest, deltasUs: packDeltas(readable.deltasUs), payload: pack(readable) };
  };

  test.each(valid)('$name is encoded to its bytes', ({ hex, message }) => {
    const frames = encodeLiveFrames(message.frames.map(frameOf));
    const bytes = new Uint8Array(LIVE_HEADER_BYTES + frames.length);
    writeLiveHeader(bytes, message);
    bytes.set(frames, LIVE_HEADER_BYTES);
    expect(hexOf(bytes)).toBe(hex);
  });

  test.each(valid)('$name is decoded to its meaning', ({ hex, message }) => {
    const decoded = decodeLive(bytesOf(hex));
    expect(decoded).toEqual({ ok: true, value: { ...message, frames: message.frames.map(frameOf) } });
    const read = decoded.ok ? decoded.value.frames : [];
    expect(read.map(timesOf)).toEqual(message.frames.map((frame) => frame.timesUs));
  });

  test.each(invalid)('$name is refused with its code', ({ hex, error }) => {
    const decoded = decodeLive(bytesOf(hex));
    expect(decoded.ok ? null : decoded.error.code).toBe(error.code);
  });
});

test.each(load<{ valid: { name: string; hex: string; crc32: number }[] }>('checksums').valid)(
  'checksum $name',
  ({ hex, crc32: expected }) => {
    expect(crc32(bytesOf(hex))).toBe(expected);
  },
);
