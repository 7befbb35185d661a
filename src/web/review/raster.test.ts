import { expect, test } from 'vitest';

import {
  addDot,
  addSegment,
  blendSpan,
  clearSurface,
  createMask,
  createSurface,
  fillBox,
  hatchColumns,
  present,
  stamp,
  type Surface,
} from '#web/review/raster.ts';

const white = [255, 255, 255] as const;

/** Red of each pixel, row by row. */
function reds(surface: Surface): number[][] {
  const rows = new Uint32Array(surface.width * surface.height);
  present(surface, rows);
  return Array.from({ length: surface.height }, (_, y) =>
    Array.from(rows.subarray(y * surface.width, (y + 1) * surface.width), (word) => word & 255),
  );
}

function blank(width: number, height: number): Surface {
  const surface = createSurface(width, height);
  clearSurface(surface, [0, 0, 0]);
  return surface;
}

function stamped(
  width: number,
  height: number,
  add: (mask: ReturnType<typeof createMask>) => void,
): number[][] {
  const surface = blank(width, height);
  const mask = createMask(width, height);
  add(mask);
  stamp(surface, mask, { colour: white, alpha: new Uint8Array(width).fill(255) });
  // A stamp empties its mask: the next curve starts clean.
  expect(mask.cover.every((cover) => cover === 0)).toBe(true);
  return reds(surface);
}

test('pixels lie column by column and are presented row by row', () => {
  const surface = blank(20, 18);
  fillBox(surface, { left: 17, top: 2, width: 9, height: 1 }, white);
  const rows = reds(surface);
  expect(rows[2]!.slice(15)).toEqual([0, 0, 255, 255, 255]);
  expect(rows.flat().filter((red) => red > 0).length).toBe(3);
});

test('colours keep their channels', () => {
  const surface = blank(1, 1);
  blendSpan(surface, 0, { top: 0, bottom: 1 }, { colour: [10, 200, 90], alpha: 255 });
  expect([...new Uint8Array(surface.pixels.buffer)]).toEqual([10, 200, 90, 255]);
  blendSpan(surface, 0, { top: 0, bottom: 1 }, { colour: [10, 0, 90], alpha: 128 });
  const [red, green, blue, alpha] = new Uint8Array(surface.pixels.buffer);
  expect([red, blue, alpha]).toEqual([10, 90, 255]);
  expect(green).toBeCloseTo(100, -1);
});

test('a span ends with part of a pixel, and what lies outside is left out', () => {
  const surface = blank(1, 5);
  blendSpan(surface, 0, { top: 1.5, bottom: 3.25 }, { colour: white, alpha: 255 });
  expect(reds(surface).flat()).toEqual([0, 126, 255, 62, 0]);
  blendSpan(surface, 0, { top: -9, bottom: -3 }, { colour: white, alpha: 255 });
  blendSpan(surface, 0, { top: 4.5, bottom: 99 }, { colour: white, alpha: 255 });
  expect(reds(surface).flat()).toEqual([0, 126, 255, 62, 126]);
});

test('a flat line is as thick as it says', () => {
  const rows = stamped(4, 5, (mask) => addSegment(mask, 0, 2.5, 4, 2.5, 2));
  expect(rows.map((row) => row[1])).toEqual([0, 128, 255, 128, 0]);
});

test('a line covers about the same ink however steep it is', () => {
  const inks = [
    [0, 30, 60, 30],
    [10, 5, 50, 55],
    [30, 0, 30, 60],
    [20, 0, 40, 60],
  ].map(([x0, y0, x1, y1]) => {
    const rows = stamped(60, 60, (mask) => addSegment(mask, x0!, y0!, x1!, y1!, 1.5));
    const ink = rows.flat().reduce((sum, red) => sum + red / 255, 0);
    return ink / Math.hypot(x1! - x0!, y1! - y0!);
  });
  for (const ink of inks) expect(ink).toBeCloseTo(1.5, 0);
});

test('a line that leaves the plot is drawn as far as it is inside', () => {
  const rows = stamped(4, 4, (mask) => addSegment(mask, -5, -5, 9, 9, 1));
  expect(rows.map((row, i) => row[i])).toEqual([255, 255, 255, 255]);
});

test('joined lines cover no pixel twice', () => {
  const rows = stamped(8, 3, (mask) => {
    addSegment(mask, 0, 1.5, 4, 1.5, 1);
    addSegment(mask, 4, 1.5, 8, 1.5, 1);
  });
  expect(new Set(rows[1])).toEqual(new Set([255]));
});

test('a dot is round', () => {
  const rows = stamped(9, 9, (mask) => addDot(mask, 4.5, 4.5, 3));
  expect(rows[4]![4]).toBe(255);
  expect(rows[0]![0]).toBe(0);
  expect(rows[2]![2]! < rows[4]![2]!).toBe(true);
});

test('a hatch covers its share of the columns that it marks, and no others', () => {
  const surface = blank(32, 16);
  hatchColumns(surface, [8, 24], { colour: white, alpha: 255, period: 8, thickness: 2, shift: 8 });
  const rows = reds(surface);
  expect(rows.flat().filter((red) => red === 255).length).toBe((16 * 16) / 4);
  expect(rows.every((row) => row[7] === 0 && row[24] === 0)).toBe(true);
});
