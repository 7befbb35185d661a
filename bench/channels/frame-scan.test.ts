import { expect, test } from 'vitest';

import { createFrameScanner, MAX_FRAME_BYTES } from '#bench/channels/frame-scan.ts';

/** An unmasked server frame with the shortest length field that fits. */
function frameOf(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  if (length < 126) head[1] = length;
  else if (length < 65_536) {
    head[1] = 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([head, payload]);
}

function collect() {
  const seen: [number, string][] = [];
  const scan = createFrameScanner((opcode, bytes, from, to) =>
    seen.push([opcode, bytes.toString('latin1', from, to)]),
  );
  return { seen, scan };
}

const frames: [number, string][] = [
  [1, 'short'],
  [2, ''],
  [1, 'm'.repeat(125)],
  [9, 'ping'],
  [1, 'n'.repeat(126)],
  [1, 'o'.repeat(65_536)],
  [8, '\x03\xe8'],
];
function streamOf(some: readonly [number, string][]): Buffer {
  return Buffer.concat(some.map(([opcode, text]) => frameOf(opcode, Buffer.from(text, 'latin1'))));
}

test('frames of every length are found in one read', () => {
  const { seen, scan } = collect();
  const stream = streamOf(frames);
  expect(scan(stream, stream.length)).toBeNull();
  expect(seen).toEqual(frames);
});

test('frames cut at any byte are found once, although the socket reuses its memory', () => {
  // Each piece of an unfinished frame is joined to the ones before it: a step of 1 in a long one would take seconds.
  for (const step of [131, 997, 4096, 65_537]) expect(readInSteps(step, frames)).toEqual(frames);
  const short = frames.filter(([, text]) => text.length < 1_000);
  for (const step of [1, 2, 3, 7, 64]) expect(readInSteps(step, short)).toEqual(short);
});

function readInSteps(step: number, some: readonly [number, string][]): [number, string][] {
  const stream = streamOf(some);
  const { seen, scan } = collect();
  const memory = Buffer.alloc(step);
  for (let at = 0; at < stream.length; at += step) {
    const length = stream.copy(memory, 0, at, at + step);
    scan(memory, length);
    memory.fill(0xff);
  }
  return seen;
}

test('bytes behind the given length are not read', () => {
  const { seen, scan } = collect();
  const bytes = Buffer.concat([frameOf(1, Buffer.from('one')), frameOf(1, Buffer.from('stale'))]);
  expect(scan(bytes, 5)).toBeNull();
  expect(seen).toEqual([[1, 'one']]);
});

test('what no server may send stops the scan', () => {
  const oversized = Buffer.alloc(10);
  oversized[0] = 0x81;
  oversized[1] = 127;
  oversized.writeBigUInt64BE(BigInt(MAX_FRAME_BYTES + 1), 2);
  for (const bytes of [
    Buffer.from([0x01, 0]),
    Buffer.from([0xc1, 0]),
    Buffer.from([0x83, 0]),
    Buffer.from([0x81, 0x80, 0, 0, 0, 0]),
    oversized,
  ]) {
    const { seen, scan } = collect();
    expect(scan(bytes, bytes.length)).toMatch(/frame/);
    expect(seen).toEqual([]);
  }
});
