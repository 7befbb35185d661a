/**
 * Owns the grid of tiles: time cut into pieces of TILE_COLUMNS columns, twice as long from level to level. At level 0 a
 * column is one second, so that the server's one-second buckets fit. Tiles are fixed to device time: a step of a pan or
 * a zoom finds what it drew before.
 */

import type { TimeRange } from '#web/review/view-range.ts';

/** Columns that are asked for at once: a screen is covered by two or three tiles. */
export const TILE_COLUMNS = 1024;
const LEVEL_0_COLUMN_US = 1_000_000;
/** Down to 15 us a column (tiles still begin at whole microseconds), up to 12 days a column. */
export const MIN_LEVEL = -16;
export const MAX_LEVEL = 20;

export interface TilePlace {
  readonly level: number;
  readonly index: number;
}

/** The level whose columns are nearest to a pixel: between 0.7 and 1.4 of one. */
export function levelFor(usPerPixel: number): number {
  const level = Math.round(Math.log2(usPerPixel / LEVEL_0_COLUMN_US));
  return Math.min(MAX_LEVEL, Math.max(MIN_LEVEL, level));
}

export function tileSpanUs(level: number): number {
  return LEVEL_0_COLUMN_US * TILE_COLUMNS * 2 ** level;
}

export function tileRange({ level, index }: TilePlace): TimeRange {
  const span = tileSpanUs(level);
  return { fromUs: index * span, toUs: (index + 1) * span };
}

/** The tiles of a level that touch a range, in order. */
export function tilesOver(range: TimeRange, level: number): TilePlace[] {
  const span = tileSpanUs(level);
  const first = Math.floor(range.fromUs / span);
  const end = Math.max(first + 1, Math.ceil(range.toUs / span));
  return Array.from({ length: end - first }, (_, i) => ({ level, index: first + i }));
}

export function parentOf({ level, index }: TilePlace): TilePlace {
  return { level: level + 1, index: Math.floor(index / 2) };
}

export function childrenOf({ level, index }: TilePlace): readonly [TilePlace, TilePlace] {
  return [
    { level: level - 1, index: index * 2 },
    { level: level - 1, index: index * 2 + 1 },
  ];
}

/** What both ranges have; null for nothing. */
export function intersect(a: TimeRange, b: TimeRange): TimeRange | null {
  const fromUs = Math.max(a.fromUs, b.fromUs);
  const toUs = Math.min(a.toUs, b.toUs);
  return toUs > fromUs ? { fromUs, toUs } : null;
}

/** A stretch of time and the best that is there to draw it. */
export interface Piece<Tile> {
  readonly range: TimeRange;
  readonly tile: Tile;
}

export interface CoverSource<Tile> {
  readonly peek: (place: TilePlace) => Tile | undefined;
  /** Coarse, but of everything. */
  readonly whole: Tile;
}

/** Levels that are looked through above and below the wanted one before the whole must do. */
const LEVELS_ABOVE = 6;
const LEVELS_BELOW = 2;

/** Covers `range` without overlap: by tiles of `level`, else finer ones that are there, else the nearest coarser. */
export function coverRange<Tile>(range: TimeRange, level: number, source: CoverSource<Tile>): Piece<Tile>[] {
  const pieces: Piece<Tile>[] = [];
  for (const place of tilesOver(range, level))
    coverTile(place, { range, source, below: LEVELS_BELOW }, pieces);
  return pieces;
}

interface Cover<Tile> {
  readonly range: TimeRange;
  readonly source: CoverSource<Tile>;
  readonly below: number;
}

function coverTile<Tile>(place: TilePlace, cover: Cover<Tile>, pieces: Piece<Tile>[]): void {
  const range = intersect(tileRange(place), cover.range);
  if (range === null) return;
  const exact = cover.source.peek(place);
  if (exact !== undefined) {
    pieces.push({ range, tile: exact });
    return;
  }
  if (hasFiner(place, cover)) {
    for (const child of childrenOf(place)) coverTile(child, { ...cover, below: cover.below - 1 }, pieces);
    return;
  }
  const tile = coarserThan(place, cover.source);
  const last = pieces.at(-1);
  // Neighbours drawn from one coarse tile are one piece: a wide column is not cut in two.
  if (last !== undefined && last.tile === tile && last.range.toUs === range.fromUs)
    pieces[pieces.length - 1] = { tile, range: { fromUs: last.range.fromUs, toUs: range.toUs } };
  else pieces.push({ range, tile });
}

/** Whether finer tiles cover all of what is shown of a tile. */
function hasFiner<Tile>(place: TilePlace, cover: Cover<Tile>): boolean {
  if (cover.below === 0) return false;
  return childrenOf(place).every(
    (child) =>
      intersect(tileRange(child), cover.range) === null ||
      cover.source.peek(child) !== undefined ||
      hasFiner(child, { ...cover, below: cover.below - 1 }),
  );
}

function coarserThan<Tile>(place: TilePlace, { peek, whole }: CoverSource<Tile>): Tile {
  let at = place;
  for (let i = 0; i < LEVELS_ABOVE; i++) {
    at = parentOf(at);
    const tile = peek(at);
    if (tile !== undefined) return tile;
  }
  return whole;
}
