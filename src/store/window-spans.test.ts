import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sizeOf } from '#base/ranges.ts';
import { WINDOW_US, windowStartUs } from '#store/window-grid.ts';
import { takeSpans } from '#store/window-spans.ts';

const block = (firstSeq: number, times: readonly number[]) => ({
  firstSeq,
  n: times.length,
  times: Float64Array.from(times),
});

test('readings are cut at the borders of windows, before 1970 too', () => {
  const taken = takeSpans({ from: 10, to: 16 }, [
    block(10, [-1, 0, WINDOW_US - 1]),
    block(13, [WINDOW_US, 5, WINDOW_US + 1]),
  ]);
  expect([...taken.windows]).toEqual([
    [-WINDOW_US, [{ from: 10, to: 11 }]],
    [
      0,
      [
        { from: 11, to: 13 },
        { from: 14, to: 15 },
      ],
    ],
    [
      WINDOW_US,
      [
        { from: 13, to: 14 },
        { from: 15, to: 16 },
      ],
    ],
  ]);
  expect(taken).toMatchObject({ endSeq: 16, newestUs: WINDOW_US + 1 });
});

test('taking ends before one window too many', () => {
  const taken = takeSpans({ from: 0, to: 3 }, [block(0, [0, WINDOW_US, 2 * WINDOW_US])], 2);
  expect(taken.windows.size).toBe(2);
  expect(taken.endSeq).toBe(2);
});

test('every reading of the range is in the window of its time, once', () => {
  const times = fc.array(fc.integer({ min: -3 * WINDOW_US, max: 3 * WINDOW_US }), {
    minLength: 1,
    maxLength: 60,
  });
  fc.assert(
    fc.property(times, fc.nat(20), fc.nat(80), (of, from, length) => {
      const range = { from, to: from + length };
      const { windows } = takeSpans(range, [block(5, of)]);
      const inRange = of.filter((_, i) => 5 + i >= range.from && 5 + i < range.to);
      expect([...windows.values()].reduce((sum, set) => sum + sizeOf(set), 0)).toBe(inRange.length);
      for (const [startUs, set] of windows)
        for (const { from: first, to } of set)
          for (let seq = first; seq < to; seq++) expect(windowStartUs(of[seq - 5]!)).toBe(startUs);
    }),
  );
});
