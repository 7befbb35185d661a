/** Owns the types of those who read with a key: who they are and what they may do. */

import type { Action } from '#contract/permissions.ts';

/**
 * `read`: a person or program that reads. `admin` may also make and revoke devices and keys. `server`: a back end that
 * publishes to the channels of its organisation and vouches for its own users; it reads no recordings.
 */
export const scopes = ['read', 'admin', 'server'] as const;
export type Scope = (typeof scopes)[number];

/** What a key of each scope may do; null: everything. */
export const permissionsOfScope: Readonly<Record<Scope, readonly Action[] | null>> = {
  read: ['organisation.read', 'patient.read', 'session.read', 'job.read'],
  admin: null,
  server: ['channel.vouch', 'window.write'],
};

/** A person or program with an access key. */
export interface AccessIdentity {
  readonly orgId: string;
  readonly keyId: string;
  readonly scope: Scope;
  /** Infinity: not before it is revoked. */
  readonly expiresAtUs: number;
}
