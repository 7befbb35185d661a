/** Owns what the crosshair tells of a stream: the column or the single reading nearest to a moment, or the gap there. */

import type { EnvelopeGap } from '#contract/envelope.ts';
import { gapsOver, nearestColumn } from '#web/review/envelope-tile.ts';
import { wholePiece, type Lane } from '#web/review/lane.ts';

export interface AxisReadout {
  /** Null where no value is finite. */
  readonly min: number | null;
  readonly max: number | null;
}

export interface Readout {
  /** The page's time of the reading, or of the column. */
  readonly startUs: number;
  readonly endUs: number;
  readonly deviceUs: number;
  /** Readings in the column; 1: a single reading. */
  readonly count: number;
  readonly lateUs: number;
  readonly axes: readonly AxisReadout[];
}

/** `slackUs`: how far from a reading the crosshair may be to tell of it. */
export function readoutAt(lane: Lane, atUs: number, slackUs: number): Readout | EnvelopeGap | null {
  const deviceUs = atUs - lane.shiftUs;
  const piece =
    lane.pieces.find(({ range }) => deviceUs >= range.fromUs && deviceUs < range.toUs) ??
    (lane.whole === null ? undefined : wholePiece(lane.whole));
  if (piece === undefined) return null;
  const { tile } = piece;
  const gap = gapsOver([tile], { fromUs: deviceUs, toUs: deviceUs + 1 })[0];
  const i = nearestColumn(tile, deviceUs);
  if (i < 0) return gap ?? null;
  const startUs = tile.startUs[i]!;
  const endUs = tile.endUs[i]!;
  const awayUs = Math.max(0, startUs - deviceUs, deviceUs - endUs);
  // Close to the edge of a gap the reading beside it is meant.
  if (gap !== undefined && awayUs > slackUs / 4) return gap;
  if (awayUs > slackUs) return null;
  const finite = (value: number | undefined): number | null =>
    value === undefined || !Number.isFinite(value) ? null : value;
  return {
    startUs: startUs + lane.shiftUs,
    endUs: endUs + lane.shiftUs,
    deviceUs: startUs,
    count: tile.count[i]!,
    lateUs: tile.lateUs[i]!,
    axes: tile.min.map((list, axis) => ({ min: finite(list[i]), max: finite(tile.max[axis]?.[i]) })),
  };
}

export function isGap(readout: Readout | EnvelopeGap): readout is EnvelopeGap {
  return 'state' in readout;
}
