import fc from 'fast-check';
import { expect, test, vi } from 'vitest';

import { createFrameReader, readFrames, type FrameHandlers } from '#live/frame-reader.ts';

const MAX_BYTES = 1_000;

type Seen = [string, ...unknown[]];

const handlers: FrameHandlers<Seen[]> = {
  text: (seen, text) => void seen.push(['text', text]),
  binary: (seen, payload) => void seen.push(['binary', payload.toString('hex')]),
  ping: (seen, payload) => void seen.push(['ping', payload.toString()]),
  pong: (seen) => void seen.push(['pong']),
  close: (seen, code) => void seen.push(['close', code]),
  broken: (seen, fault) => void seen.push(['broken', fault]),
};

interface FrameOptions {
  readonly isFinal?: boolean;
  readonly isMasked?: boolean;
  readonly reserved?: number;
  /** Written as 16 or 64 bits although a shorter form would do. */
  readonly lengthBytes?: 2 | 8;
}

/** A client's frame; `length` may claim more than is there. */
function frame(opcode: number, payload: Buffer | string, options: FrameOptions = {}): Buffer {
  const { isFinal = true, isMasked = true, reserved = 0, lengthBytes } = options;
  const bytes = Buffer.from(payload);
  const key = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
  const extended = lengthBytes ?? (bytes.length < 126 ? 0 : bytes.length < 65_536 ? 2 : 8);
  const head = Buffer.alloc(2 + extended);
  head[0] = (isFinal ? 0x80 : 0) | reserved | opcode;
  head[1] = (isMasked ? 0x80 : 0) | (extended === 0 ? bytes.length : extended === 2 ? 126 : 127);
  if (extended === 2) head.writeUInt16BE(bytes.length, 2);
  else if (extended === 8) head.writeBigUInt64BE(BigInt(bytes.length), 2);
  if (!isMasked) return Buffer.concat([head, bytes]);
  const masked = Buffer.from(bytes.map((byte, i) => byte ^ key[i % 4]!));
  return Buffer.concat([head, key, masked]);
}

function read(...chunks: Buffer[]): Seen[] {
  const seen: Seen[] = [];
  const reader = createFrameReader(seen, handlers, MAX_BYTES);
  for (const chunk of chunks) readFrames(reader, chunk);
  return seen;
}

const closeFrame = (code: number, reason: Buffer | string = ''): Buffer => {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(code);
  return frame(8, Buffer.concat([head, Buffer.from(reason)]));
};

test('messages come out whole, whatever their length and the length of their length', () => {
  for (const size of [0, 1, 2, 3, 4, 125, 126, 500, MAX_BYTES]) {
    expect(read(frame(1, 'a'.repeat(size)))).toEqual([['text', 'a'.repeat(size)]]);
    expect(read(frame(2, Buffer.alloc(size, 7), { lengthBytes: 8 }))).toEqual([
      ['binary', '07'.repeat(size)],
    ]);
  }
  expect(read(frame(1, 'grüße ☂ 🚲'))).toEqual([['text', 'grüße ☂ 🚲']]);
});

test('a message in fragments comes once, after the control frames between them', () => {
  const bytes = Buffer.concat([
    frame(1, 'one ', { isFinal: false }),
    frame(9, 'still there?'),
    frame(0, '', { isFinal: false }),
    frame(10, ''),
    frame(0, 'message'),
    frame(2, Buffer.from([1]), { isFinal: false }),
    frame(0, Buffer.from([2])),
  ]);
  expect(read(bytes)).toEqual([
    ['ping', 'still there?'],
    ['pong'],
    ['text', 'one message'],
    ['binary', '0102'],
  ]);
});

test('fragments of one byte or none do not make the reader copy the message at each', () => {
  const seen: Seen[] = [];
  const bytes = 16_000;
  const reader = createFrameReader(seen, handlers, bytes);
  const copied = vi.spyOn(Buffer.prototype, 'copy');
  const joined = vi.spyOn(Buffer, 'concat');
  readFrames(reader, Buffer.from([0x02, 0x80, 0, 0, 0, 0]));
  for (let i = 0; i < bytes; i++) readFrames(reader, Buffer.from([0x00, 0x81, 0, 0, 0, 0, i & 0xff]));
  for (let i = 0; i < 1_000; i++) readFrames(reader, Buffer.from([0x00, 0x80, 0, 0, 0, 0]));
  const moved = copied.mock.calls.filter((call) => call.length === 4).length;
  readFrames(reader, Buffer.from([0x80, 0x80, 0, 0, 0, 0]));
  vi.restoreAllMocks();
  expect(moved).toBeLessThan(10);
  expect(joined).not.toHaveBeenCalled();
  const whole = Buffer.from(Array.from({ length: bytes }, (_, i) => i & 0xff));
  expect(seen).toEqual([['binary', whole.toString('hex')]]);
});

test('a character may be cut by a fragment', () => {
  const bytes = Buffer.from('☂');
  const first = frame(1, bytes.subarray(0, 1), { isFinal: false });
  expect(read(first, frame(0, bytes.subarray(1)))).toEqual([['text', '☂']]);
});

test('however the bytes are cut, the same is read', () => {
  const whole = Buffer.concat([
    frame(1, 'first'),
    frame(9, 'p'),
    frame(2, Buffer.alloc(300, 9), { isFinal: false }),
    frame(0, 'x'),
    closeFrame(4000, 'bye'),
    frame(1, 'never read'),
  ]);
  const expected = read(Buffer.from(whole));
  expect(expected.at(-1)).toEqual(['close', 4000]);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: whole.length }), { maxLength: 40 }), (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), whole.length];
      const chunks = at.slice(1).map((end, i) => Buffer.from(whole.subarray(at[i], end)));
      expect(read(...chunks)).toEqual(expected);
    }),
  );
});

test.for<[string, Buffer[]]>([
  ['a frame that is not masked', [frame(1, 'x', { isMasked: false })]],
  ['a bit that no extension claimed', [frame(1, 'x', { reserved: 0x40 })]],
  ['a reserved opcode', [frame(3, 'x')]],
  ['a reserved control opcode', [frame(11, 'x')]],
  ['a control frame in fragments', [frame(9, 'x', { isFinal: false })]],
  ['a long control frame', [frame(9, 'x'.repeat(126))]],
  ['a continuation of nothing', [frame(0, 'x')]],
  ['a message within a message', [frame(1, 'x', { isFinal: false }), frame(1, 'y')]],
  ['half a close code', [frame(8, 'x')]],
  ...[0, 999, 1004, 1005, 1006, 1015, 2999, 5000].map((code): [string, Buffer[]] => [
    `close code ${code}`,
    [closeFrame(code)],
  ]),
])('%s breaks the protocol', ([, chunks]) => {
  expect(read(...chunks, frame(1, 'more'))).toEqual([['broken', 'protocol']]);
});

test('text and close reasons that are no UTF-8 end the connection', () => {
  const invalid = Buffer.from([0xc3, 0x28]);
  expect(read(frame(1, invalid))).toEqual([['broken', 'notUtf8']]);
  expect(read(frame(1, 'a', { isFinal: false }), frame(0, invalid))).toEqual([['broken', 'notUtf8']]);
  expect(read(closeFrame(1000, invalid))).toEqual([['broken', 'notUtf8']]);
});

test('what is too long ends the connection as soon as its header is known, fragments added up', () => {
  const long = frame(1, 'x'.repeat(MAX_BYTES + 1));
  expect(read(long.subarray(0, 8))).toEqual([['broken', 'tooLarge']]);
  expect(read(frame(1, 'x'.repeat(MAX_BYTES), { isFinal: false }), frame(0, 'x'))).toEqual([
    ['broken', 'tooLarge'],
  ]);
  const endless = Buffer.from([0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
  expect(read(endless)).toEqual([['broken', 'tooLarge']]);
});

test('close says its code, or that it has none', () => {
  expect(read(frame(8, ''))).toEqual([['close', null]]);
  for (const code of [1000, 1001, 1011, 1014, 3000, 4999])
    expect(read(closeFrame(code, 'why'))).toEqual([['close', code]]);
});
