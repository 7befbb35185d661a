/** Owns who somebody is: whatever they showed (sign-in, access key, device key, ticket, token), routes and rules see this. */

import type { Actor } from '#contract/permissions.ts';

/** What can be done with a channel; grants and rules are about these. */
export const channelOperations = ['subscribe', 'publish', 'history', 'presence'] as const;
export type ChannelOperation = (typeof channelOperations)[number];

/** What a capability token is limited to. */
export interface Grant {
  /** A channel name in which `*` stands for any one segment, and a last `**` for all that follow. */
  readonly channels: string;
  readonly operations: readonly ChannelOperation[];
}

export interface Principal extends Actor {
  /**
   * `user`: a person who signed in. `access`: a person or program with one of our keys. `server`: a back end with a server key, which may publish to and read
   * every channel of its organisation. `token`: whom a foreign back end vouches for. `device`: a device with its key.
   */
  readonly kind: 'user' | 'access' | 'server' | 'token' | 'device';
  /** Person's id, key id, device id, or the token's `sub`: shown to others as the author and in presence. */
  readonly subject: string;
  /** Null: whatever the rules allow. Else only this of it: a grant never gives what a rule refuses. */
  readonly grants: readonly Grant[] | null;
  /** When it ends by itself; infinity: not before it is revoked. */
  readonly expiresAtUs: number;
  /** What a revocation names: sign-in's id, key id or device id; for tokens `jti` or null. */
  readonly revocationId: string | null;
}

/** True when the grants allow it, or there are none to limit. */
export function isGranted(principal: Principal, name: string, operation: ChannelOperation): boolean {
  if (principal.grants === null) return true;
  return principal.grants.some(
    (grant) => grant.operations.includes(operation) && matchesPattern(grant.channels, name),
  );
}

/** Whether a name matches a pattern of segments: `*` is any one, a last `**` one or more. Linear in both. */
export function matchesPattern(pattern: string, name: string): boolean {
  const wanted = pattern.split('/');
  const segments = name.split('/');
  for (const [i, segment] of wanted.entries()) {
    if (segment === '**' && i === wanted.length - 1) return segments.length > i;
    if (i >= segments.length || (segment !== '*' && segment !== segments[i])) return false;
  }
  return wanted.length === segments.length;
}
