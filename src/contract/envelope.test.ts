import { Compile } from 'typebox/compile';
import { expect, test } from 'vitest';

import { decodeEnvelope, encodeEnvelope, envelopeJson } from '#contract/envelope-codec.ts';
import { Envelope, type EnvelopeData } from '#contract/envelope.ts';

const envelope: EnvelopeData = {
  stream: '00000000-0000-7000-8000-000000000001',
  axes: [
    { name: 'acc-x', unit: 'm/s²' },
    { name: 'acc-y', unit: 'm/s²' },
  ],
  fromUs: -5_000_000,
  toUs: 2_000_000,
  firstUs: -5_000_000,
  lastUs: 1_999_999,
  bucketUs: 1_000_000,
  rawDropped: false,
  unrolled: 0,
  gaps: [{ fromUs: 5, toUs: 90, readings: 17, state: 'lost', reason: 'overwritten' }],
  startUs: Float64Array.of(-5_000_000, 1_000_000, 1_500_000),
  endUs: Float64Array.of(-4_000_000, 1_500_000, 2_000_000),
  count: Float64Array.of(3, 1, 2),
  lateUs: Float64Array.of(0, 3.6e9, 1),
  min: [Float64Array.of(-1, -0.1, Number.NaN), Float64Array.of(1, 2, 3)],
  max: [Float64Array.of(1e300, 2, Number.NaN), Float64Array.of(4, 5, 6)],
  mean: [Float64Array.of(0.1, 0.2, Number.NaN), Float64Array.of(2, 3, 4)],
};

test('the binary form gives back what went in, whatever the length of the head', () => {
  for (let length = 0; length < 9; length++) {
    const named = { ...envelope, axes: [{ name: 'x'.repeat(length), unit: '°' }, envelope.axes[1]!] };
    const bytes = encodeEnvelope(named);
    expect(bytes.byteLength % 8).toBe(0);
    expect(decodeEnvelope(bytes.buffer)).toEqual(named);
  }
});

test('no columns at all are an envelope too', () => {
  const none = Float64Array.of();
  const lists = { startUs: none, endUs: none, count: none, lateUs: none };
  const empty = { ...envelope, ...lists, min: [none, none], max: [none, none], mean: [none, none], gaps: [] };
  expect(decodeEnvelope(encodeEnvelope(empty).buffer)).toEqual(empty);
});

test('an answer that was cut off is refused', () => {
  const { buffer } = encodeEnvelope(envelope);
  expect(() => decodeEnvelope(buffer.slice(0, -8))).toThrow('the columns that its head says');
  expect(() => decodeEnvelope(new ArrayBuffer(2))).toThrow('has a head');
});

test('the JSON form is what its schema says, with null for what is not finite', () => {
  const json: unknown = JSON.parse(envelopeJson(envelope));
  expect(Compile(Envelope).Check(json)).toBe(true);
  expect(json).toMatchObject({
    min: [
      [-1, -0.1, null],
      [1, 2, 3],
    ],
    lateUs: [0, 3.6e9, 1],
  });
});
