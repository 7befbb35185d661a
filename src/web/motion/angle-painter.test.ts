import { expect, test } from 'vitest';

import { palettes } from '#web/live/palette.ts';
import { createReadingRing } from '#web/live/reading-ring.ts';
import { createAnglePainter } from '#web/motion/angle-painter.ts';

/** Remembers the columns of clip rectangles, the scale's words and the strokes. */
function createRecorder() {
  const clips: { x: number; width: number }[] = [];
  const words: string[] = [];
  const strokes: { colour: string; width: number }[] = [];
  const context = {
    canvas: { width: 0, height: 0 },
    lineWidth: 0,
    strokeStyle: '',
    save() {},
    restore() {},
    beginPath() {},
    clip() {},
    moveTo() {},
    lineTo() {},
    fillRect() {},
    stroke() {
      strokes.push({ colour: this.strokeStyle, width: this.lineWidth });
    },
    rect: (x: number, _y: number, width: number) => clips.push({ x, width }),
    fillText: (text: string) => words.push(text),
  };
  const forget = (): void => {
    for (const list of [clips, words, strokes]) list.length = 0;
  };
  return { context: context as unknown as CanvasRenderingContext2D, clips, words, strokes, forget };
}

const palette = palettes.dark;
const curves = [
  {
    key: 'knee-flexion',
    label: 'Knee flexion',
    lines: [
      { side: 'left' as const, column: 0 },
      { side: 'right' as const, column: 1 },
    ],
  },
];

/** A sweep of 1,000 columns over ten seconds, one row a column. */
function start() {
  const recorder = createRecorder();
  const ring = createReadingRing(2, 4_000);
  const painter = createAnglePainter(recorder.context, { windowMs: 10_000, palette, curves });
  painter.resize({ width: 1_000 + 48 + 8, height: 200, scale: 1 });
  let next = 0;
  const feed = (count: number, value = 10): void => {
    for (let i = 0; i < count; i++, next++) {
      const slot = ring.claim(next, next * 10);
      ring.values[0]![slot] = value;
      ring.values[1]![slot] = -5;
    }
  };
  return { ...recorder, ring, painter, feed };
}

test('only new columns are drawn, left and right in their colours, thin while nothing is stored', () => {
  const { painter, ring, feed, clips, strokes, forget } = start();
  feed(500);
  painter.paint(ring, 4_990, null);
  forget();
  feed(10);
  painter.paint(ring, 5_090, null);
  expect(clips).toEqual([{ x: 48 + 499, width: 11 }]);
  expect(strokes).toEqual([
    { colour: palette.sides.left.solid, width: 0.9 },
    { colour: palette.sides.right.solid, width: 0.9 },
  ]);
  forget();
  painter.paint(ring, 5_090, null);
  expect(clips).toEqual([]);
});

test('what the stored analysis covers is drawn full', () => {
  const { painter, ring, feed, strokes, forget } = start();
  feed(500);
  painter.paint(ring, 4_990, null);
  forget();
  painter.setCommitted([{ startUs: 0, endUs: 2_000_000 }]);
  painter.paint(ring, 4_990, null);
  expect(new Set(strokes.map(({ width }) => width))).toEqual(new Set([0.9, 1.75]));
  forget();
  painter.setCommitted([{ startUs: 0, endUs: 10_000_000 }]);
  painter.paint(ring, 4_990, null);
  expect(new Set(strokes.map(({ width }) => width))).toEqual(new Set([1.75]));
});

test('rows that came late are drawn where they belong', () => {
  const { painter, ring, feed, clips, forget } = start();
  feed(500);
  painter.paint(ring, 4_990, null);
  forget();
  painter.paint(ring, 4_990, 4_000);
  expect(clips[0]!.x).toBe(48 + 399);
});

test('a value beyond the scale widens it by whole tens, and all is drawn anew', () => {
  const { painter, ring, feed, words, forget } = start();
  feed(500);
  painter.paint(ring, 4_990, null);
  expect(words).toEqual(['70°', '\u221210°']);
  forget();
  feed(10, 75);
  painter.paint(ring, 5_090, null);
  expect(words.slice(-2)).toEqual(['80°', '\u221210°']);
});
