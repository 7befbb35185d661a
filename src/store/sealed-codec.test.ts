import fc from 'fast-check';
import { expect, test } from 'vitest';

import { seededRandom } from '#base/random.ts';
import type { PackedChunk } from '#store/chunk-codec.ts';
import { packBlock, unpackBlock, type BlockLayout } from '#store/sealed-codec.ts';

interface SegmentSpec {
  readonly count: number;
  readonly periodNs: number;
  readonly firstUs: bigint;
  readonly arrivalUs: bigint;
}

function packSegments(segments: readonly SegmentSpec[]): Buffer {
  const bytes = Buffer.alloc(segments.length * 24);
  for (const [i, segment] of segments.entries()) {
    bytes.writeUInt16LE(segment.count, i * 24);
    bytes.writeUInt32LE(segment.periodNs, i * 24 + 4);
    bytes.writeBigInt64LE(segment.firstUs, i * 24 + 8);
    bytes.writeBigInt64LE(segment.arrivalUs, i * 24 + 16);
  }
  return bytes;
}

const START_US = 1_700_000_000_000_000n;

/** `frames` frames of ten readings at 200 Hz, whose values are `data`. */
function evenChunk(
  data: Buffer,
  options: { from?: number; jitterUs?: (frame: number) => number; n: number },
) {
  const { from = 0, jitterUs = () => 0, n } = options;
  const segments = Array.from({ length: n / 10 }, (_, i): SegmentSpec => {
    const firstUs = START_US + BigInt((from + i * 10) * 5_000);
    return {
      count: 10,
      periodNs: 5_000_000,
      firstUs,
      arrivalUs: firstUs + 90_000n + BigInt(jitterUs(from / 10 + i)),
    };
  });
  return { n, segments: packSegments(segments), deltas: null, data } satisfies PackedChunk;
}

async function roundTrip(chunks: readonly PackedChunk[], layout: BlockLayout): Promise<PackedChunk> {
  const unpacked = unpackBlock(await packBlock(chunks, layout));
  if (!unpacked.ok) throw new Error(unpacked.error);
  return unpacked.value;
}

const floats: BlockLayout = { axisCount: 3, encoding: 'float32' };

test('any chunks survive, whatever their bits', async () => {
  const arbitrary = fc
    .record({
      axisCount: fc.integer({ min: 1, max: 5 }),
      encoding: fc.constantFrom<BlockLayout['encoding']>('float32', 'int16'),
      chunks: fc.array(
        fc.record({
          counts: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 4 }),
          explicit: fc.boolean(),
          seed: fc.integer({ min: 1, max: 2 ** 31 }),
          // Values of few kinds, of many, or all alike.
          kinds: fc.constantFrom(1, 3, 2 ** 32),
        }),
        { minLength: 1, maxLength: 5 },
      ),
    })
    .map(({ axisCount, encoding, chunks }) => ({
      layout: { axisCount, encoding },
      chunks: chunks.map((spec) => randomChunk(spec, axisCount * (encoding === 'float32' ? 4 : 2))),
    }));
  await fc.assert(
    fc.asyncProperty(arbitrary, async ({ layout, chunks }) => {
      const back = await roundTrip(chunks, layout);
      expect(back.n).toBe(chunks.reduce((sum, chunk) => sum + chunk.n, 0));
      expect(Buffer.compare(back.data, Buffer.concat(chunks.map((chunk) => chunk.data)))).toBe(0);
      expect(Buffer.compare(back.segments, Buffer.concat(chunks.map((chunk) => chunk.segments)))).toBe(0);
      let at = 0;
      for (const { n, deltas } of chunks) {
        const same = deltas === null ? null : back.deltas!.subarray(at * 4, (at + n) * 4);
        expect(same === null || Buffer.compare(same, deltas!) === 0).toBe(true);
        at += n;
      }
      expect(back.deltas === null).toBe(chunks.every((chunk) => chunk.deltas === null));
    }),
    { numRuns: 150 },
  );
});

function randomChunk(
  spec: { counts: readonly number[]; explicit: boolean; seed: number; kinds: number },
  readingBytes: number,
) {
  const { next: random } = seededRandom(spec.seed);
  const word = (): number => Math.floor(random() * 2 ** 32);
  const n = spec.counts.reduce((sum, count) => sum + count, 0);
  const segments = packSegments(
    spec.counts.map((count) => ({
      count,
      // Times of even segments stay below 2^32 us, as the protocol demands.
      periodNs: spec.explicit ? word() : Math.floor(word() / 8),
      firstUs: BigInt.asIntN(64, (BigInt(word()) << 32n) | BigInt(word())),
      arrivalUs: BigInt.asIntN(64, (BigInt(word()) << 32n) | BigInt(word())),
    })),
  );
  const deltas = spec.explicit ? Buffer.from(Uint32Array.from({ length: n }, word).buffer) : null;
  const data = Buffer.alloc(n * readingBytes);
  for (let i = 0; i + 2 <= data.length; i += 2) data.writeUInt16LE((word() % spec.kinds) & 0xffff, i);
  return { n, segments, deltas, data };
}

test('not-a-number payloads, both zeros, infinities and the smallest numbers keep their bits', async () => {
  const bits = [0x7fc00001, 0xffc12345, 0x7f800001, 0x80000000, 0, 0x7f800000, 0xff800000, 1, 0x80000001];
  const data = Buffer.alloc(30 * 12);
  for (let i = 0; i < 90; i++) data.writeUInt32LE(bits[i % bits.length]!, i * 4);
  const back = await roundTrip([evenChunk(data, { n: 30 })], floats);
  expect(Buffer.compare(back.data, data)).toBe(0);
});

test('even times come back as none, and mixed ones as what the even period says', async () => {
  const even = evenChunk(Buffer.alloc(120), { n: 10 });
  const explicit = {
    ...evenChunk(Buffer.alloc(120), { n: 10, from: 10 }),
    deltas: Buffer.from(Uint32Array.from({ length: 10 }, (_, i) => i * 4_999).buffer),
  };
  expect((await roundTrip([even, even], floats)).deltas).toBeNull();
  const { deltas } = await roundTrip([even, explicit], floats);
  expect([...new Uint32Array(Uint8Array.from(deltas!).buffer)]).toEqual([
    ...Array.from({ length: 10 }, (_, i) => i * 5_000),
    ...Array.from({ length: 10 }, (_, i) => i * 4_999),
  ]);
});

test('the times of a regular stream become nearly nothing', async () => {
  const n = 10_000;
  const constant = Buffer.alloc(n * 12, 1);
  const steady = await packBlock([evenChunk(constant, { n })], floats);
  // Head, methods and a run-length block each of some 60 planes.
  expect(steady.length).toBeLessThan(600);
  // Arrivals that vary by a millisecond cost their own entropy: ten bits a frame of ten readings.
  const { next: random } = seededRandom(7);
  const chunk = evenChunk(constant, { n, jitterUs: () => Math.floor(random() * 1_000) });
  const jittery = await packBlock([chunk], floats);
  expect((jittery.length - steady.length) / n).toBeLessThan(0.16);
});

test('values in steps are listed and cost what their steps tell', async () => {
  const n = 8_000;
  const { next: random } = seededRandom(3);
  const values = Float32Array.from({ length: n * 3 }, () => Math.round(random() * 31) * 0.0123 - 0.2);
  const block = await packBlock([evenChunk(Buffer.from(values.buffer), { n })], floats);
  // Five bits a value, of 32.
  expect(block.length / (n * 12)).toBeLessThan(0.17);
});

test('a block in which any bit is turned, or that is cut, is refused, and never takes much memory', async () => {
  const { next: random } = seededRandom(11);
  const data = Buffer.from(Float32Array.from({ length: 2_000 * 3 }, () => random() * 9).buffer);
  const block = await packBlock(
    [evenChunk(data, { n: 2_000, jitterUs: () => Math.floor(random() * 500) })],
    floats,
  );
  for (let i = 0; i < 400; i++) {
    const damaged = Buffer.from(block);
    const at = i < 60 ? i % 36 : Math.floor(random() * block.length);
    damaged[at]! ^= 1 << Math.floor(random() * 8);
    const unpacked = unpackBlock(damaged);
    // A bit that Zstandard does not look at may change nothing; what comes out is then the same.
    expect(!unpacked.ok || Buffer.compare(unpacked.value.data, data) === 0).toBe(true);
  }
  for (const length of [0, 1, 23, 24, 35, 36, 100, block.length - 1])
    expect(unpackBlock(block.subarray(0, length)).ok).toBe(false);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(unpackBlock(bytes).ok).toBe(false);
    }),
  );
});
