/**
 * Owns how often one identity may publish and request over HTTP, where no connection of its own has a rate: a token
 * bucket for each subject. Bound: `maxSubjects`; the one longest unseen is forgotten, and begins anew.
 */

import { LRUCache } from 'lru-cache';

import { createAllowance, type Allowance } from '#base/allowance.ts';
import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { Principal } from '#contract/principal.ts';

export const publishRates = {
  /** A person types five messages a second at most; a page that publishes for somebody has room. */
  person: { perSecond: 50, burst: 200 },
  /** A back end that publishes for all its users: what one core answers. */
  server: { perSecond: 5_000, burst: 10_000 },
  /** About 1 MB. */
  maxSubjects: 10_000,
} as const;

/** Throws AppError `rate-limited` (temporary). */
export type CountPublish = (principal: Principal) => void;

export function createPublishRates(clock: Pick<Clock, 'monotonicMs'>): CountPublish {
  const allowances = new LRUCache<string, Allowance>({ max: publishRates.maxSubjects });
  return (principal) => {
    const key = `${principal.orgId}/${principal.subject}`;
    const rate = principal.kind === 'server' ? publishRates.server : publishRates.person;
    let allowance = allowances.get(key);
    if (allowance === undefined) {
      allowance = createAllowance(rate);
      allowances.set(key, allowance);
    }
    if (!allowance.take(clock.monotonicMs()))
      throw new AppError('rate-limited', `at most ${rate.perSecond} publications and requests a second`, {
        temporary: true,
      });
  };
}
