/**
 * Owns tokens that are used once: sign-in links, the first owner's set-up, password resets, the second step of a sign-in.
 * Kept by hash; using one removes it in the same statement, so that of two who show it one gets in. Bound: those of one
 * kind and person, MAX_OPEN; the oldest go, and ended ones go whenever one is made.
 */

import type { Clock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import { hashKey, kindOfKey, newKey } from '#identity/keys.ts';
import { holdPersonStatement } from '#identity/person-lock.ts';
import type { RolePool, Statement } from '#store/pools.ts';

/** Links that somebody asks for again and again before one arrives. */
const MAX_OPEN = 5;
/** Of one second step: with three codes right at a time of a million, and a limit over all of them besides. */
const MAX_ATTEMPTS = 5;

export type OneTimeKind = 'link' | 'set-up' | 'reset' | 'second-factor';

export interface OneTimeHolder {
  readonly personId: string;
  readonly orgId: string | null;
}

export interface OneTimeToken {
  readonly token: string;
  readonly expiresAt: Date;
}

/** Methods throw the temporary AppErrors of the store. */
export interface OneTimeTokens {
  make(
    kind: OneTimeKind,
    made: {
      /** Null: whoever shows it, which is what a set-up link is for. */
      readonly personId: string | null;
      readonly orgId: string | null;
      readonly lifeMs: number;
      readonly isLoopback?: boolean;
      /** As it was kept when the password was found right: with another one now, the token is worth nothing. */
      readonly passwordHash?: string | null;
    },
  ): Promise<OneTimeToken>;
  /** Null when it is unknown, used, ended, of another kind, or good on the server's machine alone and shown elsewhere. */
  use(kind: OneTimeKind, token: string, isOwnMachine: boolean): Promise<OneTimeHolder | null>;
  /** Counts an attempt with it and leaves it. Null when it is unknown, ended, or was tried too often. */
  attempt(kind: OneTimeKind, token: string): Promise<OneTimeHolder | null>;
}

export function createOneTimeTokens({
  authPool,
  clock,
}: {
  authPool: RolePool;
  clock: Clock;
}): OneTimeTokens {
  async function find(statement: Statement): Promise<OneTimeHolder | null> {
    const [result] = await authPool.run([statement]);
    const row = result?.rows[0] as { person_id: string; org_id: string | null } | undefined;
    return row === undefined ? null : { personId: row.person_id, orgId: row.org_id };
  }
  return {
    async make(kind, { personId, orgId, lifeMs, isLoopback = false, passwordHash = null }) {
      const { key, hash } = newKey('link');
      const expiresAt = new Date(clock.nowUs() / 1000 + lifeMs);
      await authPool.run([
        ...(personId === null ? [] : [holdPersonStatement(personId)]),
        { text: 'delete from kymo.verification where expires_at < now()' },
        {
          text: `delete from kymo.verification where id in (select id from kymo.verification
            where kind = $1 and person_id is not distinct from $2::uuid
            order by created_at desc, id desc offset ${MAX_OPEN - 1})`,
          values: [kind, personId],
        },
        {
          text: `insert into kymo.verification (id, kind, token_hash, person_id, org_id, is_loopback, expires_at)
            select $1, $2, $3, $4, $5, $6, $7
             where $8::text is null or exists (select from kymo.person where id = $4 and password_hash = $8)`,
          values: [uuidv7(clock), kind, hash, personId, orgId, isLoopback, expiresAt, passwordHash],
        },
      ]);
      return { token: key, expiresAt };
    },
    async use(kind, token, isOwnMachine) {
      if (kindOfKey(token) !== 'link') return null;
      return find({
        text: `delete from kymo.verification where token_hash = $1 and kind = $2 and expires_at > now()
            and ($3 or not is_loopback) and person_id is not null returning person_id, org_id`,
        values: [hashKey(token), kind, isOwnMachine],
      });
    },
    async attempt(kind, token) {
      if (kindOfKey(token) !== 'link') return null;
      return find({
        text: `update kymo.verification set attempts = attempts + 1 where token_hash = $1 and kind = $2
            and expires_at > now() and attempts < ${MAX_ATTEMPTS} and person_id is not null returning person_id, org_id`,
        values: [hashKey(token), kind],
      });
    },
  };
}
