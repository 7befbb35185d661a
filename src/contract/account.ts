/**
 * Owns the resources of accounts over HTTP: signing in, a person's own account, members of an organisation, invitations.
 * Tokens that are used once travel in bodies only, never in an address that a log may keep. Times are ISO 8601 in UTC.
 */

import { Type, type Static } from 'typebox';

import { actions, memberRoles } from '#contract/permissions.ts';
import { Id } from '#contract/rest.ts';

export const accountLimits = {
  /** NIST SP 800-63B section 5.1.1: at least 8 characters, and long ones are not cut; Argon2 takes any length. */
  minPasswordCharacters: 10,
  maxPasswordCharacters: 256,
  /** RFC 5321 section 4.5.3.1.3, without the angle brackets. */
  maxEmailCharacters: 254,
  nameCharacters: 120,
  /** A session of work in a clinic: whoever comes back the day after signs in again. */
  idleSignInMs: 12 * 3_600_000,
  maxSignInMs: 7 * 86_400_000,
  /** Printed or sent to whoever asked just now. */
  linkMs: 15 * 60_000,
  resetMs: 30 * 60_000,
  setUpMs: 24 * 3_600_000,
  /** The second step of a sign-in: time to find the telephone. */
  secondFactorMs: 5 * 60_000,
  invitationMs: 7 * 86_400_000,
  maxInvitationMs: 30 * 86_400_000,
  /** Invitations of one organisation that wait; a clinic invites its staff in a morning. */
  openInvitations: 500,
  /** People of one organisation, in one answer. */
  members: 1_000,
  backupCodes: 10,
} as const;

const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const Instant = Type.String({ format: 'date-time' });
const strict = { additionalProperties: false };

const Email = Type.String({
  minLength: 3,
  maxLength: accountLimits.maxEmailCharacters,
  pattern: '^[^\\s@]+@[^\\s@]+$',
  description: 'upper and lower case are the same',
});
const NewPassword = Type.String({
  minLength: accountLimits.minPasswordCharacters,
  maxLength: accountLimits.maxPasswordCharacters,
});
const Password = Type.String({ minLength: 1, maxLength: accountLimits.maxPasswordCharacters });
const PersonName = Type.String({ minLength: 1, maxLength: accountLimits.nameCharacters });
const OneTimeToken = Type.String({ pattern: '^kl_[A-Za-z0-9_-]{43}$' });
const Code = Type.String({
  minLength: 6,
  maxLength: 20,
  description: 'six digits of the authenticator, or a back-up code',
});
const MemberRole = Type.Enum([...memberRoles]);

export const SignInRequest = Type.Object(
  { email: Email, password: Password },
  { ...strict, $id: 'SignInRequest' },
);
export type SignInRequest = Static<typeof SignInRequest>;

export const SecondFactorRequest = Type.Object(
  { challenge: OneTimeToken, code: Code },
  { ...strict, $id: 'SecondFactorRequest' },
);
export type SecondFactorRequest = Static<typeof SecondFactorRequest>;

export const OneTimeTokenRequest = Type.Object(
  { token: OneTimeToken },
  { ...strict, $id: 'OneTimeTokenRequest' },
);
export type OneTimeTokenRequest = Static<typeof OneTimeTokenRequest>;

/** The first owner of an installation. */
export const SetUpRequest = Type.Object(
  { token: OneTimeToken, email: Email, name: PersonName, password: NewPassword },
  { ...strict, $id: 'SetUpRequest' },
);
export type SetUpRequest = Static<typeof SetUpRequest>;

/** Somebody who has an account gives its password; anybody else sets one, and says a name. */
export const AcceptInvitationRequest = Type.Object(
  { token: OneTimeToken, name: Type.Optional(PersonName), password: Password },
  { ...strict, $id: 'AcceptInvitationRequest' },
);
export type AcceptInvitationRequest = Static<typeof AcceptInvitationRequest>;

export const ForgottenPasswordRequest = Type.Object(
  { email: Email },
  { ...strict, $id: 'ForgottenPasswordRequest' },
);
export type ForgottenPasswordRequest = Static<typeof ForgottenPasswordRequest>;

export const PasswordResetRequest = Type.Object(
  { token: OneTimeToken, password: NewPassword },
  { ...strict, $id: 'PasswordResetRequest' },
);
export type PasswordResetRequest = Static<typeof PasswordResetRequest>;

/** `current` is left out by whoever has none yet (signed in by a link). Every other sign-in ends. */
export const PasswordChangeRequest = Type.Object(
  { current: Type.Optional(Password), password: NewPassword },
  { ...strict, $id: 'PasswordChangeRequest' },
);
export type PasswordChangeRequest = Static<typeof PasswordChangeRequest>;

export const ProfileRequest = Type.Object({ name: PersonName }, { ...strict, $id: 'ProfileRequest' });
export type ProfileRequest = Static<typeof ProfileRequest>;

export const OrganisationChoice = Type.Object(
  { organisationId: Id },
  { ...strict, $id: 'OrganisationChoice' },
);
export type OrganisationChoice = Static<typeof OrganisationChoice>;

export const PasswordProof = Type.Object({ password: Password }, { ...strict, $id: 'PasswordProof' });
export type PasswordProof = Static<typeof PasswordProof>;

export const CodeRequest = Type.Object({ code: Code }, { ...strict, $id: 'CodeRequest' });
export type CodeRequest = Static<typeof CodeRequest>;

/** What a page that nobody has signed in to must know. */
export const SignInOptions = Type.Object(
  {
    /** A forgotten password can be reset by mail. */
    hasMail: Type.Boolean(),
    /** Nobody can sign in yet: the set-up link that the server printed is the way in. */
    needsSetUp: Type.Boolean(),
  },
  { $id: 'SignInOptions' },
);
export type SignInOptions = Static<typeof SignInOptions>;

const Organisation = Type.Object({ id: Id, name: Type.String() });

/** Whoever asks: a person by its sign-in, or a key. */
export const Account = Type.Object(
  {
    /** Null: a key or a token asks. */
    person: Nullable(
      Type.Object({
        id: Id,
        email: Type.String(),
        name: Type.String(),
        hasPassword: Type.Boolean(),
        hasTotp: Type.Boolean(),
        backupCodesLeft: Type.Integer({ minimum: 0 }),
      }),
    ),
    organisation: Organisation,
    /** Those that the person may switch to, this one too. */
    organisations: Type.Array(Type.Object({ ...Organisation.properties, role: MemberRole })),
    role: Type.String(),
    patientId: Nullable(Id),
    /** What may be done, as far as the role and the key allow. */
    permissions: Type.Array(Type.Enum([...actions])),
    /** When this way in ends by itself; null: not before it is revoked. */
    expiresAt: Nullable(Instant),
  },
  { $id: 'Account' },
);
export type Account = Static<typeof Account>;

/** The cookie `kymo.session` comes with `signed-in`; `second-factor` asks for a code with the challenge. */
export const SignInAnswer = Type.Union(
  [
    Type.Object({ state: Type.Literal('signed-in'), account: Account }),
    Type.Object({ state: Type.Literal('second-factor'), challenge: Type.String(), expiresAt: Instant }),
  ],
  { $id: 'SignInAnswer' },
);
export type SignInAnswer = Static<typeof SignInAnswer>;

export const SignInList = Type.Object(
  {
    signIns: Type.Array(
      Type.Object({
        id: Id,
        isCurrent: Type.Boolean(),
        organisationId: Id,
        createdAt: Instant,
        lastSeenAt: Instant,
        expiresAt: Instant,
        address: Type.String(),
        userAgent: Type.String(),
      }),
    ),
  },
  { $id: 'SignInList' },
);
export type SignInList = Static<typeof SignInList>;

/** Shown once; it counts from the first right code on (`/v1/account/totp/confirm`). */
export const TotpEnrolment = Type.Object(
  {
    secret: Type.String({ description: 'base32, for typing' }),
    uri: Type.String({ description: 'otpauth://totp/..., for a QR code' }),
  },
  { $id: 'TotpEnrolment' },
);
export type TotpEnrolment = Static<typeof TotpEnrolment>;

export const BackupCodes = Type.Object(
  {
    codes: Type.Array(Type.String(), { description: 'each good once, in place of a code; shown this once' }),
  },
  { $id: 'BackupCodes' },
);
export type BackupCodes = Static<typeof BackupCodes>;

export const Member = Type.Object(
  {
    id: Id,
    email: Type.String(),
    name: Type.String(),
    role: MemberRole,
    patientId: Nullable(Id),
    hasTotp: Type.Boolean(),
    since: Instant,
  },
  { $id: 'Member' },
);
export type Member = Static<typeof Member>;

export const MemberList = Type.Object({ members: Type.Array(Member) }, { $id: 'MemberList' });
export type MemberList = Static<typeof MemberList>;

/** `patientId` with role patient, and only then. */
export const MemberChange = Type.Object(
  { role: MemberRole, patientId: Type.Optional(Id) },
  { ...strict, $id: 'MemberChange' },
);
export type MemberChange = Static<typeof MemberChange>;

export const InvitationRequest = Type.Object(
  {
    email: Email,
    role: MemberRole,
    patientId: Type.Optional(Id),
    days: Type.Optional(Type.Integer({ minimum: 1, maximum: accountLimits.maxInvitationMs / 86_400_000 })),
  },
  { ...strict, $id: 'InvitationRequest' },
);
export type InvitationRequest = Static<typeof InvitationRequest>;

export const Invitation = Type.Object(
  {
    id: Id,
    email: Type.String(),
    role: MemberRole,
    patientId: Nullable(Id),
    state: Type.Enum(['open', 'accepted', 'revoked', 'expired']),
    createdAt: Instant,
    expiresAt: Instant,
  },
  { $id: 'Invitation' },
);
export type Invitation = Static<typeof Invitation>;

/** `token` is shown this once: the page opens with it behind `#invitation=`. */
export const InvitationCreated = Type.Object(
  { invitation: Invitation, token: Type.String(), isMailed: Type.Boolean() },
  { $id: 'InvitationCreated' },
);
export type InvitationCreated = Static<typeof InvitationCreated>;

export const InvitationPage = Type.Object(
  { invitations: Type.Array(Invitation), next: Nullable(Type.String()) },
  { $id: 'InvitationPage' },
);
export type InvitationPage = Static<typeof InvitationPage>;

/** What whoever holds an invitation sees before accepting it. */
export const InvitationView = Type.Object(
  {
    organisation: Type.String(),
    email: Type.String(),
    role: MemberRole,
    expiresAt: Instant,
    /** True: the password of the account is asked for; false: a new one is set. */
    hasAccount: Type.Boolean(),
  },
  { $id: 'InvitationView' },
);
export type InvitationView = Static<typeof InvitationView>;
