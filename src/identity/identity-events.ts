/** Owns what is told of people's comings and goings: every sign-in, every failure, every change of who may what. */

import type { Role } from '#contract/permissions.ts';

export const identityEventKinds = [
  'signed-in',
  'sign-in-failed',
  'second-factor-failed',
  'signed-out',
  'sign-in-revoked',
  'organisation-switched',
  'set-up',
  'password-changed',
  'password-reset-asked',
  'password-reset',
  'totp-enabled',
  'totp-disabled',
  'backup-codes-made',
  'profile-changed',
  'invited',
  'invitation-revoked',
  'invitation-accepted',
  'member-changed',
  'member-removed',
] as const;
export type IdentityEventKind = (typeof identityEventKinds)[number];

export interface IdentityEvent {
  readonly kind: IdentityEventKind;
  /** Null: nobody of any organisation. A failure before one was chosen is told to the one that the person joined first. */
  readonly orgId: string | null;
  /** Who did it or tried to; null: nobody that is known. */
  readonly personId: string | null;
  /** What that person is in the organisation; null with it. */
  readonly role: Role | null;
  readonly address: string;
  /** By what, or what was changed: `password`, `link`, `totp`, `backup-code`, an id. Never a name, address or secret. */
  readonly detail: string;
}

/** Must not throw; what has to wait is the listener's. */
export type OnIdentityEvent = (event: IdentityEvent) => void;

/** Where somebody comes from. */
export interface Visitor {
  readonly address: string;
  readonly userAgent: string;
  /** A browser or program on the machine of the server. */
  readonly isOwnMachine: boolean;
}
