/**
 * Owns the mail that waits in kymo.mail: put there in the transaction of what it is about, claimed by one sender at a time, gone
 * when it was taken, refused for good, or too late. Bound: `outboxLimits.waiting`, beyond which nothing is added.
 */

import type { RolePool, Statement } from '#store/pools.ts';

export const outboxLimits = {
  /** A day of mail that cannot be sent, at one a second and more. */
  waiting: 100_000,
  /** Longer than any attempt. */
  claimSeconds: 300,
} as const;

export type MailKind = 'invitation' | 'password-reset' | 'job-done' | 'digest';

export interface WaitingMail {
  /** UUIDv7, made by whoever queues it. */
  readonly id: string;
  readonly orgId: string | null;
  readonly kind: MailKind;
  readonly recipient: string;
  readonly fields: Readonly<Record<string, string | number>>;
  readonly expiresAt: Date;
}

export interface ClaimedMail extends WaitingMail {
  /** This one, from 1. */
  readonly attempt: number;
}

export interface MailOutbox {
  add(mail: WaitingMail): Promise<boolean>;
  claim(limit: number): Promise<readonly ClaimedMail[]>;
  remove(id: string): Promise<void>;
  again(id: string, waitMs: number): Promise<void>;
  /** Those that are too late go; how many went, and how many wait. */
  tidy(): Promise<{ readonly expired: number; readonly waiting: number }>;
}

/** For a transaction of kymo_app in the mail's organisation, or of kymo_auth. */
export function mailStatement({ id, orgId, kind, recipient, fields, expiresAt }: WaitingMail): Statement {
  return {
    name: 'mail-add',
    text: `insert into kymo.mail (id, org_id, kind, recipient, fields, expires_at) values ($1, $2, $3, $4, $5, $6)`,
    values: [id, orgId, kind, recipient, JSON.stringify(fields), expiresAt],
  };
}

/** `auth`: the pool of kymo_auth. */
export function createMailOutbox(auth: RolePool): MailOutbox {
  const ask = async (statement: Statement) => (await auth.run([statement]))[0]!;
  return {
    async add(mail) {
      const { rows } = await ask(waitingStatement);
      if ((rows[0] as { waiting: number }).waiting >= outboxLimits.waiting) return false;
      await ask(mailStatement(mail));
      return true;
    },
    async claim(limit) {
      const { rows } = await ask(claimStatement(limit));
      return (rows as ClaimRow[]).map((row) => ({
        id: row.id,
        orgId: row.org_id,
        kind: row.kind,
        recipient: row.recipient,
        fields: row.fields,
        expiresAt: row.expires_at,
        attempt: row.attempts,
      }));
    },
    async remove(id) {
      await ask({ name: 'mail-remove', text: 'delete from kymo.mail where id = $1', values: [id] });
    },
    async again(id, waitMs) {
      await ask({
        name: 'mail-again',
        text: `update kymo.mail set next_attempt_at = now() + $2::float8 * interval '1 millisecond' where id = $1`,
        values: [id, waitMs],
      });
    },
    async tidy() {
      const [expired, waiting] = await auth.run([
        { name: 'mail-expire', text: 'delete from kymo.mail where expires_at <= now()' },
        waitingStatement,
      ]);
      return {
        expired: expired?.rowCount ?? 0,
        waiting: (waiting!.rows[0] as { waiting: number }).waiting,
      };
    },
  };
}

interface ClaimRow {
  readonly id: string;
  readonly org_id: string | null;
  readonly kind: MailKind;
  readonly recipient: string;
  readonly fields: WaitingMail['fields'];
  readonly expires_at: Date;
  readonly attempts: number;
}

const waitingStatement: Statement = {
  name: 'mail-waiting',
  text: `select count(*)::int as waiting from (select from kymo.mail limit ${outboxLimits.waiting}) bounded`,
};

function claimStatement(limit: number): Statement {
  return {
    name: 'mail-claim',
    text: `with due as (
        select id from kymo.mail where next_attempt_at <= now() and expires_at > now()
         order by next_attempt_at limit $1 for update skip locked)
      update kymo.mail m
         set attempts = attempts + 1, next_attempt_at = now() + ${outboxLimits.claimSeconds} * interval '1 second'
        from due where m.id = due.id
      returning m.id, m.org_id, m.kind, m.recipient, m.fields, m.expires_at, m.attempts`,
    values: [limit],
  };
}
