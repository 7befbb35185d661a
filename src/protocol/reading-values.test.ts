import { expect, test } from 'vitest';

import { unpackReadings } from '#protocol/reading-values.ts';

test('float32 readings come out as they are, wherever the payload begins', () => {
  const bytes = new Uint8Array(1 + 16);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of [0.1, -2, Number.NaN, 3.5].entries()) view.setFloat32(1 + i * 4, value, true);
  const out = new Float32Array(5).fill(7);
  unpackReadings(bytes.subarray(1), { encoding: 'float32', axisCount: 2 }, { count: 2, out });
  expect([...out]).toEqual([Math.fround(0.1), -2, Number.NaN, 3.5, 7]);
});

test('int16 readings are multiplied by the scale of their axis and rounded to float32', () => {
  const payload = new Uint8Array(Int16Array.of(100, -32768, 3, 32767).buffer);
  const out = new Float32Array(4);
  const scale = [0.1, 0.001];
  unpackReadings(payload, { encoding: 'int16', scale, axisCount: 2 }, { count: 2, out });
  expect([...out]).toEqual([10, Math.fround(-32.768), Math.fround(3 * 0.1), Math.fround(32.767)]);
});
