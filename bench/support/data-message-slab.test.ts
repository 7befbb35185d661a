import { expect, test } from 'vitest';

import { createServerFrameParser, maskedFrame, MASK_WORD } from '#bench/support/client-frames.ts';
import { createDataMessageSlab, outgoingFrameBytes } from '#bench/support/data-message-slab.ts';
import { READING_BYTES, writeReadings } from '#bench/support/synthetic-reading.ts';
import { decodeData, frameBytes } from '#protocol/data-codec.ts';

/** The payload of a client's frame as a server sees it. */
function unmask(frame: Buffer): Buffer {
  const short = frame[1]! & 0x7f;
  const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8;
  const keyAt = 2 + lengthBytes;
  const payload = Buffer.from(frame.subarray(keyAt + 4));
  const length =
    short < 126 ? short : frame.readUIntBE(2 + Math.max(0, lengthBytes - 6), Math.min(lengthBytes, 6));
  expect(frame[0]).toBe(0x82);
  expect(payload).toHaveLength(length);
  for (let i = 0; i < payload.length; i++) payload[i]! ^= frame[keyAt + (i & 3)]!;
  return payload;
}

function readingsOf(seed: number, firstSeq: number, count: number): Buffer {
  const words = new Uint32Array((count * READING_BYTES) / 4);
  writeReadings(words, 0, { seed, firstSeq, count });
  return Buffer.from(words.buffer);
}

// Payload lengths in all three forms: below 126, below 65,536 and above.
test.each([
  [1, 1],
  [1, 10],
  [3, 50],
  [32, 60],
])('the protocol decodes %i frames of %i readings as they were meant', (frameCount, count) => {
  const slab = createDataMessageSlab();
  const frames = Array.from({ length: frameCount }, (_, i) => ({
    ref: 65_535 - i,
    seed: i * 7919,
    firstSeq: 2 ** 40 + i,
    count,
    firstUs: 1_790_000_000_123_456 + i,
  }));
  const stamp = { sentUs: 1_790_000_000_999_999, periodNs: 4_882_812 };
  // Many, so that a slab is used up and followed by another.
  for (let round = 0; round < 200; round++) {
    const decoded = decodeData(unmask(slab.build(frames, stamp)));
    if (!decoded.ok) throw new Error(decoded.error.message);
    expect(decoded.value).toMatchObject({ liveOnly: false, historical: false, sentUs: stamp.sentUs });
    for (const [i, frame] of decoded.value.frames.entries()) {
      const { seed, ...wanted } = frames[i]!;
      expect(frame).toMatchObject({ ...wanted, periodNs: stamp.periodNs, deltasUs: null });
      expect(readingsOf(seed, wanted.firstSeq, count).equals(frame.payload)).toBe(true);
      expect(frameBytes(frame)).toBe(outgoingFrameBytes(count));
    }
  }
});

test('the masking key is not zero: a server would skip unmasking', () => {
  expect(MASK_WORD).not.toBe(0);
});

test('server frames are parsed however the bytes are cut', () => {
  const frame = (opcode: number, payload: Buffer): Buffer =>
    Buffer.concat([
      payload.length < 126
        ? Buffer.from([0x80 | opcode, payload.length])
        : Buffer.from([0x80 | opcode, 126, payload.length >> 8, payload.length & 0xff]),
      payload,
    ]);
  const long = Buffer.alloc(70_000 & 0xffff, 7);
  const bytes = Buffer.concat([frame(1, Buffer.from('{"a":1}')), frame(2, long), frame(9, Buffer.alloc(0))]);
  for (const size of [1, 2, 3, 7, 1000, bytes.length]) {
    const seen: string[] = [];
    const parse = createServerFrameParser({
      message: (opcode, payload) => seen.push(`${opcode} ${payload.length}`),
      broken: (why) => seen.push(why),
    });
    for (let at = 0; at < bytes.length; at += size) parse(bytes.subarray(at, at + size));
    expect(seen).toEqual(['text 7', `binary ${long.length}`, 'ping 0']);
  }
});

test('what no server may send ends the parsing', () => {
  const seen: string[] = [];
  const parse = createServerFrameParser({
    message: () => seen.push('message'),
    broken: (why) => seen.push(why),
  });
  parse(maskedFrame('text', Buffer.from('hi')));
  parse(Buffer.from([0x81, 0]));
  expect(seen).toEqual(['a server frame may not be masked']);
});
