/**
 * Owns the ways in for people: password and second factor, one-time link, the first owner's set-up, an accepted
 * invitation, a reset password. What is wrong is told alike whoever exists: same words, same work, same limit. Bound:
 * MAX_RESETS resets under way at once, beyond which the answer is `overloaded`; passwords.ts and sign-in-attempts.ts bound
 * the rest.
 */

import type { Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { uuidv7 } from '#base/uuid.ts';
import {
  accountLimits,
  type AcceptInvitationRequest,
  type InvitationView,
  type SecondFactorRequest,
  type SetUpRequest,
  type SignInRequest,
} from '#contract/account.ts';
import type { MemberRole } from '#contract/permissions.ts';
import type { IdentityEvent, OnIdentityEvent, Visitor } from '#identity/identity-events.ts';
import { hashKey } from '#identity/keys.ts';
import type { OneTimeTokens } from '#identity/one-time-tokens.ts';
import type { Passwords } from '#identity/passwords.ts';
import type { PersonForSignIn, PersonQueries } from '#identity/person-queries.ts';
import type { SecondFactors } from '#identity/second-factors.ts';
import type { SignInAttempts } from '#identity/sign-in-attempts.ts';
import type { NewSignIn, SignInGround, SignIns } from '#identity/sign-ins.ts';
import type { RolePool } from '#store/pools.ts';

const MAX_RESETS = 100;
/** Of the advisory lock of set-ups; the number is arbitrary. */
const SET_UP_LOCK = 5_962_132;

/** What is sent to people. `fragment` opens the page that goes on (`#reset=TOKEN`, `#invitation=TOKEN`). */
export interface IdentityMail {
  readonly kind: 'password-reset' | 'invitation';
  readonly to: string;
  readonly orgId: string | null;
  readonly fragment: string;
  readonly expiresAt: Date;
}
/** Resolves when it is on its way for certain (queued). */
export type SendIdentityMail = (mail: IdentityMail) => Promise<void>;

export type Entry =
  | { readonly state: 'signed-in'; readonly personId: string; readonly signIn: NewSignIn }
  | { readonly state: 'second-factor'; readonly challenge: string; readonly expiresAt: Date };

/** Methods throw AppError `unauthenticated`, `limit-exceeded` or `overloaded` (temporary), and the store's. */
export interface Entrances {
  byPassword(request: SignInRequest, visitor: Visitor): Promise<Entry>;
  bySecondFactor(request: SecondFactorRequest, visitor: Visitor): Promise<Entry>;
  byLink(token: string, visitor: Visitor): Promise<Entry>;
  /** The first owner. Throws AppError `conflict` when the address has an account. */
  setUp(request: SetUpRequest, visitor: Visitor): Promise<Entry>;
  needsSetUp(): Promise<boolean>;
  /** Null when it is unknown, used, revoked or ended. */
  lookAtInvitation(token: string): Promise<InvitationView | null>;
  acceptInvitation(request: AcceptInvitationRequest, visitor: Visitor): Promise<Entry>;
  /** Answers at once, whoever exists; the mail follows. */
  forgotPassword(email: string, visitor: Visitor): void;
  /** Ends all sign-ins of the person, which are returned. */
  resetPassword(
    request: { readonly token: string; readonly password: string },
    visitor: Visitor,
  ): Promise<readonly { readonly id: string; readonly orgId: string }[]>;
  /** Resets that were asked for and are not on their way yet. */
  settled(): Promise<void>;
}

export interface EntranceParts {
  readonly authPool: RolePool;
  readonly clock: Clock;
  readonly log: Log;
  readonly people: PersonQueries;
  readonly passwords: Passwords;
  readonly attempts: SignInAttempts;
  readonly secondFactors: SecondFactors;
  readonly oneTime: OneTimeTokens;
  readonly signIns: SignIns;
  readonly sendMail: SendIdentityMail | null;
  readonly onEvent: OnIdentityEvent;
}

export function createEntrances(parts: EntranceParts): Entrances {
  const { people, passwords, attempts, secondFactors, oneTime, signIns, onEvent } = parts;
  const resets = new Set<Promise<void>>();
  let isSetUp = false;

  const tell = (event: Omit<IdentityEvent, 'address'>, visitor: Visitor): void =>
    onEvent({ ...event, address: visitor.address });

  /** Of somebody who is not in: told to where the person belongs. */
  const tellOf = (
    person: PersonForSignIn | null,
    event: Pick<IdentityEvent, 'kind' | 'detail'>,
    visitor: Visitor,
  ): void => {
    const { orgId = null, role = null } = person?.home ?? {};
    tell({ ...event, orgId, role, personId: person?.id ?? null }, visitor);
  };

  async function signIn(
    person: { readonly id: string } & SignInGround,
    by: string,
    visitor: Visitor,
  ): Promise<Entry> {
    const made = await signIns.create(person.id, visitor, person);
    const { orgId, role } = made;
    tell({ kind: 'signed-in', orgId, role, personId: person.id, detail: by }, visitor);
    return { state: 'signed-in', personId: person.id, signIn: made };
  }

  /** Somebody whose password was right. */
  async function pass(person: PersonForSignIn, orgId: string | null, visitor: Visitor): Promise<Entry> {
    const { id, passwordHash } = person;
    if (!person.hasTotp) return signIn({ id, orgId, passwordHash }, 'password', visitor);
    const lifeMs = accountLimits.secondFactorMs;
    const step = { personId: id, orgId, lifeMs, passwordHash };
    const { token, expiresAt } = await oneTime.make('second-factor', step);
    return { state: 'second-factor', challenge: token, expiresAt };
  }

  async function checkPassword(request: SignInRequest, visitor: Visitor): Promise<PersonForSignIn> {
    const email = request.email.toLowerCase();
    const attempt = attempts.begin(email, visitor.address);
    const person = await people.byEmail(email);
    if (!(await passwords.isRight(request.password, person?.passwordHash ?? null)) || person === null) {
      tellOf(person, { kind: 'sign-in-failed', detail: 'password' }, visitor);
      throw new AppError('unauthenticated', 'the e-mail address or the password is wrong');
    }
    attempt.succeeded();
    return person;
  }

  async function sendReset(email: string, visitor: Visitor): Promise<void> {
    const person = await people.byEmail(email);
    tellOf(person, { kind: 'password-reset-asked', detail: '' }, visitor);
    if (person === null || parts.sendMail === null) return;
    const lifeMs = accountLimits.resetMs;
    const { token, expiresAt } = await oneTime.make('reset', { personId: person.id, orgId: null, lifeMs });
    await parts.sendMail({
      kind: 'password-reset',
      to: person.email,
      orgId: null,
      fragment: `reset=${token}`,
      expiresAt,
    });
  }

  return {
    byPassword: async (request, visitor) => pass(await checkPassword(request, visitor), null, visitor),
    async bySecondFactor({ challenge, code }, visitor) {
      const holder = await oneTime.attempt('second-factor', challenge);
      if (holder === null) throw ended('this sign-in has ended: begin again with the password');
      const { personId, orgId } = holder;
      const by = await secondFactors.use(personId, code);
      if (by === null) {
        tellOf(await people.byId(personId), { kind: 'second-factor-failed', detail: '' }, visitor);
        throw new AppError('unauthenticated', 'the code is wrong, or was used already');
      }
      // Of two who know a right code each, one gets in.
      if ((await oneTime.use('second-factor', challenge, visitor.isOwnMachine)) === null)
        throw ended('this sign-in has ended: begin again with the password');
      return signIn({ id: personId, orgId }, by, visitor);
    },
    async byLink(token, visitor) {
      const holder = await oneTime.use('link', token, visitor.isOwnMachine);
      if (holder === null) {
        tellOf(null, { kind: 'sign-in-failed', detail: 'link' }, visitor);
        throw ended('the link was used, has ended, or is good on the machine of the server only');
      }
      return signIn({ id: holder.personId, orgId: holder.orgId }, 'link', visitor);
    },
    async setUp({ token, email, name, password }, visitor) {
      // Before the work of a hash, which anybody could ask for.
      if (!(await isSetUpToken(parts.authPool, hashKey(token)))) throw endedSetUp();
      const hash = await passwords.hash(password);
      const person = { id: uuidv7(parts.clock), email: email.toLowerCase(), name: plainName(name), hash };
      const orgId = await makeOwner(parts.authPool, hashKey(token), person);
      if (orgId === null) throw endedSetUp();
      tell({ kind: 'set-up', orgId, role: 'owner', personId: person.id, detail: '' }, visitor);
      return signIn({ id: person.id, orgId }, 'set-up', visitor);
    },
    async needsSetUp() {
      // Once set up it stays so: the last owner cannot be removed.
      isSetUp ||= await people.hasOwner();
      return !isSetUp;
    },
    async lookAtInvitation(token) {
      return (await findInvitation(parts.authPool, token))?.view ?? null;
    },
    async acceptInvitation({ token, name, password }, visitor) {
      const found = await findInvitation(parts.authPool, token);
      if (found === null) throw ended('the invitation was used or revoked, or has ended');
      const { email, hasAccount } = found.view;
      const person = hasAccount ? await checkPassword({ email, password }, visitor) : null;
      const made = person ?? (await newPerson(parts, { email, name, password }));
      const isTaken = await takeInvitation(parts.authPool, hashKey(token), made);
      if (!isTaken) throw ended('the invitation was used or revoked, or has ended');
      tell(
        {
          kind: 'invitation-accepted',
          orgId: found.orgId,
          role: found.view.role,
          personId: made.id,
          detail: '',
        },
        visitor,
      );
      if (person !== null) return pass(person, found.orgId, visitor);
      return signIn({ id: made.id, orgId: found.orgId }, 'invitation', visitor);
    },
    forgotPassword(email, visitor) {
      const lower = email.toLowerCase();
      attempts.begin(`reset ${lower}`, visitor.address);
      if (resets.size >= MAX_RESETS)
        throw new AppError('overloaded', 'too many people reset passwords; try again soon', {
          temporary: true,
        });
      const reset = sendReset(lower, visitor)
        .catch((error: unknown) =>
          parts.log.error('a password reset was not sent', { error: messageOf(error) }),
        )
        .finally(() => resets.delete(reset));
      resets.add(reset);
    },
    async resetPassword({ token, password }, visitor) {
      const known = await oneTime.attempt('reset', token);
      const hash = known === null ? null : await passwords.hash(password);
      const holder = hash === null ? null : await oneTime.use('reset', token, visitor.isOwnMachine);
      if (hash === null || holder === null)
        throw ended('the link was used or has ended: ask for another one');
      await people.setPassword(holder.personId, hash);
      tellOf(await people.byId(holder.personId), { kind: 'password-reset', detail: '' }, visitor);
      return signIns.revokeAll(holder.personId, {});
    },
    async settled() {
      await Promise.all(resets);
    },
  };
}

function ended(message: string): AppError {
  return new AppError('unauthenticated', message);
}

function endedSetUp(): AppError {
  return ended('the set-up link was used, has ended, or is not needed any more');
}

/** A name that people read. PostgreSQL's text holds neither U+0000 nor half a surrogate pair. */
export function plainName(name: string): string {
  if (!name.isWellFormed() || name.includes('\u0000') || name.trim() === '')
    throw new AppError('invalid-field', 'a name has at least one visible character', { field: '/name' });
  return name.trim();
}

interface NewPerson {
  readonly id: string;
  readonly email: string;
  readonly name: string;
  readonly hash: string;
}

async function newPerson(
  { passwords, clock }: EntranceParts,
  { email, name, password }: { email: string; name: string | undefined; password: string },
): Promise<NewPerson> {
  if (name === undefined)
    throw new AppError('invalid-field', 'somebody without an account says a name', { field: '/name' });
  if (password.length < accountLimits.minPasswordCharacters)
    throw new AppError(
      'invalid-field',
      `a password has at least ${accountLimits.minPasswordCharacters} characters`,
      { field: '/password' },
    );
  return { id: uuidv7(clock), email, name: plainName(name), hash: await passwords.hash(password) };
}

/** Somebody who came in another way, such as by an invitation, ends the need for a set-up too. */
const hasNoOwner = `not exists (select from kymo.member m join kymo.person p on p.id = m.person_id
  where m.role = 'owner' and p.password_hash is not null)`;

async function isSetUpToken(authPool: RolePool, tokenHash: Buffer): Promise<boolean> {
  const text = `select from kymo.verification
    where token_hash = $1 and kind = 'set-up' and expires_at > now() and ${hasNoOwner}`;
  const [result] = await authPool.run([{ text, values: [tokenHash] }]);
  return result?.rowCount === 1;
}

/** All set-up links end with the first that is used. Returns the organisation; null when the token is worth nothing. */
async function makeOwner(authPool: RolePool, tokenHash: Buffer, person: NewPerson): Promise<string | null> {
  const [, result] = await authPool
    .run([
      // Of two links that are used at the same time the second must see what the first made.
      { text: `select pg_advisory_xact_lock(${SET_UP_LOCK}, 0)` },
      {
        text: `with token as (
              delete from kymo.verification where token_hash = $1 and kind = 'set-up' and expires_at > now()
                 and ${hasNoOwner} returning org_id),
            made as (
              insert into kymo.person (id, email, name, password_hash, password_set_at)
              select $2, $3, $4, $5, now() from token returning id)
          insert into kymo.member (org_id, person_id, role, created_by)
          select token.org_id, made.id, 'owner', 'set-up' from token, made returning org_id`,
        values: [tokenHash, person.id, person.email, person.name, person.hash],
      },
      {
        text: `delete from kymo.verification where kind = 'set-up' and exists (select from kymo.person where id = $1)`,
        values: [person.id],
      },
    ])
    .catch(refuseSecondAccount);
  return (result?.rows[0] as { org_id: string } | undefined)?.org_id ?? null;
}

interface InvitationRow {
  readonly org_id: string;
  readonly organisation: string;
  readonly email: string;
  readonly role: MemberRole;
  readonly expires_at: Date;
  readonly has_account: boolean;
}

async function findInvitation(
  authPool: RolePool,
  token: string,
): Promise<{ orgId: string; view: InvitationView } | null> {
  const [result] = await authPool.run([
    {
      text: `select i.org_id, o.name as organisation, i.email, i.role, i.expires_at,
          exists (select from kymo.person p where p.email = i.email) as has_account
        from kymo.invitation i join kymo.organisation o on o.id = i.org_id
        where i.token_hash = $1 and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()`,
      values: [hashKey(token)],
    },
  ]);
  const row = result?.rows[0] as InvitationRow | undefined;
  if (row === undefined) return null;
  const { organisation, email, role } = row;
  return {
    orgId: row.org_id,
    view: { organisation, email, role, expiresAt: row.expires_at.toISOString(), hasAccount: row.has_account },
  };
}

/** Of two who accept at once one does; whoever is a member already stays what it is. */
async function takeInvitation(
  authPool: RolePool,
  tokenHash: Buffer,
  person: PersonForSignIn | NewPerson,
): Promise<boolean> {
  const isNew = 'hash' in person;
  const values = isNew ? [person.name, person.hash] : [null, null];
  const [result] = await authPool
    .run([
      {
        text: `with taken as (
              update kymo.invitation set accepted_at = now()
               where token_hash = $1 and email = $3 and accepted_at is null and revoked_at is null and expires_at > now()
               returning org_id, role, patient_id, invited_by),
            made as (
              insert into kymo.person (id, email, name, password_hash, password_set_at)
              select $2, $3, $4, $5, now() from taken where $4::text is not null),
            joined as (
              insert into kymo.member (org_id, person_id, role, patient_id, created_by)
              select org_id, $2, role, patient_id, invited_by from taken
              on conflict (org_id, person_id) do nothing)
          select from taken`,
        values: [tokenHash, person.id, person.email, ...values],
      },
    ])
    .catch(refuseSecondAccount);
  return result?.rowCount === 1;
}

function refuseSecondAccount(error: unknown): never {
  if ((error as { code?: unknown }).code === '23505')
    throw new AppError('conflict', 'this e-mail address has an account already');
  throw error;
}
