/** Owns what people of an organisation may do about how long its data stay: choose, hold, erase. */

import {
  erase,
  erasureLimits,
  type ErasureOptions,
  type ErasureOutcome,
  type ErasureTarget,
} from '#store/erasure.ts';
import { createLegalHolds, type LegalHolds } from '#store/legal-holds.ts';
import type { Pools } from '#store/pools.ts';
import { createRetentionClasses, type RetentionClasses } from '#store/retention-classes.ts';

export interface RetentionControls {
  readonly classes: RetentionClasses;
  readonly holds: LegalHolds;
  /** Removes a session or stream of one organisation for good. Throws AppError `overloaded`: it has begun, ask again. */
  readonly erase: (orgId: string, target: ErasureTarget) => Promise<ErasureOutcome>;
}

/** `around`: nothing that was read before an erasure may be given after it. */
export function createRetentionControls(
  pools: Pick<Pools, 'app' | 'writer'>,
  around: NonNullable<ErasureOptions['around']>,
): RetentionControls {
  const maxBatches = erasureLimits.requestBatches;
  return {
    classes: createRetentionClasses(pools.app),
    holds: createLegalHolds(pools.app),
    erase: (orgId, { kind, id }) => erase(pools, orgId, { kind, id, around, maxBatches }),
  };
}
