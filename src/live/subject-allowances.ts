/**
 * Owns how often connections may publish, ask and state: each by itself, and all of one subject together. A subject is known
 * while it has such a connection, so there are at most as many as viewers.
 */

import { createAllowance, type Allowance } from '#base/allowance.ts';
import type { Principal } from '#contract/principal.ts';
import type { HubLimits } from '#live/hub-limits.ts';

export interface SubjectAllowances {
  /** The allowance of one more connection of this principal. Both its own and its subject's are used by it. */
  take(principal: Principal): Allowance;
  /** That connection is gone. */
  release(principal: Principal): void;
}

/** A back end speaks for all its users. */
const SERVER_FACTOR = 10;

export function createSubjectAllowances(limits: HubLimits): SubjectAllowances {
  const subjects = new Map<string, { readonly allowance: Allowance; connections: number }>();
  const keyOf = ({ orgId, kind, subject }: Principal): string => `${orgId}/${kind}/${subject}`;
  return {
    take(principal) {
      const factor = principal.kind === 'server' ? SERVER_FACTOR : 1;
      const key = keyOf(principal);
      const of = subjects.get(key) ?? {
        allowance: createAllowance({
          burst: limits.subjectPublishBurst * factor,
          perSecond: limits.subjectPublishesPerSecond * factor,
        }),
        connections: 0,
      };
      subjects.set(key, of);
      of.connections++;
      const own = createAllowance({
        burst: limits.publishBurst * factor,
        perSecond: limits.publishesPerSecond * factor,
      });
      return { take: (nowMs) => own.take(nowMs) && of.allowance.take(nowMs) };
    },
    release(principal) {
      const key = keyOf(principal);
      const of = subjects.get(key);
      if (of !== undefined && --of.connections === 0) subjects.delete(key);
    },
  };
}
