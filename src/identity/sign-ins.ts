/**
 * Owns sign-ins: what a cookie stands for. A cookie is looked up by its hash and its answer kept as those of keys are
 * (keyring.ts), so that a request with one costs no query. A sign-in ends when it was not used for `idleSignInMs`, at the
 * latest after `maxSignInMs`, and when it is revoked. Every sign-in has a new token, whatever cookie came with the request.
 * Bound: MAX_SIGN_INS of one person; the oldest goes.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import { accountLimits, type SignInList } from '#contract/account.ts';
import type { MemberRole } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import type { FailedAttempts } from '#identity/failed-attempts.ts';
import type { Visitor } from '#identity/identity-events.ts';
import { createKeyring, type IdentityCounters, type Known } from '#identity/keyring.ts';
import { newKey } from '#identity/keys.ts';
import { changePersonStatement, holdPersonStatement } from '#identity/person-lock.ts';
import type { RolePool } from '#store/pools.ts';

/** A person's browsers and telephones, and those that were never signed out. */
const MAX_SIGN_INS = 50;
const MAX_USER_AGENT = 256;

/** What a sign-in follows from. All of it must still hold when it is made, whatever has changed since it was looked at. */
export interface SignInGround {
  /** Null: the one that the person was in last. */
  readonly orgId: string | null;
  /** As it was kept when the password was found right. Absent: not by a password. */
  readonly passwordHash?: string | null;
  /** The sign-in that ends by this one, which lasts no longer than that would have. Absent: none. */
  readonly inPlaceOf?: string;
}

export interface NewSignIn {
  /** For the cookie. */
  readonly token: string;
  readonly id: string;
  readonly orgId: string;
  readonly role: MemberRole;
  readonly expiresAt: Date;
}

/** Methods throw the temporary AppErrors of the store. */
export interface SignIns {
  /** Null when the token is of none, ended, revoked, or its person is no member any more. */
  authenticate(token: string, address: string | null): Promise<Principal | null>;
  /** Throws AppError `forbidden` where the person is in no such organisation, `unauthenticated` when its ground is gone. */
  create(personId: string, visitor: Visitor, ground: SignInGround): Promise<NewSignIn>;
  list(personId: string, currentId: string): Promise<SignInList>;
  /** False when the person has no such sign-in. */
  revoke(personId: string, signInId: string): Promise<{ orgId: string } | null>;
  /** Those of a person: all, or those in one organisation; `but`: this one stays. */
  revokeAll(
    personId: string,
    scope: { readonly orgId?: string; readonly but?: string },
  ): Promise<readonly { readonly id: string; readonly orgId: string }[]>;
  /** This process must look it up again: it was revoked by another. */
  forget(signInId: string): void;
}

interface SignInRow {
  readonly id: string;
  readonly org_id: string;
  readonly person_id: string;
  readonly expires_at: Date;
  readonly role: MemberRole;
  readonly patient_id: string | null;
}

export function createSignIns(options: {
  authPool: RolePool;
  clock: Clock;
  failed: FailedAttempts;
  counters: IdentityCounters;
}): SignIns {
  const { authPool, clock } = options;
  const keyring = createKeyring<Principal>({
    ...options,
    kind: 'sign-in',
    lookUp,
    idOf: (principal) => principal.revocationId ?? '',
  });

  async function lookUp(hash: Buffer): Promise<Known<Principal>> {
    const [result] = await authPool.run([
      { name: 'sign-in-by-token', text: lookUpText, values: [hash, accountLimits.idleSignInMs / 1000] },
    ]);
    const row = result?.rows[0] as SignInRow | undefined;
    if (row === undefined) return { identity: null, expiresAtUs: 0 };
    const identity = principalOfSignIn(row);
    return { identity, expiresAtUs: identity.expiresAtUs };
  }

  return {
    authenticate: (token, address) => keyring.find(token, address),
    async create(personId, { address, userAgent }, { orgId, passwordHash = null, inPlaceOf = null }) {
      const id = uuidv7(clock);
      const { key, hash } = newKey('sign-in');
      const latest = new Date(clock.nowUs() / 1000 + accountLimits.maxSignInMs);
      const results = await authPool.run([
        holdPersonStatement(personId),
        { text: `delete from kymo.sign_in where expires_at < now() - interval '1 day'` },
        {
          text: `delete from kymo.sign_in where id in (select id from kymo.sign_in where person_id = $1
            order by created_at desc, id desc offset ${MAX_SIGN_INS - 1})`,
          values: [personId],
        },
        {
          text: createText,
          values: [
            id,
            hash,
            personId,
            orgId,
            latest,
            address,
            userAgent.slice(0, MAX_USER_AGENT),
            passwordHash,
            inPlaceOf,
          ],
        },
      ]);
      const made = results[3]?.rows[0] as MadeRow | undefined;
      if (inPlaceOf !== null) keyring.forget(inPlaceOf);
      if (made === undefined)
        throw new AppError('forbidden', 'this account belongs to no organisation, or not to this one');
      if (made.expires_at === null)
        throw new AppError('unauthenticated', 'the password was changed, or the sign-in ended, meanwhile');
      return { token: key, id, orgId: made.org_id, role: made.role, expiresAt: made.expires_at };
    },
    async list(personId, currentId) {
      const [result] = await authPool.run([
        {
          text: `select id, org_id, created_at, last_seen_at, expires_at, address, user_agent from kymo.sign_in
            where person_id = $1 and revoked_at is null and expires_at > now()
              and last_seen_at > now() - make_interval(secs => $2) order by created_at desc, id desc`,
          values: [personId, accountLimits.idleSignInMs / 1000],
        },
      ]);
      return { signIns: (result!.rows as ListedRow[]).map((row) => shownSignIn(row, currentId)) };
    },
    async revoke(personId, signInId) {
      const [result] = await authPool.run([
        {
          text: `update kymo.sign_in set revoked_at = coalesce(revoked_at, now())
            where id = $2 and person_id = $1 returning org_id`,
          values: [personId, signInId],
        },
      ]);
      const row = result?.rows[0] as { org_id: string } | undefined;
      keyring.forget(signInId);
      return row === undefined ? null : { orgId: row.org_id };
    },
    async revokeAll(personId, { orgId, but }) {
      const [, result] = await authPool.run([
        changePersonStatement(personId),
        {
          text: `update kymo.sign_in set revoked_at = now() where person_id = $1 and revoked_at is null
              and ($2::uuid is null or org_id = $2) and ($3::uuid is null or id <> $3) returning id, org_id`,
          values: [personId, orgId ?? null, but ?? null],
        },
      ]);
      const ended = result!.rows as { id: string; org_id: string }[];
      for (const { id } of ended) keyring.forget(id);
      return ended.map((row) => ({
        id: row.id,
        orgId: row.org_id,
      }));
    },
    forget: (signInId) => keyring.forget(signInId),
  };
}

// Written at most once a minute, as for devices.
const lookUpText = `with seen as (
    update kymo.sign_in set last_seen_at = now()
     where token_hash = $1 and revoked_at is null and expires_at > now()
       and last_seen_at between now() - make_interval(secs => $2) and now() - interval '1 minute')
  select s.id, s.org_id, s.person_id, s.expires_at, m.role, m.patient_id
    from kymo.sign_in s join kymo.member m on m.org_id = s.org_id and m.person_id = s.person_id
   where s.token_hash = $1 and s.revoked_at is null and s.expires_at > now()
     and s.last_seen_at > now() - make_interval(secs => $2)`;

const createText = `with place as (
    select m.org_id, m.role from kymo.member m
     where m.person_id = $3 and ($4::uuid is null or m.org_id = $4)
     order by (select max(s.created_at) from kymo.sign_in s where s.person_id = $3 and s.org_id = m.org_id) desc nulls last,
       m.created_at, m.org_id
     limit 1),
  ended as (
    update kymo.sign_in set revoked_at = now()
     where id = $9::uuid and person_id = $3 and revoked_at is null and expires_at > now() and exists (select from place)
     returning expires_at),
  made as (
    insert into kymo.sign_in (id, token_hash, person_id, org_id, expires_at, address, user_agent)
    select $1, $2, $3, org_id, coalesce((select expires_at from ended), $5::timestamptz), $6, $7 from place
     where ($8::text is null or exists (select from kymo.person p where p.id = $3 and p.password_hash = $8))
       and ($9::uuid is null or exists (select from ended))
    returning expires_at)
  select org_id, role, (select expires_at from made) from place`;

function principalOfSignIn(row: SignInRow): Principal {
  return {
    kind: 'user',
    orgId: row.org_id,
    subject: row.person_id,
    role: row.role,
    patientId: row.patient_id,
    permissions: null,
    grants: null,
    expiresAtUs: row.expires_at.getTime() * 1000,
    revocationId: row.id,
  };
}

interface MadeRow {
  readonly org_id: string;
  readonly role: MemberRole;
  /** Null: its ground was gone. */
  readonly expires_at: Date | null;
}

interface ListedRow {
  readonly id: string;
  readonly org_id: string;
  readonly created_at: Date;
  readonly last_seen_at: Date;
  readonly expires_at: Date;
  readonly address: string;
  readonly user_agent: string;
}

function shownSignIn(row: ListedRow, currentId: string): SignInList['signIns'][number] {
  return {
    id: row.id,
    isCurrent: row.id === currentId,
    organisationId: row.org_id,
    createdAt: row.created_at.toISOString(),
    lastSeenAt: row.last_seen_at.toISOString(),
    expiresAt: row.expires_at.toISOString(),
    address: row.address,
    userAgent: row.user_agent,
  };
}
