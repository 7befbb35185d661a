import { expect, test } from 'vitest';

import { decodeWindow, encodeWindow } from '#app/analysis-payload.ts';
import type { MotionBatch } from '#motion/session-motion.ts';

const batch = (cycles: number): MotionBatch => ({
  angles: [],
  contacts: [{ side: 'left', kind: 'initial', timeUs: 12 }],
  strides: [],
  cycles: Array.from({ length: cycles }, (_, i) => ({
    side: 'left',
    startUs: i,
    endUs: i + 1,
    curves: {
      'knee-flexion': Float32Array.from({ length: 101 }, (_value, at) => (at === 3 ? Number.NaN : at / 3)),
    },
  })),
  turns: [],
  notices: [],
});

test('what is stored comes back, angles to a hundredth of a degree, the unknown as null', () => {
  const { contacts, cycles } = decodeWindow(encodeWindow(batch(1), 100));
  expect(contacts).toEqual(batch(1).contacts);
  expect(cycles[0]?.curves['knee-flexion']?.slice(0, 5)).toEqual([0, 0.33, 0.67, null, 1.33]);
});

test('a window that would be too large is stored without its cycles, and says so', () => {
  const text = encodeWindow(batch(3_000), 100);
  expect(Buffer.byteLength(text)).toBeLessThan(1024 * 1024);
  expect(decodeWindow(text)).toMatchObject({ cycles: [], notices: [{ timeUs: 100, code: 'too-much' }] });
  expect(decodeWindow(text).contacts).toHaveLength(1);
});
