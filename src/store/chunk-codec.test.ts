import { expect, test } from 'vitest';

import { decodeTimes, decodeValues } from '#store/chunk-codec.ts';

interface Segment {
  readonly count: number;
  readonly periodNs: number;
  readonly firstUs: number;
  readonly arrivalUs: number;
}

// By hand from the comments of the migration, not by the writer's own code.
function packSegments(segments: readonly Segment[]): Buffer {
  return Buffer.concat(
    segments.map(({ count, periodNs, firstUs, arrivalUs }) => {
      const bytes = Buffer.alloc(24);
      bytes.writeUInt16LE(count, 0);
      bytes.writeUInt32LE(periodNs, 4);
      bytes.writeBigInt64LE(BigInt(firstUs), 8);
      bytes.writeBigInt64LE(BigInt(arrivalUs), 16);
      return bytes;
    }),
  );
}

const segments = packSegments([
  { count: 3, periodNs: 4_882_813, firstUs: 1_700_000_000_000_001, arrivalUs: 5 },
  { count: 2, periodNs: 1_500, firstUs: -10, arrivalUs: 1_700_000_000_123_456 },
]);
const data = Buffer.alloc(0);

test('evenly spaced readings are rounded to microseconds within each segment', () => {
  expect([...decodeTimes({ n: 5, segments, deltas: null, data })]).toEqual([
    1_700_000_000_000_001, 1_700_000_000_004_884, 1_700_000_000_009_767, -10, -8,
  ]);
});

test('explicit times count from the start of their segment', () => {
  const deltas = Buffer.alloc(20);
  [0, 7, 4_294_967_295, 1, 2].forEach((delta, i) => deltas.writeUInt32LE(delta, i * 4));
  expect([...decodeTimes({ n: 5, segments, deltas, data })]).toEqual([
    1_700_000_000_000_001, 1_700_000_000_000_008, 1_700_004_294_967_296, -9, -8,
  ]);
});

test('float32 values come out bit for bit, also the odd ones', () => {
  const values = [1.5, -0, Math.fround(0.1), Number.NaN, Number.POSITIVE_INFINITY, 2 ** -149];
  const packed = Buffer.from(new Float32Array(values).buffer);
  const layout = { axisCount: 3, encoding: 'float32', scale: null } as const;
  expect([...decodeValues({ n: 2, segments, deltas: null, data: packed }, layout)]).toEqual(values);
});

test('int16 values are multiplied by the scale of their axis', () => {
  const packed = Buffer.alloc(8);
  [1, -32_768, 32_767, -1].forEach((value, i) => packed.writeInt16LE(value, i * 2));
  const layout = { axisCount: 2, encoding: 'int16', scale: [0.1, 2] } as const;
  expect([...decodeValues({ n: 2, segments, deltas: null, data: packed }, layout)]).toEqual([
    0.1,
    -65_536,
    32_767 * 0.1,
    -2,
  ]);
});

test('a damaged row is noticed, not shown', () => {
  expect(() => decodeTimes({ n: 4, segments, deltas: null, data })).toThrow('hold the readings');
  expect(() => decodeTimes({ n: 6, segments, deltas: null, data })).toThrow('hold the readings');
  expect(() => decodeTimes({ n: 5, segments: segments.subarray(1), deltas: null, data })).toThrow('24 bytes');
  expect(() => decodeTimes({ n: 5, segments, deltas: Buffer.alloc(16), data })).toThrow('one delta');
  const layout = { axisCount: 1, encoding: 'float32', scale: null } as const;
  expect(() => decodeValues({ n: 5, segments, deltas: null, data: Buffer.alloc(16) }, layout)).toThrow(
    'size',
  );
});
