/**
 * Owns what a person does with the own account: profile, password, second factor, sign-ins, the organisation worked in.
 * What weakens the account asks for the password again, under the same limit as signing in. No state of its own.
 */

import { AppError } from '#base/errors.ts';
import type { Account, PasswordChangeRequest, SignInList, TotpEnrolment } from '#contract/account.ts';
import { actions, may } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import { plainName } from '#identity/entrances.ts';
import type { IdentityEventKind, OnIdentityEvent, Visitor } from '#identity/identity-events.ts';
import type { Passwords } from '#identity/passwords.ts';
import type { PersonForSignIn, PersonQueries } from '#identity/person-queries.ts';
import type { SecondFactors } from '#identity/second-factors.ts';
import type { SignInAttempts } from '#identity/sign-in-attempts.ts';
import type { NewSignIn, SignIns } from '#identity/sign-ins.ts';

export interface EndedSignIn {
  readonly id: string;
  readonly orgId: string;
}

/**
 * All but `view` are for people who signed in: AppError `forbidden` for others. Methods throw `unauthenticated` for a wrong
 * password or code, `limit-exceeded` (temporary) for too many, `conflict`, and the store's.
 */
export interface OwnAccount {
  view(principal: Principal): Promise<Account>;
  rename(principal: Principal, name: string, visitor: Visitor): Promise<void>;
  /** Ends every other sign-in of the person; they are returned. */
  changePassword(
    principal: Principal,
    request: PasswordChangeRequest,
    visitor: Visitor,
  ): Promise<readonly EndedSignIn[]>;
  signOut(principal: Principal, visitor: Visitor): Promise<EndedSignIn>;
  listSignIns(principal: Principal): Promise<SignInList>;
  /** Null when the person has no such sign-in. */
  revokeSignIn(principal: Principal, signInId: string, visitor: Visitor): Promise<EndedSignIn | null>;
  /** Another sign-in in place of this one. Throws AppError `forbidden` where the person is no member. */
  switchOrganisation(
    principal: Principal,
    orgId: string,
    visitor: Visitor,
  ): Promise<{ readonly made: NewSignIn; readonly ended: EndedSignIn }>;
  enrolTotp(principal: Principal, password: string, visitor: Visitor): Promise<TotpEnrolment>;
  confirmTotp(principal: Principal, code: string, visitor: Visitor): Promise<readonly string[]>;
  renewBackupCodes(principal: Principal, password: string, visitor: Visitor): Promise<readonly string[]>;
  disableTotp(principal: Principal, password: string, visitor: Visitor): Promise<void>;
}

export function createOwnAccount(parts: {
  readonly people: PersonQueries;
  readonly passwords: Passwords;
  readonly attempts: SignInAttempts;
  readonly secondFactors: SecondFactors;
  readonly signIns: SignIns;
  readonly onEvent: OnIdentityEvent;
}): OwnAccount {
  const { people, passwords, attempts, secondFactors, signIns } = parts;

  const tell = (
    kind: IdentityEventKind,
    principal: Principal,
    told: { visitor: Visitor; detail?: string },
  ): void =>
    parts.onEvent({
      kind,
      orgId: principal.orgId,
      personId: principal.subject,
      role: principal.role,
      address: told.visitor.address,
      detail: told.detail ?? '',
    });

  /** The person behind a sign-in whose password this is. */
  async function prove(principal: Principal, password: string, visitor: Visitor): Promise<PersonForSignIn> {
    const person = await find(principal);
    if (person.passwordHash === null)
      throw new AppError('conflict', 'this account has no password yet: set one first');
    const attempt = attempts.begin(person.email, visitor.address);
    if (!(await passwords.isRight(password, person.passwordHash))) {
      tell('sign-in-failed', principal, { visitor, detail: 'password asked again' });
      throw new AppError('forbidden', 'the password is wrong');
    }
    attempt.succeeded();
    return person;
  }

  async function find(principal: Principal): Promise<PersonForSignIn> {
    const person = await people.byId(personOf(principal).personId);
    if (person === null) throw new AppError('unauthenticated', 'this account is gone');
    return person;
  }

  return {
    async view(principal) {
      const personId = principal.kind === 'user' ? principal.subject : null;
      return {
        ...(await people.view(personId, principal.orgId)),
        role: principal.role,
        patientId: principal.patientId,
        permissions: actions.filter((action) => may(principal, action)),
        expiresAt: Number.isFinite(principal.expiresAtUs)
          ? new Date(principal.expiresAtUs / 1000).toISOString()
          : null,
      };
    },
    async rename(principal, name, visitor) {
      await people.rename(personOf(principal).personId, plainName(name));
      tell('profile-changed', principal, { visitor });
    },
    async changePassword(principal, { current, password }, visitor) {
      const { personId, signInId } = personOf(principal);
      if (current !== undefined) await prove(principal, current, visitor);
      else if ((await find(principal)).passwordHash !== null)
        throw new AppError('invalid-field', 'say the current password too', { field: '/current' });
      await people.setPassword(personId, await passwords.hash(password));
      tell('password-changed', principal, { visitor });
      return signIns.revokeAll(personId, { but: signInId });
    },
    async signOut(principal, visitor) {
      const { personId, signInId } = personOf(principal);
      await signIns.revoke(personId, signInId);
      tell('signed-out', principal, { visitor });
      return { id: signInId, orgId: principal.orgId };
    },
    listSignIns(principal) {
      const { personId, signInId } = personOf(principal);
      return signIns.list(personId, signInId);
    },
    async revokeSignIn(principal, signInId, visitor) {
      const ended = await signIns.revoke(personOf(principal).personId, signInId);
      if (ended === null) return null;
      tell('sign-in-revoked', principal, { visitor, detail: signInId });
      return { id: signInId, orgId: ended.orgId };
    },
    async switchOrganisation(principal, orgId, visitor) {
      const { personId, signInId } = personOf(principal);
      const made = await signIns.create(personId, visitor, { orgId, inPlaceOf: signInId });
      tell('organisation-switched', { ...principal, orgId }, { visitor });
      return { made, ended: { id: signInId, orgId: principal.orgId } };
    },
    async enrolTotp(principal, password, visitor) {
      return secondFactors.enrol(await prove(principal, password, visitor));
    },
    async confirmTotp(principal, code, visitor) {
      const codes = await secondFactors.confirm(personOf(principal).personId, code);
      if (codes === null) {
        tell('second-factor-failed', principal, { visitor, detail: 'enrolment' });
        throw new AppError('invalid-field', 'the code is wrong: does the clock of the telephone go right?', {
          field: '/code',
        });
      }
      tell('totp-enabled', principal, { visitor });
      return codes;
    },
    async renewBackupCodes(principal, password, visitor) {
      const { id } = await prove(principal, password, visitor);
      const codes = await secondFactors.renewBackupCodes(id);
      tell('backup-codes-made', principal, { visitor });
      return codes;
    },
    async disableTotp(principal, password, visitor) {
      const { id } = await prove(principal, password, visitor);
      await secondFactors.remove(id);
      tell('totp-disabled', principal, { visitor });
    },
  };
}

function personOf(principal: Principal): { personId: string; signInId: string } {
  if (principal.kind !== 'user' || principal.revocationId === null)
    throw new AppError('forbidden', 'this is for people who signed in, not for keys');
  return { personId: principal.subject, signInId: principal.revocationId };
}
