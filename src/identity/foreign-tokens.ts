/**
 * Owns the trust in another back end's tokens: JWT (RFC 7519) signed with a shared secret (HS256) or with a key of its
 * JWKS (RFC 7517; RS256, ES256, EdDSA). A connection token says who somebody is and which channels it may use at most; a
 * channel token adds one channel to a connection of the same subject. What a token may not say: another organisation
 * than configured, no end, an end beyond `maxLifeSeconds`, or an algorithm that was not configured.
 */

import { createPublicKey } from 'node:crypto';

import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  jwtVerify,
  type JSONWebKeySet,
  type JWTPayload,
} from 'jose';
import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';

import { assert } from '#base/assert.ts';
import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { channelOperations, type Grant, type Principal } from '#contract/principal.ts';

export const tokenLimits = {
  characters: 4096,
  /** A token that lives longer should be refreshed: it cannot be called back once this process forgot that it was. */
  maxLifeSeconds: 86_400,
  /** Clocks of two servers agree this well. */
  clockToleranceSeconds: 5,
  /** One position in a cursor each. */
  grants: 64,
  /** After the issuer's keys could not be fetched, nobody asks for them for so long. */
  pauseMs: 2_000,
  /** RFC 7518 section 3.2: a key of at least the size of the hash. */
  secretBytes: 32,
} as const;

export interface ForeignTokenOptions {
  /** Shared secret for HS256, at least 32 bytes; null: none. */
  readonly secret: Uint8Array | null;
  /** Where the other back end's keys are, or the keys themselves; null: none. */
  readonly jwks: URL | JSONWebKeySet | null;
  readonly issuer: string | null;
  readonly audience: string | null;
  /** The organisation that all tokens are for; null: each says it (`org`), so its issuer may speak for every organisation. */
  readonly orgId: string | null;
  readonly clock: Pick<Clock, 'nowUs' | 'monotonicMs'>;
  /** Why the issuer's keys could not be fetched: for the log, since it names machines. */
  readonly onUnreachable: (cause: unknown) => void;
}

export interface ChannelGrant {
  readonly grant: Grant;
  readonly expiresAtUs: number;
  /** Its `jti`, by which it alone can be revoked. */
  readonly tokenId: string | null;
}

/** Methods throw AppError `issuer-unavailable` (temporary) when the issuer's keys cannot be fetched. */
export interface ForeignTokens {
  /** Who a connection token speaks for; null when it is not valid now. */
  connection(token: string): Promise<Principal | null>;
  /** What a channel token adds to a connection of `identity`; null when it is not valid now, or for somebody else. */
  channel(token: string, identity: Principal): Promise<ChannelGrant | null>;
}

const GrantClaim = Type.Object({
  channels: Type.String({ minLength: 1, maxLength: 200, pattern: '^[a-z0-9*][a-z0-9/_*-]*$' }),
  operations: Type.Array(Type.Enum([...channelOperations]), { minItems: 1 }),
});
const claimed = {
  // Shown to others: no control characters, no length that a screen cannot take.
  sub: Type.String({ minLength: 1, maxLength: 128, pattern: '^[\\x21-\\x7e]+$' }),
  exp: Type.Number(),
  org: Type.Optional(Type.String({ format: 'uuid' })),
  jti: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
};
const ConnectionClaims = Type.Object({
  ...claimed,
  channels: Type.Optional(Type.Array(GrantClaim, { maxItems: tokenLimits.grants })),
});
const ChannelClaims = Type.Object({
  ...claimed,
  channel: GrantClaim.properties.channels,
  operations: Type.Optional(GrantClaim.properties.operations),
});
type Claims = Static<typeof ConnectionClaims> | Static<typeof ChannelClaims>;
const connectionClaims = Compile(ConnectionClaims);
const channelClaims = Compile(ChannelClaims);

/** True when a credential has the form of a JWT; says nothing of its worth. */
export function looksLikeToken(credential: string): boolean {
  return (
    credential.length <= tokenLimits.characters &&
    /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(credential)
  );
}

export function createForeignTokens(options: ForeignTokenOptions): ForeignTokens {
  const { secret, jwks, orgId, clock } = options;
  assert(
    secret === null || secret.length >= tokenLimits.secretBytes,
    'the shared secret has at least 32 bytes',
  );
  const keys =
    jwks === null ? null : jwks instanceof URL ? createRemoteJWKSet(jwks) : createLocalJWKSet(jwks);

  let pausedUntilMs = Number.NEGATIVE_INFINITY;

  async function claimsOf(token: string): Promise<JWTPayload | null> {
    if (!looksLikeToken(token)) return null;
    const checks = {
      requiredClaims: ['sub', 'exp'],
      clockTolerance: tokenLimits.clockToleranceSeconds,
      currentDate: new Date(clock.nowUs() / 1000),
      ...(options.issuer === null ? {} : { issuer: options.issuer }),
      ...(options.audience === null ? {} : { audience: options.audience }),
    };
    try {
      // Which kind of key verifies is decided by the header's algorithm, and each kind only by its own algorithms: a
      // public key is never taken for a secret.
      const isShared = algorithmOf(token) === 'HS256';
      if (isShared && secret !== null)
        return (await jwtVerify(token, secret, { ...checks, algorithms: ['HS256'] })).payload;
      if (!isShared && keys !== null && clock.monotonicMs() < pausedUntilMs) throw unavailable();
      if (!isShared && keys !== null)
        return (await jwtVerify(token, keys, { ...checks, algorithms: ['RS256', 'ES256', 'EdDSA'] })).payload;
      return null;
    } catch (error) {
      if (isRefusal(error)) return null;
      if (!(error instanceof AppError)) {
        pausedUntilMs = clock.monotonicMs() + tokenLimits.pauseMs;
        options.onUnreachable(error);
      }
      throw unavailable(error);
    }
  }

  /** The organisation that the claims may speak for; null when none. */
  function orgOf(claims: Claims): string | null {
    if (
      claims.exp * 1e6 >
      clock.nowUs() + (tokenLimits.maxLifeSeconds + tokenLimits.clockToleranceSeconds) * 1e6
    )
      return null;
    // Ids are compared as text, here and where a revocation names one; a UUID may be written in capitals.
    const said = claims.org?.toLowerCase();
    if (orgId === null) return said ?? null;
    return said === undefined || said === orgId ? orgId : null;
  }

  return {
    async connection(token) {
      const claims = await claimsOf(token);
      if (!connectionClaims.Check(claims)) return null;
      const org = orgOf(claims);
      if (org === null) return null;
      return {
        kind: 'token',
        orgId: org,
        subject: subjectOf(claims),
        role: 'service',
        patientId: null,
        permissions: [],
        // Without the claim it opens nothing by itself: channel tokens do.
        grants: claims.channels ?? [],
        expiresAtUs: claims.exp * 1e6,
        revocationId: claims.jti ?? null,
      };
    },
    async channel(token, identity) {
      const claims = await claimsOf(token);
      if (!channelClaims.Check(claims)) return null;
      if (orgOf(claims) !== identity.orgId || subjectOf(claims) !== identity.subject) return null;
      const operations = claims.operations ?? ['subscribe', 'history', 'presence'];
      return {
        grant: { channels: claims.channel, operations },
        expiresAtUs: claims.exp * 1e6,
        tokenId: claims.jti ?? null,
      };
    },
  };
}

/** Told apart from our own keys' and devices' ids, which no foreign back end may speak for. */
function subjectOf(claims: Claims): string {
  return `user:${claims.sub}`;
}

function algorithmOf(token: string): unknown {
  const header = Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString();
  return (JSON.parse(header) as { alg?: unknown } | null)?.alg;
}

function unavailable(cause?: unknown): AppError {
  return new AppError('issuer-unavailable', "the keys of the token's issuer cannot be fetched now", {
    temporary: true,
    cause,
  });
}

/** What is wrong with the token, as opposed to the way to its issuer. */
function isRefusal(error: unknown): boolean {
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return false;
  // A header that is no JSON.
  return error instanceof errors.JOSEError ? error.code !== 'ERR_JOSE_GENERIC' : error instanceof SyntaxError;
}

/** A PEM public key as a set of one key, for configurations that have no JWKS. Throws when it is none. */
export function keySetOfPem(pem: string): JSONWebKeySet {
  return { keys: [createPublicKey(pem).export({ format: 'jwk' })] };
}
