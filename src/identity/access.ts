/** Owns the types of those who read with a key: who they are and what they may do. */

import { AppError } from '#base/errors.ts';
import { actions, may, type Action, type Actor } from '#contract/permissions.ts';

/**
 * `read`: a person or program that reads. `admin` may also make and revoke devices and keys. `server`: a back end that
 * publishes to and follows the channels of its organisation and vouches for its own users; it reads nothing that is stored. `custom`: what the key
 * itself lists.
 */
export const scopes = ['read', 'admin', 'server', 'custom'] as const;
export type Scope = (typeof scopes)[number];

/** What a key of each fixed scope may do; null: everything. */
export const permissionsOfScope: Readonly<Record<Exclude<Scope, 'custom'>, readonly Action[] | null>> = {
  read: ['organisation.read', 'patient.read', 'session.read', 'job.read'],
  admin: null,
  server: ['channel.vouch', 'window.write'],
};

/** A person or program with an access key. */
export interface AccessIdentity {
  readonly orgId: string;
  readonly keyId: string;
  readonly scope: Scope;
  /** Null: everything. */
  readonly permissions: readonly Action[] | null;
  /** Infinity: not before it is revoked. */
  readonly expiresAtUs: number;
}

/** What a key may do; `listed` is that of scope `custom`, in which what is no action any more is left out. */
export function permissionsOfKey(scope: Scope, listed: readonly string[] | null): readonly Action[] | null {
  if (scope !== 'custom') return permissionsOfScope[scope];
  return actions.filter((action) => listed?.includes(action) === true);
}

/** Throws AppError `forbidden` when a key would do what its maker may not. */
export function refuseWiderKey(maker: Actor, permissions: readonly Action[] | null): void {
  const wider = (permissions ?? actions).filter((action) => !may(maker, action));
  if (wider.length > 0)
    throw new AppError(
      'forbidden',
      `a key does no more than its maker may, and you may not ${wider.join(', ')}`,
    );
}
