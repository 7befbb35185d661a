/**
 * Owns where the gaps of a stream are in device time: between the readings on either side. Where one side is missing, or
 * was dropped, the stream's rate tells how long the gap is. Pure.
 */

import type { RangeSet } from '#base/ranges.ts';
import type { EnvelopeGap } from '#contract/envelope.ts';

/** A gap as the store finds it, with the stored readings nearest to it in seq. */
export interface FoundGap {
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly isLost: boolean;
  readonly reason: string | null;
  /** `endSeq` is behind its last reading. */
  readonly before: { readonly endSeq: number; readonly lastUs: number } | null;
  readonly after: { readonly firstSeq: number; readonly firstUs: number } | null;
}

/** Null when nothing is known of its time. */
export function placeGap(gap: FoundGap, committed: RangeSet, rateHz: number): EnvelopeGap | null {
  // A reading that was dropped by retention leaves one further away as the nearest: that is not the neighbour.
  const endBefore = committed.findLast((range) => range.to <= gap.fromSeq)?.to;
  const firstAfter = committed.find((range) => range.from >= gap.toSeq)?.from;
  const beforeUs = gap.before !== null && gap.before.endSeq === endBefore ? gap.before.lastUs : null;
  const afterUs = gap.after !== null && gap.after.firstSeq === firstAfter ? gap.after.firstUs : null;
  const readings = gap.toSeq - gap.fromSeq;
  const lengthUs = Math.round(((readings + 1) * 1e6) / rateHz);
  const fromUs = beforeUs ?? (afterUs === null ? null : afterUs - lengthUs);
  if (fromUs === null) return null;
  const toUs = afterUs ?? fromUs + lengthUs;
  return {
    // A clock that went back puts the reading behind the gap before it.
    fromUs: Math.min(fromUs, toUs),
    toUs: Math.max(fromUs, toUs),
    readings,
    state: gap.isLost ? 'lost' : 'pending',
    reason: gap.reason,
  };
}

export interface EpochTimes {
  readonly tailLost: boolean;
  /** Least and largest device time; null when nothing is stored. */
  readonly firstUs: number | null;
  readonly lastUs: number | null;
}

/** What epochs lost at their end, up to the beginning of the next one. Epochs in the order in which they were opened. */
export function tailGaps(epochs: readonly EpochTimes[]): EnvelopeGap[] {
  return epochs.flatMap(({ tailLost, lastUs }, i): EnvelopeGap[] => {
    if (!tailLost || lastUs === null) return [];
    const next = epochs.slice(i + 1).find((epoch) => epoch.firstUs !== null);
    return [
      {
        fromUs: lastUs,
        toUs: Math.max(lastUs, next?.firstUs ?? lastUs),
        readings: null,
        state: 'tail-lost',
        reason: null,
      },
    ];
  });
}
