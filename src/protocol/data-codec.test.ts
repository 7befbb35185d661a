import fc from 'fast-check';
import { expect, test } from 'vitest';

import { AssertionError } from '#base/assert.ts';
import { errorCodes } from '#protocol/codes.ts';
import {
  FRAME_HEADER_BYTES,
  decodeData,
  encodeData,
  frameBytes,
  readingTimeUs,
  type DataFrame,
  type DataMessage,
} from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';

const lastUs = limits.timeUsExclusive - 1;
const anyTimeUs = fc.oneof(fc.integer({ min: -10, max: 10 }), fc.integer({ min: -lastUs, max: lastUs }));

const anyFrame: fc.Arbitrary<DataFrame> = fc
  .record({
    ref: fc.integer({ min: 0, max: 65_535 }),
    count: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constant(limits.readingsPerFrame)),
    readingBytes: fc.integer({ min: 1, max: 8 }),
    firstUs: anyTimeUs,
    periodNs: fc.integer({ min: 0, max: 0xffffffff }),
    hasTimes: fc.boolean(),
    fill: fc.integer({ min: 0, max: 255 }),
    fromEnd: fc.boolean(),
    seq: fc.oneof(fc.nat(1000), fc.integer({ min: 0, max: 2 ** 53 - 501 })),
  })
  .map(({ count, readingBytes, fill, hasTimes, fromEnd, seq, ...rest }) => ({
    ...rest,
    count,
    firstSeq: fromEnd ? limits.seqExclusive - 1 - count : seq,
    deltasUs: hasTimes ? new Uint8Array(count * 4).fill(fill) : null,
    payload: new Uint8Array(count * readingBytes).fill(fill),
  }));

const anyMessage: fc.Arbitrary<DataMessage> = fc
  .record({
    kind: fc.constantFrom('plain', 'live-only', 'historical'),
    sentUs: anyTimeUs,
    frames: fc.array(anyFrame, { minLength: 1, maxLength: limits.framesPerMessage }),
  })
  .map(({ kind, sentUs, frames }) => ({
    liveOnly: kind === 'live-only',
    historical: kind === 'historical',
    sentUs,
    frames,
  }));

const oneFrame: DataFrame = {
  ref: 7,
  firstSeq: 100,
  count: 2,
  firstUs: 1_700_000_000_000_000,
  periodNs: 4_882_813,
  deltasUs: null,
  payload: new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]),
};
const plain = { liveOnly: false, historical: false, sentUs: 5 } as const;

/**
 * What is wrong with how any bytes are decoded, if anything. Right is a coded error, or a message that is made of views
 * into the bytes and encodes to the same bytes.
 */
function decodingFault(bytes: Uint8Array): string | null {
  const result = decodeData(bytes);
  if (!result.ok) return result.error.code in errorCodes ? null : `unknown code ${result.error.code}`;
  const { frames } = result.value;
  const parts = frames.flatMap((frame) =>
    frame.deltasUs === null ? [frame.payload] : [frame.payload, frame.deltasUs],
  );
  if (parts.some((part) => part.buffer !== bytes.buffer)) return 'bytes were copied';
  const sizes = frames.map(frameBytes);
  if (sizes.reduce((sum, size) => sum + size, 16) !== bytes.length) return 'the sizes do not add up';
  return Buffer.compare(encodeData(result.value), bytes) === 0 ? null : 'encodes to other bytes';
}

test('every message within the limits survives encoding and decoding', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      expect(decodeData(encodeData(message))).toEqual({ ok: true, value: message });
    }),
    { numRuns: 200 },
  );
});

test('a message decodes alike from the middle of a larger buffer', () => {
  const bytes = encodeData({ ...plain, frames: [oneFrame] });
  const larger = new Uint8Array(bytes.length + 11);
  larger.set(bytes, 5);
  expect(decodeData(larger.subarray(5, 5 + bytes.length))).toEqual(decodeData(bytes));
});

test('every truncation of a message is a coded error', () => {
  const bytes = encodeData({ ...plain, frames: [oneFrame, { ...oneFrame, deltasUs: new Uint8Array(8) }] });
  for (let length = 0; length < bytes.length; length++) {
    const result = decodeData(bytes.subarray(0, length));
    expect(result).toMatchObject({ ok: false, error: { code: 'malformed-message' } });
  }
});

test('mutated messages give coded errors, or decode to what encodes to the same bytes', () => {
  fc.assert(
    fc.property(
      anyMessage,
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: -40, max: 40 }),
      (message, changes, growth) => {
        const encoded = encodeData(message);
        const bytes = new Uint8Array(Math.max(0, Math.min(limits.messageBytes + 1, encoded.length + growth)));
        bytes.set(encoded.subarray(0, bytes.length));
        // Headers are where damage matters: half of the changes hit the first 64 bytes.
        for (const [at, value] of changes) bytes[at % (at % 2 === 0 ? 64 : bytes.length)] = value;
        expect(decodingFault(bytes)).toBeNull();
      },
    ),
    { numRuns: 500 },
  );
});

test('random bytes behind a plausible header give coded errors', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (random, isPlausible) => {
      const bytes = isPlausible ? Uint8Array.from([1, 1, 0, 1, 0, 0, 0, 0, ...random]) : random;
      expect(decodingFault(bytes)).toBeNull();
    }),
    { numRuns: 500 },
  );
});

/** Changes bytes of a valid message of one frame and gives the code and field of the error. */
function errorAfter(change: (view: DataView) => void): string {
  const bytes = encodeData({ ...plain, frames: [oneFrame] });
  change(new DataView(bytes.buffer));
  const result = decodeData(bytes);
  return result.ok ? 'ok' : `${result.error.code} ${result.error.field ?? ''}`.trim();
}

test('each field out of its range is named', () => {
  const frame = 16;
  expect(errorAfter((v) => v.setUint8(0, 9))).toBe('malformed-message /kind');
  expect(errorAfter((v) => v.setUint8(1, 2))).toBe('unsupported-version /version');
  expect(errorAfter((v) => v.setUint8(2, 3))).toBe('invalid-field /flags');
  expect(errorAfter((v) => v.setUint8(2, 4))).toBe('invalid-field /flags');
  expect(errorAfter((v) => v.setUint8(3, 0))).toBe('limit-exceeded /frames');
  expect(errorAfter((v) => v.setUint8(3, 33))).toBe('limit-exceeded /frames');
  expect(errorAfter((v) => v.setUint8(4, 1))).toBe('invalid-field /reserved');
  expect(errorAfter((v) => v.setInt32(12, 0x7fffffff, true))).toBe('invalid-field /sentUs');
  expect(errorAfter((v) => v.setUint16(frame + 2, 0, true))).toBe('limit-exceeded /frames/0/count');
  expect(errorAfter((v) => v.setUint16(frame + 2, 501, true))).toBe('limit-exceeded /frames/0/count');
  expect(errorAfter((v) => v.setUint16(frame + 2, 3, true))).toBe('invalid-field /frames/0/payload');
  expect(errorAfter((v) => v.setUint16(frame + 4, 2, true))).toBe('invalid-field /frames/0/flags');
  expect(errorAfter((v) => v.setUint16(frame + 6, 1, true))).toBe('invalid-field /frames/0/flags');
  expect(errorAfter((v) => v.setInt32(frame + 12, -1, true))).toBe('invalid-field /frames/0/firstSeq');
  expect(errorAfter((v) => v.setInt32(frame + 20, 0x00200000, true))).toBe('invalid-field /frames/0/firstUs');
  expect(errorAfter((v) => v.setUint32(frame + 28, 0xffffffff, true))).toBe(
    'malformed-message /frames/0/payload',
  );
  expect(errorAfter((v) => v.setUint32(frame + 28, 0, true))).toBe('invalid-field /frames/0/payload');
  expect(errorAfter((v) => v.setUint32(frame + 28, 4, true))).toBe('malformed-message');
});

// An acknowledgement states the number after the last, which must be exact too: with 2^53 the server sent what its own
// schema forbids. And 2^53 - 1 + 2 rounds to 2^53 in doubles, so that the sum must not be what is compared.
test('the last sequence number is 2^53 - 2, also when the end of the frame is not representable', () => {
  const setFirstSeq = (fromEnd: number) => (view: DataView) => {
    const firstSeq = limits.seqExclusive - fromEnd;
    view.setUint32(24, firstSeq % 2 ** 32, true);
    view.setUint32(28, Math.floor(firstSeq / 2 ** 32), true);
  };
  expect(errorAfter(setFirstSeq(3))).toBe('ok');
  expect(errorAfter(setFirstSeq(2))).toBe('invalid-field /frames/0/firstSeq');
  expect(errorAfter(setFirstSeq(1))).toBe('invalid-field /frames/0/firstSeq');
});

test('a message beyond its limit is refused whole', () => {
  expect(decodeData(new Uint8Array(limits.messageBytes + 1))).toMatchObject({
    ok: false,
    error: { code: 'message-too-large' },
  });
});

test('a sender that breaks a limit is told by an assertion, not by the server', () => {
  const broken: Partial<DataFrame>[] = [
    { count: 0, payload: new Uint8Array(0) },
    { count: 501, payload: new Uint8Array(501) },
    { payload: new Uint8Array(0) },
    { payload: new Uint8Array(7) },
    { deltasUs: new Uint8Array(4) },
    { ref: 65_536 },
    { ref: -1 },
    { firstSeq: -1 },
    { firstSeq: limits.seqExclusive - 2 },
    { firstUs: 0.5 },
    { firstUs: limits.timeUsExclusive },
    { periodNs: 2 ** 32 },
    { periodNs: 0.5 },
  ];
  for (const change of broken)
    expect(() => encodeData({ ...plain, frames: [{ ...oneFrame, ...change }] })).toThrow(AssertionError);
  expect(() => encodeData({ ...plain, frames: [] })).toThrow(AssertionError);
  expect(() => encodeData({ ...plain, frames: Array.from({ length: 33 }, () => oneFrame) })).toThrow(
    AssertionError,
  );
  expect(() => encodeData({ ...plain, liveOnly: true, historical: true, frames: [oneFrame] })).toThrow(
    AssertionError,
  );
  expect(() => encodeData({ ...plain, sentUs: 2 ** 53, frames: [oneFrame] })).toThrow(AssertionError);
});

test('a frame costs its header, its times and its payload', () => {
  expect(frameBytes(oneFrame)).toBe(FRAME_HEADER_BYTES + 8);
  expect(frameBytes({ ...oneFrame, deltasUs: new Uint8Array(8) })).toBe(FRAME_HEADER_BYTES + 16);
});

test('reading times: evenly spaced ones are rounded, explicit ones are taken as they are', () => {
  expect([0, 1, 2].map((i) => readingTimeUs({ firstUs: 10, periodNs: 1500, deltasUs: null }, i))).toEqual([
    10, 12, 13,
  ]);
  const deltas = new Uint8Array(new Uint32Array([0, 1_000_000, 0xffffffff]).buffer);
  const at = (i: number) => readingTimeUs({ firstUs: -5, periodNs: 0, deltasUs: deltas }, i);
  expect([at(0), at(1), at(2)]).toEqual([-5, 999_995, 4_294_967_290]);
});

test('every reading time of a decoded frame is an exact integer', () => {
  fc.assert(
    fc.property(anyMessage, ({ frames }) => {
      for (const frame of frames)
        for (const i of [0, frame.count - 1])
          expect(Number.isSafeInteger(readingTimeUs(frame, i))).toBe(true);
    }),
    { numRuns: 100 },
  );
});
