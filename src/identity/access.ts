/** Owns the types of those who read: who they are and what they may do. */

/** `admin` may also make and revoke devices. */
export type Scope = 'read' | 'admin';

/** A person or program with an access key. */
export interface AccessIdentity {
  readonly orgId: string;
  readonly keyId: string;
  readonly scope: Scope;
}
