/**
 * Owns the judgement of how far a session's windows are certain, without I/O: up to which device time nothing of an epoch
 * is missing that might still come, and so which windows may be closed and which are settled.
 */

import { firstMissing, gapsOf, intersect, union, type RangeSet } from '#base/ranges.ts';

/** One (stream, epoch). */
export interface EpochStanding {
  /** Ranges that the windows contain; and whether that is all that is committed. */
  readonly covered: RangeSet;
  readonly isWhole: boolean;
  readonly lost: RangeSet;
  readonly tailLost: boolean;
  readonly hasEnded: boolean;
  /** No later epoch of the stream was opened. */
  readonly isNewest: boolean;
  /** Nothing was committed for so long that nothing is awaited. */
  readonly isQuiet: boolean;
}

/** `gap`: something before the newest reading is missing. `open`: more may follow the newest. `complete`: nothing is awaited. */
export type Awaiting = 'gap' | 'open' | 'complete';

export function awaitingOf(epoch: EpochStanding): Awaiting {
  const { covered, lost, tailLost, hasEnded, isNewest, isQuiet, isWhole } = epoch;
  // A device that lost its store fills no gap of it.
  if (tailLost) return isWhole ? 'complete' : 'open';
  if (gapsOf(union(covered, lost)).length > 0) return 'gap';
  return isWhole && (hasEnded || !isNewest || isQuiet) ? 'complete' : 'open';
}

/** The number of the last reading before the first gap; null when there is none. */
export function lastBeforeGap({ covered, lost }: Pick<EpochStanding, 'covered' | 'lost'>): number | null {
  const before = intersect(covered, [{ from: 0, to: firstMissing(union(covered, lost)) }]).at(-1);
  return before === undefined ? null : before.to - 1;
}
