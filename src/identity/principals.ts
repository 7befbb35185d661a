/**
 * Owns the way from whatever somebody shows (cookie of a sign-in, access key, server key, device key, foreign token) to a Principal, which is
 * all that channels know of it. No state but that of its parts.
 */

import type { DeviceIdentity } from '#contract/readings.ts';
import type { Principal } from '#contract/principal.ts';
import type { AccessIdentity } from '#identity/access.ts';
import { looksLikeToken, type ChannelGrant, type ForeignTokens } from '#identity/foreign-tokens.ts';
import type { Identity } from '#identity/identity.ts';
import { kindOfKey } from '#identity/keys.ts';
import type { Revocations } from '#identity/revocations.ts';
import type { SignIns } from '#identity/sign-ins.ts';

/** Methods throw the temporary AppErrors of identity.ts and foreign-tokens.ts. */
export interface Principals {
  /** Null when the credential is of no known form, unknown, expired or revoked. `address`: whose failures are counted. */
  authenticate(credential: string, address?: string | null): Promise<Principal | null>;
  /** The person behind the token of a cookie, under the same terms. */
  authenticateSignIn(token: string, address?: string | null): Promise<Principal | null>;
  /** What a channel token adds to a connection of `identity`; null when it adds nothing. */
  channelGrant(token: string, identity: Principal): Promise<ChannelGrant | null>;
}

export function createPrincipals(options: {
  readonly identity: Pick<Identity, 'authenticateAccess' | 'authenticateDevice'>;
  /** Null: no foreign back end is trusted. */
  readonly tokens: ForeignTokens | null;
  readonly revocations: Revocations;
  /** Absent: nobody signs in here. */
  readonly signIns?: Pick<SignIns, 'authenticate'>;
}): Principals {
  const { identity, tokens, revocations, signIns } = options;

  async function find(credential: string, address: string | null): Promise<Principal | null> {
    const kind = kindOfKey(credential);
    if (kind === 'access') {
      const reader = await identity.authenticateAccess(credential, address);
      return reader === null ? null : principalOfAccess(reader);
    }
    if (kind === 'device') {
      const device = await identity.authenticateDevice(credential, address);
      return device === null ? null : principalOfDevice(device);
    }
    return tokens !== null && looksLikeToken(credential) ? tokens.connection(credential) : null;
  }

  return {
    async authenticate(credential, address = null) {
      const principal = await find(credential, address);
      return principal === null || revocations.isRevoked(principal) ? null : principal;
    },
    async authenticateSignIn(token, address = null) {
      const principal = (await signIns?.authenticate(token, address)) ?? null;
      return principal === null || revocations.isRevoked(principal) ? null : principal;
    },
    async channelGrant(token, principal) {
      const added = tokens === null ? null : await tokens.channel(token, principal);
      const isRevoked =
        added !== null && revocations.isRevoked({ ...principal, revocationId: added.tokenId });
      return isRevoked ? null : added;
    },
  };
}

export function principalOfAccess(reader: AccessIdentity): Principal {
  return {
    kind: reader.scope === 'server' ? 'server' : 'access',
    orgId: reader.orgId,
    subject: reader.keyId,
    role: 'service',
    patientId: null,
    permissions: reader.permissions,
    grants: null,
    expiresAtUs: reader.expiresAtUs,
    revocationId: reader.keyId,
  };
}

export function principalOfDevice(device: DeviceIdentity): Principal {
  return {
    kind: 'device',
    orgId: device.orgId,
    subject: device.deviceId,
    role: 'device',
    patientId: null,
    permissions: null,
    grants: null,
    expiresAtUs: Number.POSITIVE_INFINITY,
    revocationId: device.deviceId,
  };
}
