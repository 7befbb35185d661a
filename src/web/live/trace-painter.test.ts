import { afterAll, beforeAll, expect, test, vi } from 'vitest';

import { palettes } from '#web/live/palette.ts';
import { createScaleBook } from '#web/live/scale-book.ts';
import { createStreamTrace, markDirty, takeProgress } from '#web/live/stream-trace.ts';
import { GUTTER_PX } from '#web/live/trace-layout.ts';
import { createTracePainter, type PaintMoment } from '#web/live/trace-painter.ts';

/** Remembers where it was drawn: clip rectangles are the columns of a span. */
function createRecorder() {
  const clips: { x: number; width: number }[] = [];
  const words: string[] = [];
  const widths: number[] = [];
  const context = {
    canvas: { width: 0, height: 0 },
    lineWidth: 0,
    save() {},
    restore() {},
    beginPath() {},
    clip() {},
    moveTo() {},
    lineTo() {},
    fillRect() {},
    stroke() {
      widths.push(this.lineWidth);
    },
    rect: (x: number, _y: number, width: number) => clips.push({ x, width }),
    fillText: (text: string) => words.push(text),
    measureText: (text: string) => ({ width: text.length * 6 }),
    createPattern: () => null,
  };
  return {
    context: context as unknown as CanvasRenderingContext2D,
    clips,
    words,
    widths,
    forget() {
      for (const list of [clips, words, widths]) list.length = 0;
    },
  };
}

/** Patterns need a canvas, which the engine of the unit tests has not. */
beforeAll(() => {
  vi.stubGlobal(
    'OffscreenCanvas',
    class {
      getContext() {
        return null;
      }
    },
  );
});
afterAll(() => {
  vi.unstubAllGlobals();
});

const WIDTH = 1000;

/** A sweep of 1,000 columns over ten seconds, one reading a column. */
function bench() {
  const recorder = createRecorder();
  const trace = createStreamTrace(
    {
      stream: 's',
      session: 'x',
      segment: 'left-foot',
      sensor: 'imu',
      axes: [{ name: 'acc_x', unit: 'm/s2' }],
      rateHz: 100,
      encoding: 'float32',
      clock: 'device',
    },
    0,
  );
  trace.settlement.segmentFor('e', 0, 0);
  const painter = createTracePainter(
    recorder.context,
    { trace, scales: createScaleBook() },
    { windowMs: 10_000, palette: palettes.dark, hasEraseBar: true },
  );
  painter.resize({ width: WIDTH + GUTTER_PX + 8, height: 200, scale: 1 });
  const put = (from: number, to: number, value = 1): void => {
    for (let i = from; i < to; i++) trace.ring.values[0]![trace.ring.claim(i, i * 10)] = value;
    markDirty(trace, Math.max(0, from - 1) * 10, to * 10);
  };
  const paint = (headMs: number, over: Partial<PaintMoment> = {}): boolean =>
    painter.paint({ headMs, isOffline: () => false, silentSinceMs: null, ...over });
  /** Columns that were drawn, counted from the plot's left edge. */
  const columns = (): [from: number, to: number][] =>
    recorder.clips.map(({ x, width }) => [x - GUTTER_PX, x - GUTTER_PX + width]);
  return { recorder, trace, painter, put, paint, columns };
}

test('the first picture is drawn whole, the next only where something changed', () => {
  const { recorder, put, paint, columns } = bench();
  put(0, 300);
  paint(2500);
  expect(columns().reduce((sum, [from, to]) => sum + to - from, 0)).toBe(970);
  recorder.forget();
  paint(2520);
  expect(columns()).toEqual([[250, 253]]);
});

test('when nothing changed nothing is drawn', () => {
  const { recorder, put, paint } = bench();
  put(0, 300);
  paint(2500);
  recorder.forget();
  expect(paint(2500)).toBe(false);
  expect(recorder.clips).toEqual([]);
});

test('readings that come after the head has passed are drawn where they belong', () => {
  const { recorder, put, paint, columns } = bench();
  put(0, 200);
  paint(2500);
  recorder.forget();
  put(200, 240);
  paint(2510);
  expect(columns()).toEqual([[199, 252]]);
});

test('a commit draws what it settled anew, from thin to full', () => {
  const { recorder, trace, put, paint, columns } = bench();
  put(0, 300);
  paint(2500);
  expect(new Set(recorder.widths)).toEqual(new Set([0.9]));
  recorder.forget();
  takeProgress(trace, { stream: 's', epoch: 'e', next: 200, ranges: [], lost: 0 });
  paint(2500);
  expect(columns()).toEqual([[0, 251]]);
  expect(recorder.widths).toContain(1.75);
  recorder.forget();
  takeProgress(trace, { stream: 's', epoch: 'e', next: 210, ranges: [], lost: 0 });
  paint(2500);
  expect(columns()).toEqual([[199, 251]]);
});

test('a value beyond the scale draws everything anew, once', () => {
  const { recorder, put, paint, columns } = bench();
  put(0, 300);
  paint(2500);
  recorder.forget();
  put(251, 252, 170);
  paint(2530);
  expect(recorder.words).toContain('200');
  expect(columns().filter(([from, to]) => to - from > 100).length).toBeLessThanOrEqual(4);
});

test('over the right edge the sweep goes on at the left', () => {
  const { recorder, put, paint, columns } = bench();
  put(0, 1100);
  paint(9980);
  recorder.forget();
  paint(10_020);
  expect(columns()).toEqual([
    [998, 1000],
    [0, 3],
  ]);
});

test('a gap says why, and a sensor that is silent now says since when', () => {
  const { recorder, put, paint, columns } = bench();
  put(0, 50);
  put(180, 200);
  paint(1990);
  expect(recorder.words).toContain('not arrived yet');
  recorder.forget();
  paint(3000, { silentSinceMs: 1990 });
  expect(recorder.words).toContain('no readings');
  expect(columns()).toContainEqual([199, 301]);
});

test('after a head that jumped the picture is drawn whole', () => {
  const { recorder, put, paint, columns } = bench();
  put(0, 3000);
  paint(2500);
  recorder.forget();
  paint(27_000);
  expect(columns().reduce((sum, [from, to]) => sum + to - from, 0)).toBe(970);
});
