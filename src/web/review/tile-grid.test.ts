import fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  coverRange,
  intersect,
  levelFor,
  MAX_LEVEL,
  MIN_LEVEL,
  tileRange,
  tileSpanUs,
  tilesOver,
  TILE_COLUMNS,
  type TilePlace,
} from '#web/review/tile-grid.ts';

test('a column of the chosen level is about a pixel', () => {
  for (const usPerPixel of [20, 333, 5_000, 999_999, 1_000_000, 7.3e9]) {
    const column = tileSpanUs(levelFor(usPerPixel)) / TILE_COLUMNS;
    expect(column / usPerPixel).toBeGreaterThan(0.7);
    expect(column / usPerPixel).toBeLessThan(1.42);
  }
  expect(levelFor(1e-3)).toBe(MIN_LEVEL);
  expect(levelFor(1e30)).toBe(MAX_LEVEL);
});

test('tiles begin at whole microseconds at every level', () => {
  for (let level = MIN_LEVEL; level <= MAX_LEVEL; level++)
    expect(Number.isInteger(tileSpanUs(level))).toBe(true);
});

test('the tiles over a range cover it, and none is beside it', () => {
  fc.assert(
    fc.property(fc.integer({ min: -1e15, max: 2e15 }), fc.integer({ min: 1, max: 1e9 }), (fromUs, span) => {
      const range = { fromUs, toUs: fromUs + span };
      const tiles = tilesOver(range, -4).map(tileRange);
      expect(tiles[0]!.fromUs).toBeLessThanOrEqual(fromUs);
      expect(tiles.at(-1)!.toUs).toBeGreaterThanOrEqual(range.toUs);
      for (const tile of tiles) expect(intersect(tile, range)).not.toBeNull();
    }),
  );
});

const name = ({ level, index }: TilePlace): string => `${level}:${index}`;

/** Covers with the named tiles; `whole` where none is. */
function cover(range: { fromUs: number; toUs: number }, level: number, held: readonly string[]) {
  return coverRange(range, level, {
    whole: 'whole',
    peek: (place) => (held.includes(name(place)) ? name(place) : undefined),
  });
}

const span = tileSpanUs(0);

test('what is there is drawn at its level, else coarser, else from the whole', () => {
  const range = { fromUs: 0, toUs: 4 * span };
  expect(cover(range, 0, ['0:0', '0:1', '0:2', '0:3']).map(({ tile }) => tile)).toEqual([
    '0:0',
    '0:1',
    '0:2',
    '0:3',
  ]);
  expect(cover(range, 0, ['0:0', '1:1']).map(({ tile }) => tile)).toEqual(['0:0', 'whole', '1:1']);
  expect(cover(range, 0, ['2:0']).map(({ tile }) => tile)).toEqual(['2:0']);
  expect(cover(range, 0, [])).toEqual([{ tile: 'whole', range }]);
});

test('finer tiles are used when they cover all of what is shown of one', () => {
  const range = { fromUs: 0, toUs: 2 * span };
  expect(cover(range, 1, ['0:0', '0:1']).map(({ tile }) => tile)).toEqual(['0:0', '0:1']);
  expect(cover(range, 1, ['0:0']).map(({ tile }) => tile)).toEqual(['whole']);
  expect(cover({ fromUs: 0, toUs: span }, 1, ['0:0']).map(({ tile }) => tile)).toEqual(['0:0']);
});

test('pieces are in order, without overlap or hole', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 6 * span }),
      fc.integer({ min: 1, max: 8 * span }),
      fc.uniqueArray(
        fc.constantFrom('0:0', '0:1', '0:2', '0:5', '1:0', '1:1', '1:3', '-1:4', '-1:5', '-2:9', '3:0'),
      ),
      (fromUs, length, held) => {
        const range = { fromUs, toUs: fromUs + length };
        const pieces = cover(range, 0, held);
        expect(pieces[0]!.range.fromUs).toBe(range.fromUs);
        expect(pieces.at(-1)!.range.toUs).toBe(range.toUs);
        pieces.slice(1).forEach((piece, i) => expect(piece.range.fromUs).toBe(pieces[i]!.range.toUs));
      },
    ),
  );
});
