import fc from 'fast-check';
import { expect, test } from 'vitest';

import { readingTimeUs } from '#protocol/data-codec.ts';
import { createFrameBuilder, cutFrame } from '#sdk/device-frame.ts';
import type { FrameContent } from '#sdk/device-store.ts';

const axes = [
  { name: 'x', unit: 'm' },
  { name: 'y', unit: 'm' },
];
const START_US = 1_700_000_000_000_000;

interface Reading {
  readonly timeUs: number;
  readonly bytes: string;
}

function readingsOf(frames: readonly FrameContent[]): Reading[] {
  return frames.flatMap((frame) =>
    Array.from({ length: frame.count }, (_, i) => {
      const width = frame.payload.length / frame.count;
      const bytes = Buffer.from(frame.payload.subarray(i * width, (i + 1) * width)).toString('hex');
      return { timeUs: readingTimeUs(frame, i), bytes };
    }),
  );
}

function hexOf(...values: number[]): string {
  return Buffer.from(Float32Array.from(values).buffer).toString('hex');
}

test('evenly spaced readings need no times of their own', () => {
  const builder = createFrameBuilder({ axes, encoding: 'float32', rateHz: 200 });
  const none = (): void => expect.unreachable('no frame is full');
  builder.push([1, 2, 3, 4], START_US, none);
  builder.push([5, 6], START_US + 10_000, none);
  const frame = builder.take()!;
  expect(frame).toMatchObject({ count: 3, firstUs: START_US, periodNs: 5_000_000, deltasUs: null });
  expect(readingsOf([frame]).map((r) => r.bytes)).toEqual([hexOf(1, 2), hexOf(3, 4), hexOf(5, 6)]);
  expect(builder.take()).toBe(null);
});

test('every reading keeps its time and its bytes, however it was pushed', () => {
  const pushes = fc.array(
    fc.record({
      readings: fc.integer({ min: 1, max: 700 }),
      gapUs: fc.oneof(
        fc.constant(0),
        fc.integer({ min: -20_000, max: 20_000 }),
        fc.integer({ min: -6e9, max: 6e9 }),
      ),
    }),
    { minLength: 1, maxLength: 8 },
  );
  fc.assert(
    fc.property(pushes, fc.constantFrom(200, 204.8, 0.1, 50_000), fc.boolean(), (list, rateHz, asFloats) => {
      const builder = createFrameBuilder({ axes, encoding: 'float32', rateHz });
      const frames: FrameContent[] = [];
      const expected: Reading[] = [];
      let timeUs = START_US;
      for (const { readings, gapUs } of list) {
        timeUs += gapUs;
        const values = Array.from({ length: readings * 2 }, (_, i) => expected.length + i / 4);
        for (let i = 0; i < readings; i++)
          expected.push({
            timeUs: timeUs + Math.round((i * 1e6) / rateHz),
            bytes: hexOf(values[i * 2]!, values[i * 2 + 1]!),
          });
        builder.push(asFloats ? Float32Array.from(values) : values, timeUs, (frame) => frames.push(frame));
        timeUs += Math.round((readings * 1e6) / rateHz);
      }
      const last = builder.take();
      if (last !== null) frames.push(last);
      expect(readingsOf(frames)).toEqual(expected);
      for (const frame of frames) expect(frame.count).toBeLessThanOrEqual(500);
    }),
    { numRuns: 60 },
  );
});

test('floats keep their bits, a NaN its payload', () => {
  const builder = createFrameBuilder({ axes, encoding: 'float32', rateHz: 200 });
  const bits = new Uint32Array([0x7fa1_2345, 0xff81_2345]);
  builder.push(new Float32Array(bits.buffer), START_US, () => undefined);
  expect(Buffer.from(builder.take()!.payload).toString('hex')).toBe(Buffer.from(bits.buffer).toString('hex'));
});

test('int16 takes physical values by scale, raw counts as they are, and clips what is too large', () => {
  const builder = createFrameBuilder({ axes, encoding: 'int16', scale: [0.5, 0.001], rateHz: 200 });
  builder.push([10, -0.0015], START_US, () => undefined);
  builder.push(new Int16Array([10, -3]), START_US + 5000, () => undefined);
  builder.push([1e9, -100], START_US + 10_000, () => undefined);
  const { payload } = builder.take()!;
  expect([...new Int16Array(payload.buffer, 0, 6)]).toEqual([20, -1, 10, -3, 32_767, -32_768]);
  expect(builder.clippedReadings).toBe(1);
});

test('what cannot be taken is refused whole', () => {
  const builder = createFrameBuilder({ axes, encoding: 'int16', scale: [1, 1], rateHz: 200 });
  const refused = expect.objectContaining({ code: 'invalid-field' });
  expect(() => builder.push([1, 2, 3], START_US, () => undefined)).toThrow(refused);
  expect(() => builder.push([], START_US, () => undefined)).toThrow(refused);
  expect(() => builder.push([1, 2, 3, Number.NaN], START_US, () => undefined)).toThrow(refused);
  expect(() => builder.push([1, 2], 0.5, () => undefined)).toThrow(refused);
  expect(() => builder.push([1, 2], 2 ** 53, () => undefined)).toThrow(refused);
  expect(builder.count).toBe(0);
});

test('a part of a frame has the times and bytes that its readings had', () => {
  const frames = fc
    .record({
      count: fc.integer({ min: 1, max: 40 }),
      periodNs: fc.constantFrom(5_000_000, 4_882_813, 1, 0xffff_ffff),
      hasTimes: fc.boolean(),
    })
    .map(({ count, periodNs, hasTimes }) => {
      const payload = Uint8Array.from({ length: count * 4 }, (_, i) => (i * 37) % 256);
      const deltas = Uint32Array.from({ length: count }, (_, i) => i * i * 997);
      const deltasUs = hasTimes ? new Uint8Array(deltas.buffer) : null;
      return { firstSeq: 100, count, firstUs: START_US, periodNs, deltasUs, payload };
    });
  fc.assert(
    fc.property(frames, fc.nat(), fc.nat(), (frame, a, b) => {
      const from = 100 + (a % frame.count);
      const to = from + 1 + (b % (100 + frame.count - from));
      const part = cutFrame(frame, from, to);
      expect(part.firstSeq).toBe(from);
      expect(readingsOf([part])).toEqual(readingsOf([frame]).slice(from - 100, to - 100));
    }),
  );
});
