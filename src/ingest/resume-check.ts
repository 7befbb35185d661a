/**
 * Owns the comparison of a device's store with what is stored, when it opens a stream again: a copy of a store, or an old
 * one that was put back, would give numbers anew that the server has under other readings.
 */

import { covers, intersect, rangesOfPairs } from '#base/ranges.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { EpochProgress, ReadingChecksum, StreamHandle } from '#contract/readings.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { Open, OpenAnswer } from '#ingest/gateway-output.ts';

/** Of a committed reading; null when it is not there (any more). */
type ChecksumOf = (handle: StreamHandle, seq: number) => Promise<ReadingChecksum | null>;

export type ResumeCheck = (
  handle: StreamHandle,
  progress: EpochProgress,
) => Promise<Result<OpenAnswer['newest'], WireError>>;

/**
 * Refuses a store whose newest acknowledged reading, `newest`, is another than the stored one. Of what it `held` besides, the
 * device gets the newest that is stored, to compare: only its own store can tell whether it gave that number to another
 * reading. Numbers part once, where the copy was made, so that what lies below one that agrees agrees as well.
 */
export function createResumeCheck(
  { newest: proof, held }: Pick<Open, 'newest' | 'held'>,
  checksumOf: ChecksumOf,
): ResumeCheck {
  return async (handle, { committed }) => {
    if (proof !== undefined && covers(committed, { from: proof.seq, to: proof.seq + 1 })) {
      const stored = await checksumOf(handle, proof.seq);
      if (stored !== null && stored.crc32 !== proof.crc32)
        return fail({
          code: 'new-epoch-required',
          message: `reading ${proof.seq} is not the one that was acknowledged: this store is a copy or was restored`,
          field: '/newest/crc32',
        });
    }
    const compared = held === undefined ? committed : intersect(committed, rangesOfPairs(held));
    const seq = (compared.at(-1)?.to ?? 0) - 1;
    const newest = seq < 0 || seq === proof?.seq ? null : await checksumOf(handle, seq);
    return ok(newest === null ? null : { seq, ...newest });
  };
}
