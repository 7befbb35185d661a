import { expect, test } from 'vitest';

import { palettes } from '#web/live/palette.ts';
import { stanceBars, type StepContact } from '#web/motion/stance-bars.ts';
import { paintSteps, type StepFrame } from '#web/motion/step-painter.ts';

const palette = palettes.light;
const contacts: StepContact[] = [
  { side: 'left', kind: 'initial', timeUs: 1_000_000 },
  { side: 'left', kind: 'final', timeUs: 1_600_000 },
  { side: 'right', kind: 'initial', timeUs: 9_500_000 },
];

/** Ten seconds on a thousand pixels: 100 px a second. */
function paint(over: Partial<StepFrame> = {}) {
  const boxes: { colour: string; alpha: number; x: number; width: number }[] = [];
  const words: string[] = [];
  const context = {
    fillStyle: '',
    globalAlpha: 1,
    save() {},
    restore() {},
    beginPath() {},
    rect() {},
    clip() {},
    measureText: (text: string) => ({ width: text.length * 6 }),
    fillText: (text: string) => words.push(text),
    fillRect(x: number, _y: number, width: number) {
      boxes.push({ colour: this.fillStyle, alpha: this.globalAlpha, x, width });
    },
  };
  paintSteps(context as unknown as CanvasRenderingContext2D, {
    range: { fromUs: 0, toUs: 10_000_000 },
    shiftUs: 0,
    bars: { left: stanceBars(contacts, 'left'), right: stanceBars(contacts, 'right') },
    turns: [],
    isProvisional: false,
    size: { width: 1_000 + 48 + 8, height: 56, scale: 1 },
    palette,
    ...over,
  });
  const of = (side: 'left' | 'right') =>
    boxes
      .filter(({ colour }) => colour === palette.sides[side].solid)
      .map(({ x, width, alpha }) => [x, width, alpha]);
  return { of, words };
}

test('a stance is a bar from initial to final contact, a contact alone a tick', () => {
  const { of } = paint();
  expect(of('left')).toEqual([
    [148, 60, 0.5],
    [148, 2, 1],
    [207, 1, 1],
  ]);
  expect(of('right')).toEqual([[998, 2, 1]]);
});

test('what is provisional is fainter and thinner', () => {
  const { of } = paint({ isProvisional: true });
  expect(of('left')).toEqual([
    [148, 60, 0.25],
    [148, 1, 1],
    [207.5, 0.5, 1],
  ]);
});

test('steps move with the range and with a clock that was not set', () => {
  expect(paint({ range: { fromUs: 500_000, toUs: 10_500_000 } }).of('left')[0]).toEqual([98, 60, 0.5]);
  expect(paint({ shiftUs: 1_000_000 }).of('left')[0]).toEqual([248, 60, 0.5]);
  expect(paint({ range: { fromUs: 2_000_000, toUs: 9_000_000 } }).of('left')).toEqual([]);
  expect(paint({ range: { fromUs: 2_000_000, toUs: 9_000_000 } }).of('right')).toEqual([]);
});

test('a turn says its angle where there is room', () => {
  const turn = (endUs: number) => paint({ turns: [{ startUs: 3_000_000, endUs, angleDeg: -178.4 }] }).words;
  expect(turn(5_000_000)).toContain('turn 178°');
  expect(turn(3_100_000)).toEqual(['L', 'R']);
});
