/** Owns what people of an organisation may do about how long its data stay: choose, hold, erase. */

import { erase, type ErasureOutcome, type ErasureTarget } from '#store/erasure.ts';
import { createLegalHolds, type LegalHolds } from '#store/legal-holds.ts';
import type { Pools } from '#store/pools.ts';
import { createRetentionClasses, type RetentionClasses } from '#store/retention-classes.ts';

export interface RetentionControls {
  readonly classes: RetentionClasses;
  readonly holds: LegalHolds;
  /** Removes a session or stream of one organisation for good. */
  readonly erase: (orgId: string, target: ErasureTarget) => Promise<ErasureOutcome>;
}

export function createRetentionControls(pools: Pick<Pools, 'app' | 'writer'>): RetentionControls {
  return {
    classes: createRetentionClasses(pools.app),
    holds: createLegalHolds(pools.app),
    erase: (orgId, target) => erase(pools, orgId, target),
  };
}
