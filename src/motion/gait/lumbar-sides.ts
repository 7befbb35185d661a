/**
 * Owns which foot made each contact of a finished bout: feet alternate, and standing on one of them throws the body towards the
 * other. The sequence of sides that agrees best with both is found over all contacts of the bout (Viterbi 1967).
 */

import { GRID_HZ, type LumbarGrid } from '#motion/gait/lumbar-grid.ts';
import { LUMBAR_WIDTH, lumbarColumns, lumbarKinds, lumbarSides } from '#motion/gait/lumbar-rows.ts';
import { meanToTheLeft } from '#motion/gait/lumbar-stride.ts';

/** Two contacts of one foot in a row weigh as much as three typical steps that look wrong: a missed or a false contact is rare. */
const REPEATED_COST = 3;
/** Longer than this share of the usual interval, one contact was missed between, and the same foot is next. */
const MISSED_FROM = 1.7;

type Row = number[];

/** Rows one after the other in, row by row out: sides decided anew, strides that turn out to be of two feet left out. */
export function decideSides(rows: readonly number[], grid: LumbarGrid, forward: number): Row[] {
  const all: Row[] = [];
  for (let at = 0; at < rows.length; at += LUMBAR_WIDTH) all.push(rows.slice(at, at + LUMBAR_WIDTH));
  const sides = new Map<number, number>();
  const bouts = new Map<number, number[]>();
  for (const row of all) {
    if (row[lumbarColumns.kind] !== lumbarKinds.initialContact) continue;
    const bout = row[lumbarColumns.bout]!;
    bouts.set(bout, [...(bouts.get(bout) ?? []), row[lumbarColumns.timeS]!]);
  }
  for (const times of bouts.values()) {
    const decided = sidesOf(times, grid, forward);
    for (const [i, timeS] of times.entries()) sides.set(timeS, decided[i]!);
  }
  let last: number = lumbarSides.left;
  return all.filter((row) => {
    const timeS = row[lumbarColumns.timeS]!;
    if (row[lumbarColumns.kind] === lumbarKinds.initialContact) {
      last = sides.get(timeS)!;
      row[lumbarColumns.side] = last;
    }
    if (row[lumbarColumns.kind] === lumbarKinds.finalContact) row[lumbarColumns.side] = 1 - last;
    if (row[lumbarColumns.kind] !== lumbarKinds.stride) return true;
    row[lumbarColumns.side] = sides.get(timeS)!;
    return sides.get(row[lumbarColumns.startS]!) === sides.get(timeS);
  });
}

/** `timesS` of one bout, at least two. */
function sidesOf(timesS: readonly number[], grid: LumbarGrid, forward: number): number[] {
  const places = timesS.map((timeS) => timeS * GRID_HZ);
  const gaps = places.slice(1).map((place, i) => place - places[i]!);
  const usual = median(gaps);
  const thrown = places.map((place, i) => {
    const [before, after] = [places[i - 1], places[i + 1]];
    if (before === undefined || after === undefined) return 0;
    return meanToTheLeft(grid, before, place, forward) - meanToTheLeft(grid, place, after, forward);
  });
  const typical = median(thrown.map(Math.abs).filter((value) => value > 0)) || 1;
  const evidence = thrown.map((value) => Math.max(-2, Math.min(2, value / typical)));
  return bestPath(
    evidence,
    gaps.map((gap) => gap > MISSED_FROM * usual),
  );
}

function bestPath(evidence: readonly number[], isMissed: readonly boolean[]): number[] {
  let left = evidence[0] ?? 0;
  let right = -left;
  const from: [number, number][] = [];
  for (let i = 1; i < evidence.length; i++) {
    const [same, other] = isMissed[i - 1]! ? [0, REPEATED_COST] : [REPEATED_COST, 0];
    const toLeft = left - same >= right - other ? lumbarSides.left : lumbarSides.right;
    const toRight = right - same >= left - other ? lumbarSides.right : lumbarSides.left;
    from.push([toLeft, toRight]);
    const nextLeft = evidence[i]! + (toLeft === lumbarSides.left ? left - same : right - other);
    right = -evidence[i]! + (toRight === lumbarSides.right ? right - same : left - other);
    left = nextLeft;
  }
  const path: number[] = [left >= right ? lumbarSides.left : lumbarSides.right];
  for (let i = from.length - 1; i >= 0; i--) path.unshift(from[i]![path[0]!]!);
  return path;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
