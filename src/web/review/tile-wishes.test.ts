import { expect, test } from 'vitest';

import { tileSpanUs, type TilePlace } from '#web/review/tile-grid.ts';
import { isWholeEnough, placesWanted } from '#web/review/tile-wishes.ts';

const span = tileSpanUs(0);
const names = (places: readonly TilePlace[]): string[] =>
  places.map(({ level, index }) => `${level}:${index}`);
const lane = {
  view: { fromUs: 4.2 * span, toUs: 5.6 * span },
  stored: { fromUs: 0, toUs: 1000 * span },
  wholeColumnUs: 1e9,
  usPerPixel: 1_000_000,
};

test('what is on the screen is wanted first, then both neighbours, finer and coarser ones', () => {
  const { now, next } = placesWanted(lane);
  expect(names(now)).toEqual(['0:4', '0:5']);
  expect(names(next).slice(0, 2)).toEqual(['0:6', '0:3']);
  expect(names(next)).toContain('-1:9');
  expect(names(next)).toContain('1:2');
  expect(new Set(names(next)).size).toBe(next.length);
});

test('nothing is wanted where nothing is stored', () => {
  const { now, next } = placesWanted({ ...lane, stored: { fromUs: 5.1 * span, toUs: 5.2 * span } });
  expect(names(now)).toEqual(['0:5']);
  expect(names(next)).not.toContain('0:6');
  expect(names(next)).not.toContain('0:3');
});

test('the coarse picture of everything does where its columns are as narrow as pixels', () => {
  const coarse = { ...lane, wholeColumnUs: 1_200_000 };
  expect(isWholeEnough(coarse)).toBe(true);
  expect(placesWanted(coarse).now).toEqual([]);
  expect(isWholeEnough({ ...coarse, wholeColumnUs: 1_500_000 })).toBe(false);
});
