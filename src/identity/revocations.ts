/**
 * Owns which foreign tokens and subjects were revoked: a token stays valid for its signature until it ends, so it is
 * remembered here, in this process, for as long as a token may live. Our own keys are revoked in the database; they are
 * remembered too, for what was opened with one and may come back without showing it (an event stream with a ticket).
 * Bound: `maxRevocations`; beyond it the oldest is forgotten and counted.
 */

import type { Clock } from '#base/clock.ts';
import type { Principal } from '#contract/principal.ts';
import { tokenLimits } from '#identity/foreign-tokens.ts';

/** About 2 MB. */
const MAX_REVOCATIONS = 10_000;

/** Of one organisation: a token by its `jti`, a subject with all its tokens, also later ones, or one of our keys by its id. */
export type LastingRevocation =
  | { readonly orgId: string; readonly tokenId: string }
  | { readonly orgId: string; readonly subject: string }
  | { readonly orgId: string; readonly keyId: string };

/** `exchangedId`: whose key was exchanged at once. What is open by the old one ends; whoever has the new one is let in. */
export type Revocation = LastingRevocation | { readonly orgId: string; readonly exchangedId: string };

export interface Revocations {
  add(revocation: LastingRevocation): void;
  isRevoked(principal: Principal): boolean;
  readonly counters: { readonly revoked: number; readonly forgotten: number };
}

/** Whether the revocation means this principal. */
export function concerns(revocation: Revocation, principal: Principal): boolean {
  if (revocation.orgId !== principal.orgId) return false;
  // Also whom the key vouched for: limited tickets carry its id.
  if ('keyId' in revocation) return principal.revocationId === revocation.keyId;
  if ('exchangedId' in revocation) return principal.revocationId === revocation.exchangedId;
  if (principal.kind !== 'token') return false;
  return 'tokenId' in revocation
    ? principal.revocationId === revocation.tokenId
    : principal.subject === `user:${revocation.subject}`;
}

export function createRevocations(clock: Pick<Clock, 'monotonicMs'>): Revocations {
  // In the order of ending, since all are kept equally long.
  const ends = new Map<string, number>();
  const counters = { revoked: 0, forgotten: 0 };
  const tokenName = (orgId: string, id: string): string => `${orgId} token ${id}`;
  const subjectName = (orgId: string, subject: string): string => `${orgId} subject ${subject}`;
  const keyName = (orgId: string, id: string): string => `${orgId} key ${id}`;
  const nameOf = (revocation: LastingRevocation): string => {
    const { orgId } = revocation;
    if ('keyId' in revocation) return keyName(orgId, revocation.keyId);
    if ('tokenId' in revocation) return tokenName(orgId, revocation.tokenId);
    return subjectName(orgId, `user:${revocation.subject}`);
  };
  const isKept = (name: string): boolean =>
    (ends.get(name) ?? Number.NEGATIVE_INFINITY) > clock.monotonicMs();

  return {
    counters,
    add(revocation) {
      counters.revoked++;
      const name = nameOf(revocation);
      ends.delete(name);
      ends.set(name, clock.monotonicMs() + (tokenLimits.maxLifeSeconds + 60) * 1000);
      for (const [oldest, endMs] of ends) {
        if (endMs > clock.monotonicMs() && ends.size <= MAX_REVOCATIONS) break;
        if (endMs > clock.monotonicMs()) counters.forgotten++;
        ends.delete(oldest);
      }
    },
    isRevoked({ kind, orgId, subject, revocationId }) {
      if (revocationId !== null && isKept(keyName(orgId, revocationId))) return true;
      if (kind !== 'token') return false;
      return (
        isKept(subjectName(orgId, subject)) ||
        (revocationId !== null && isKept(tokenName(orgId, revocationId)))
      );
    },
  };
}
