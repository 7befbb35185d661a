import fc from 'fast-check';
import { expect, test } from 'vitest';

import { errorCodes } from '#protocol/codes.ts';
import { limits } from '#protocol/limits.ts';
import {
  LIVE_HEADER_BYTES,
  decodeLive,
  encodeLiveFrames,
  writeLiveHeader,
  type LiveFrame,
  type LiveMessage,
} from '#protocol/live-codec.ts';

const anyUuid = fc.uuid({ version: 7 });
const anyFrame: fc.Arbitrary<LiveFrame> = fc
  .record({
    streamId: anyUuid,
    epoch: fc.stringMatching(/^[0-9a-f]{16}$/),
    count: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constant(limits.readingsPerFrame)),
    readingBytes: fc.integer({ min: 1, max: 8 }),
    firstSeq: fc.integer({ min: 0, max: 2 ** 53 - 1 }),
    firstUs: fc.maxSafeInteger(),
    periodNs: fc.integer({ min: 0, max: 0xffffffff }),
    hasTimes: fc.boolean(),
    fill: fc.integer({ min: 0, max: 255 }),
    liveOnly: fc.boolean(),
    sentUs: fc.maxSafeInteger(),
    arrivalUs: fc.maxSafeInteger(),
    offsetUs: fc.maxSafeInteger(),
  })
  .map(({ readingBytes, hasTimes, fill, ...rest }) => ({
    ...rest,
    deltasUs: hasTimes ? new Uint8Array(rest.count * 4).fill(fill) : null,
    payload: new Uint8Array(rest.count * readingBytes).fill(fill),
  }));
const anyMessage: fc.Arbitrary<LiveMessage> = fc.record({
  channel: fc.integer({ min: 0, max: 0xffffffff }),
  offset: fc.integer({ min: 0, max: 2 ** 53 - 1 }),
  publishedUs: fc.maxSafeInteger(),
  frames: fc.array(anyFrame, { maxLength: 6 }),
});

function encode(message: LiveMessage): Uint8Array {
  const frames = encodeLiveFrames(message.frames);
  const bytes = new Uint8Array(LIVE_HEADER_BYTES + frames.length);
  writeLiveHeader(bytes, message);
  bytes.set(frames, LIVE_HEADER_BYTES);
  return bytes;
}

/** What is wrong with how any bytes are decoded, if anything: it takes a coded error or views into the bytes. */
function decodingFault(bytes: Uint8Array): string | null {
  const result = decodeLive(bytes);
  if (!result.ok) return result.error.code in errorCodes ? null : `unknown code ${result.error.code}`;
  let total = LIVE_HEADER_BYTES;
  for (const { payload, deltasUs } of result.value.frames) {
    if (payload.buffer !== bytes.buffer) return 'bytes were copied';
    total += 80 + payload.length + (deltasUs === null ? 0 : deltasUs.length);
  }
  return total === bytes.length ? null : 'the sizes do not add up';
}

test('every message survives encoding and decoding', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      expect(decodeLive(encode(message))).toEqual({ ok: true, value: message });
    }),
    { numRuns: 200 },
  );
});

test('frames encoded apart and put together are the frames of one message', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const apart = message.frames.map((frame) => encodeLiveFrames([frame]));
      expect(Buffer.concat(apart).equals(encodeLiveFrames(message.frames))).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('every truncation is a coded error or, at the end of a frame, a message of fewer frames', () => {
  const [frame] = fc.sample(anyFrame, { numRuns: 1, seed: 1 });
  const whole = { channel: 1, offset: 2, publishedUs: 3, frames: [frame!, frame!] };
  const bytes = encode(whole);
  const ends = [0, 1].map((count) => encode({ ...whole, frames: whole.frames.slice(0, count) }).length);
  for (let length = 0; length < bytes.length; length++) {
    const result = decodeLive(bytes.subarray(0, length));
    const outcome = result.ok ? result.value.frames.length : result.error.code;
    expect(outcome).toBe(ends.includes(length) ? ends.indexOf(length) : 'malformed-message');
  }
});

test('mutated and random bytes give coded errors or views, never an exception', () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 });
  fc.assert(
    fc.property(anyMessage, changes, (message, list) => {
      const bytes = encode(message);
      for (const [at, value] of list)
        bytes[at % (at % 2 === 0 ? LIVE_HEADER_BYTES + 80 : bytes.length)] = value;
      expect(decodingFault(bytes)).toBeNull();
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (random, isPlausible) => {
      const bytes = isPlausible ? Uint8Array.from([2, 1, 0, 0, ...random]) : random;
      expect(decodingFault(bytes)).toBeNull();
    }),
    { numRuns: 500 },
  );
});

test('a data message is not a live message, nor one of another version', () => {
  const bytes = encode({ channel: 1, offset: 1, publishedUs: 1, frames: [] });
  bytes[0] = 1;
  expect(decodeLive(bytes)).toMatchObject({ ok: false, error: { code: 'malformed-message' } });
  bytes[0] = 2;
  bytes[1] = 2;
  expect(decodeLive(bytes)).toMatchObject({ ok: false, error: { code: 'unsupported-version' } });
});
