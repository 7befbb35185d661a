/**
 * Owns the order of streams on a page: the body from head to foot, left beside right as on a clinical report, the
 * centre over the whole width. Streams that are no part of a body keep their order at the end.
 */

import type { StreamDetail } from '#contract/rest.ts';
import { partOf, sideOf, type BodySide } from '#web/live/axis-groups.ts';

export interface BodyCell {
  readonly stream: StreamDetail;
  readonly side: BodySide;
}

/** A row of the page: a left and a right stream, or one alone. */
export type BodyRow = readonly BodyCell[];

const headToFoot = [
  'head',
  'neck',
  'shoulder',
  'chest',
  'sternum',
  'upper-arm',
  'forearm',
  'wrist',
  'hand',
  'trunk',
  'lower-back',
  'pelvis',
  'thigh',
  'shank',
  'ankle',
  'foot',
];

export function bodyRows(streams: readonly StreamDetail[]): BodyRow[] {
  const rows = new Map<string, BodyCell[]>();
  for (const stream of streams) {
    const { segment, sensor } = stream.definition;
    const side = sideOf(segment);
    const part = partOf(segment);
    let key = `${part}/${sensor}`;
    // A second stream of the same part and side starts a row of its own.
    while (rows.get(key)?.some((cell) => cell.side === side) === true) key += '+';
    const row = rows.get(key) ?? [];
    row.push({ stream, side });
    rows.set(key, row);
  }
  const order = { left: 0, centre: 1, right: 2 };
  return [...rows.entries()]
    .toSorted(([a], [b]) => rankOf(a) - rankOf(b))
    .map(([, row]) => row.toSorted((a, b) => order[a.side] - order[b.side]));
}

function rankOf(key: string): number {
  const part = key.slice(0, key.indexOf('/'));
  const rank = headToFoot.indexOf(part);
  return rank < 0 ? headToFoot.length : rank;
}
