/** Owns who may write into a stream: how a source's claim compares with the guard row of its (stream, epoch) (ADR 11). */

import { isEqual } from '#base/ranges.ts';
import type { FrameSource } from '#contract/readings.ts';
import type { GuardRow } from '#store/writer-machine.ts';

/**
 * How a source stands to its guard row, which is locked. `unknown`: there is none; it was erased, or opened just before
 * the database crashed. `claims`: its connection has not written yet, and nobody else has since it opened the stream.
 */
export type Standing = 'unknown' | 'current' | 'claims' | 'superseded' | 'outdated';

/** The generation is a fencing token (M. Burrows, "The Chubby lock service", OSDI 2006, section 2.4: sequencers). */
export function standingOf(
  { claim }: Pick<FrameSource, 'claim'>,
  { progress, generation }: Pick<GuardRow, 'progress' | 'generation'>,
): Standing {
  if (progress === null) return 'unknown';
  if (claim === null || claim.generation === generation) return 'current';
  if (claim.generation < generation) return 'superseded';
  const { committed, lost } = claim.opened;
  return isEqual(committed, progress.committed) && isEqual(lost, progress.lost) ? 'claims' : 'outdated';
}
