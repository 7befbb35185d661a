import { expect, test } from 'vitest';

import type { EnvelopeGap } from '#contract/envelope.ts';
import { createColumnLayout, layOut } from '#web/review/column-layout.ts';
import { createCurveBuffers, paintCurve } from '#web/review/curve-painter.ts';
import type { EnvelopeTile } from '#web/review/envelope-tile.ts';
import { clearSurface, createMask, createSurface, type Surface } from '#web/review/raster.ts';
import type { Piece } from '#web/review/tile-grid.ts';
import { tileOf } from '#test/support/envelope-tiles.ts';

const PERIOD_US = 5_000;
const HEIGHT = 40;

interface Drawing {
  readonly pieces: readonly Piece<EnvelopeTile>[];
  readonly width: number;
  readonly spanUs: number;
  readonly gaps?: readonly EnvelopeGap[];
}

/** One axis, values 0 at the lower edge and 10 at the upper. */
function draw({ pieces, width, spanUs, gaps = [] }: Drawing): Surface {
  const surface = createSurface(width, HEIGHT);
  clearSurface(surface, [0, 0, 0]);
  const view = {
    fromUs: 0,
    usPerPixel: spanUs / width,
    width,
    scale: 1,
    periodUs: PERIOD_US,
    shiftUs: 0,
  };
  const layout = createColumnLayout();
  layOut(layout, { pieces, gaps }, view);
  paintCurve(
    surface,
    { layout, axis: 0, colour: [255, 255, 255], dash: [], zeroRow: HEIGHT, rowsPerUnit: -HEIGHT / 10 },
    { view, buffers: createCurveBuffers(createMask(width, HEIGHT)) },
  );
  return surface;
}

/** Rows with any ink in a column. */
function inked({ pixels, height }: Surface, x: number): number[] {
  return Array.from(pixels.subarray(x * height, (x + 1) * height)).flatMap((word, y) =>
    (word & 255) > 40 ? [y] : [],
  );
}

function whole(tile: EnvelopeTile): Piece<EnvelopeTile>[] {
  return [{ tile, range: { fromUs: tile.fromUs, toUs: tile.toUs } }];
}

/** Readings of 5, but for one of 10, in columns of `perColumn`. */
function withPeak(readings: number, perColumn: number, peakAt: number): EnvelopeTile {
  const values = Array.from({ length: readings }, (_, i) => (i === peakAt ? 9.5 : 5));
  return tileOf(values, { periodUs: PERIOD_US, perColumn });
}

test('a peak of one reading reaches its height at every zoom', () => {
  for (const perColumn of [1, 2, 7, 50, 400]) {
    const tile = withPeak(4000, perColumn, 1234);
    const spanUs = 4000 * PERIOD_US;
    const surface = draw({ pieces: whole(tile), width: 300, spanUs });
    const at = Math.floor((1234 * PERIOD_US) / (spanUs / 300));
    const column = [at - 1, at, at + 1].map((x) => Math.min(...inked(surface, x)));
    expect(Math.min(...column), `${perColumn} readings a column`).toBeLessThanOrEqual(3);
  }
});

test('a coarse column that is drawn wide still shows its peak over all of its width', () => {
  const tile = withPeak(40, 20, 30);
  const surface = draw({ pieces: whole(tile), width: 200, spanUs: 40 * PERIOD_US });
  expect(Math.min(...inked(surface, 150))).toBeLessThanOrEqual(3);
  expect(Math.min(...inked(surface, 50))).toBeGreaterThan(15);
});

test('readings with room are joined by a line through each of them', () => {
  const tile = tileOf([0, 10, 0, 10, 5], { periodUs: PERIOD_US, perColumn: 1 });
  const surface = draw({ pieces: whole(tile), width: 100, spanUs: 5 * PERIOD_US });
  expect(inked(surface, 20)).toContain(0);
  expect(inked(surface, 40)).toContain(HEIGHT - 1);
  // Half way up between two readings.
  const middle = inked(surface, 10);
  expect(Math.min(...middle)).toBeGreaterThan(12);
  expect(Math.max(...middle)).toBeLessThan(28);
});

test('no line leads over a gap, however short', () => {
  const tile = tileOf([5, 5, 5, 5, 5, 5], { periodUs: PERIOD_US, perColumn: 1 });
  const gap: EnvelopeGap = {
    fromUs: 2 * PERIOD_US,
    toUs: 3 * PERIOD_US,
    readings: 1,
    state: 'lost',
    reason: null,
  };
  const spanUs = 6 * PERIOD_US;
  const without = draw({ pieces: whole(tile), width: 120, spanUs });
  const across = draw({ pieces: whole(tile), width: 120, spanUs, gaps: [gap] });
  expect(inked(without, 50).length).toBeGreaterThan(0);
  expect(inked(across, 50)).toEqual([]);
  expect(inked(across, 30).length).toBeGreaterThan(0);
  expect(inked(across, 70).length).toBeGreaterThan(0);
});

test('no line leads over a pause or a value that is not a number', () => {
  const holes = tileOf([5, 5, Number.NaN, 5, 5], { periodUs: PERIOD_US, perColumn: 1 });
  const surface = draw({ pieces: whole(holes), width: 100, spanUs: 5 * PERIOD_US });
  expect(inked(surface, 30)).toEqual([]);
  expect(inked(surface, 10).length).toBeGreaterThan(0);
  const early = tileOf([5, 5], { periodUs: PERIOD_US, perColumn: 1 });
  const late = tileOf([5, 5], { periodUs: PERIOD_US, perColumn: 1, fromUs: 1_000_000 });
  const pieces = [...whole(early), ...whole(late)];
  const paused = draw({ pieces, width: 100, spanUs: 1_010_000 });
  expect(inked(paused, 50)).toEqual([]);
});

test('tiles join without a hole where one ends and the next begins', () => {
  const values = Array.from({ length: 100 }, () => 5);
  const first = tileOf(values, { periodUs: PERIOD_US, perColumn: 5 });
  const second = tileOf(values, { periodUs: PERIOD_US, perColumn: 10, fromUs: 100 * PERIOD_US });
  const surface = draw({ pieces: [...whole(first), ...whole(second)], width: 80, spanUs: 200 * PERIOD_US });
  for (let x = 1; x < 78; x++) expect(inked(surface, x).length, `column ${x}`).toBeGreaterThan(0);
});

test('a reading without neighbours is a dot', () => {
  const tile = tileOf([5], { periodUs: PERIOD_US, perColumn: 1, fromUs: 50 * PERIOD_US });
  const surface = draw({ pieces: whole(tile), width: 100, spanUs: 100 * PERIOD_US });
  expect(inked(surface, 50).length).toBeGreaterThan(0);
});
