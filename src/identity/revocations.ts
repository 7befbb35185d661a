/**
 * Owns which foreign tokens and subjects were revoked: a token stays valid for its signature until it ends, so it is
 * remembered here, in this process, for as long as a token may live. Our own keys are revoked in the database; they are
 * remembered too, for what was opened with one and may come back without showing it (an event stream with a ticket).
 * Bound, of tokens and of keys: MAX_OF_ONE of an organisation and MAX_IN_ALL; beyond it the oldest of the organisation that has the
 * most is forgotten and counted, so that none takes back what another has revoked.
 */

import type { Clock } from '#base/clock.ts';
import type { Principal } from '#contract/principal.ts';
import { tokenLimits } from '#identity/foreign-tokens.ts';

/** Every sign-in that ends is one too: those of a large clinic's day. About 2 MB. */
const MAX_OF_ONE = 10_000;
/** About 8 MB. */
const MAX_IN_ALL = 40_000;

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
  const counters = { revoked: 0, forgotten: 0 };
  // Apart: people who sign out must not push out tokens, which nothing else remembers.
  const tokens = createRemembered(clock, counters);
  const keys = createRemembered(clock, counters);
  const tokenName = (id: string): string => `token ${id}`;
  const subjectName = (subject: string): string => `subject ${subject}`;

  return {
    counters,
    add(revocation) {
      counters.revoked++;
      const { orgId } = revocation;
      if ('keyId' in revocation) keys.add(orgId, revocation.keyId);
      else if ('tokenId' in revocation) tokens.add(orgId, tokenName(revocation.tokenId));
      else tokens.add(orgId, subjectName(`user:${revocation.subject}`));
    },
    isRevoked({ kind, orgId, subject, revocationId }) {
      if (revocationId !== null && keys.has(orgId, revocationId)) return true;
      if (kind !== 'token') return false;
      return (
        tokens.has(orgId, subjectName(subject)) ||
        (revocationId !== null && tokens.has(orgId, tokenName(revocationId)))
      );
    },
  };
}

interface Remembered {
  add(orgId: string, name: string): void;
  has(orgId: string, name: string): boolean;
}

function createRemembered(clock: Pick<Clock, 'monotonicMs'>, counters: { forgotten: number }): Remembered {
  // When each ends, in the order of ending, since all are kept equally long.
  const orgs = new Map<string, Map<string, number>>();
  let size = 0;
  const drop = (orgId: string, ends: Map<string, number>, name: string): void => {
    if (ends.delete(name)) size--;
    if (ends.size === 0) orgs.delete(orgId);
  };
  const dropEnded = (orgId: string, ends: Map<string, number>): void => {
    for (const [name, endMs] of ends) {
      if (endMs > clock.monotonicMs()) return;
      drop(orgId, ends, name);
    }
  };
  const forgetOldest = (orgId: string, ends: Map<string, number>): void => {
    const oldest = ends.keys().next();
    if (oldest.done === true) return;
    counters.forgotten++;
    drop(orgId, ends, oldest.value);
  };
  const makeRoom = (): void => {
    for (const [orgId, ends] of orgs) dropEnded(orgId, ends);
    if (size <= MAX_IN_ALL) return;
    const [largest] = [...orgs].toSorted(([, a], [, b]) => b.size - a.size);
    forgetOldest(...largest!);
  };
  return {
    add(orgId, name) {
      const ends = orgs.get(orgId) ?? new Map<string, number>();
      orgs.set(orgId, ends);
      if (ends.delete(name)) size--;
      ends.set(name, clock.monotonicMs() + (tokenLimits.maxLifeSeconds + 60) * 1000);
      size++;
      dropEnded(orgId, ends);
      if (ends.size > MAX_OF_ONE) forgetOldest(orgId, ends);
      if (size > MAX_IN_ALL) makeRoom();
    },
    has: (orgId, name) => (orgs.get(orgId)?.get(name) ?? Number.NEGATIVE_INFINITY) > clock.monotonicMs(),
  };
}
