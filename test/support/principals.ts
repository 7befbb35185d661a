/** Owns principals for tests in which no foreign back end is trusted, and one reader as channels see it. */

import { systemClock } from '#base/clock.ts';
import type { Principal } from '#contract/principal.ts';
import { permissionsOfScope } from '#identity/access.ts';
import type { Identity } from '#identity/identity.ts';
import { createPrincipals, type Principals } from '#identity/principals.ts';
import { createRevocations } from '#identity/revocations.ts';

export function ownPrincipals(
  identity: Pick<Identity, 'authenticateAccess' | 'authenticateDevice'>,
): Principals {
  return createPrincipals({ identity, tokens: null, revocations: createRevocations(systemClock) });
}

/** A reader of organisation `o1` unless `overrides` says otherwise. */
export function testPrincipal(overrides: Partial<Principal> = {}): Principal {
  return {
    kind: 'access',
    orgId: 'o1',
    subject: 'k1',
    role: 'service',
    patientId: null,
    permissions: permissionsOfScope.read,
    grants: null,
    expiresAtUs: Number.POSITIVE_INFINITY,
    revocationId: 'k1',
    ...overrides,
  };
}
