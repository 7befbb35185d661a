import fc from 'fast-check';
import { expect, test } from 'vitest';

import { choosePoints, createPointBuffer } from '#web/live/decimation.ts';
import { createReadingRing } from '#web/live/reading-ring.ts';

function ringOf(values: readonly number[], periodMs = 1) {
  const ring = createReadingRing(1, Math.max(1, values.length));
  values.forEach((value, i) => {
    ring.values[0]![ring.claim(i, i * periodMs)] = value;
  });
  return ring;
}

function choose(
  values: readonly number[],
  msPerColumn: number,
  isBreak: (index: number) => boolean = () => false,
) {
  const ring = ringOf(values);
  const out = createPointBuffer(Math.ceil(values.length / msPerColumn));
  choosePoints({ ring, axis: 0, from: 0, to: values.length, msPerColumn, isBreak }, out);
  return Array.from({ length: out.count }, (_, i) => ({
    index: out.index[i]!,
    value: out.value[i]!,
    isStart: out.isStart[i] === 1,
  }));
}

test('a column gives its first, lowest, highest and last reading, in order', () => {
  expect(choose([1, 9, 3, -4, 2], 10).map((point) => point.value)).toEqual([1, 9, -4, 2]);
  expect(choose([5, 5, 5, 5], 10).map((point) => point.index)).toEqual([0, 3]);
  expect(choose([7], 10)).toEqual([{ index: 0, value: 7, isStart: true }]);
});

test('no peak is hidden: every column keeps its extremes and its ends, whatever the signal', () => {
  const signal = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), {
    minLength: 1,
    maxLength: 300,
  });
  fc.assert(
    fc.property(signal, fc.integer({ min: 1, max: 40 }), (values, columnMs) => {
      const points = choose(values, columnMs);
      for (let from = 0; from < values.length; from += columnMs) {
        const column = values.slice(from, from + columnMs);
        const chosen = points.filter((p) => p.index >= from && p.index < from + columnMs);
        expect(chosen.length).toBeLessThanOrEqual(4);
        expect(Math.min(...chosen.map((p) => p.value))).toBe(Math.min(...column));
        expect(Math.max(...chosen.map((p) => p.value))).toBe(Math.max(...column));
        expect(chosen[0]?.index).toBe(from);
        expect(chosen.at(-1)?.index).toBe(from + column.length - 1);
      }
      expect(points.every((p, i) => i === 0 || p.index > points[i - 1]!.index)).toBe(true);
    }),
  );
});

test('a hole ends the line, and the line starts anew behind it', () => {
  const points = choose([1, 2, Number.NaN, 4, 5], 1);
  expect(points.map((p) => [p.index, p.isStart])).toEqual([
    [0, true],
    [1, false],
    [3, true],
    [4, false],
  ]);
});

test('a break between two readings of one column ends the line too', () => {
  const points = choose([1, 2, 3, 4], 100, (index) => index === 2);
  expect(points.map((p) => [p.index, p.isStart])).toEqual([
    [0, true],
    [1, false],
    [2, true],
    [3, false],
  ]);
});

test('a full buffer takes no more, and nothing is written past it', () => {
  const ring = ringOf(Array.from({ length: 100 }, (_, i) => i));
  const out = createPointBuffer(0);
  choosePoints({ ring, axis: 0, from: 0, to: 100, msPerColumn: 0.5, isBreak: () => false }, out);
  expect(out.count).toBe(8);
});
