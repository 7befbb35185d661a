/** Owns what identity asks about people: one statement each, as the role that may see all of them. */

import type { Account } from '#contract/account.ts';
import type { MemberRole } from '#contract/permissions.ts';
import { changePersonStatement } from '#identity/person-lock.ts';
import type { RolePool, Statement } from '#store/pools.ts';

export interface PersonForSignIn {
  readonly id: string;
  readonly email: string;
  readonly passwordHash: string | null;
  readonly hasTotp: boolean;
  /** The organisation that was joined first; null: none. */
  readonly home: { readonly orgId: string; readonly role: MemberRole } | null;
}

export interface PersonQueries {
  byEmail(email: string): Promise<PersonForSignIn | null>;
  byId(personId: string): Promise<PersonForSignIn | null>;
  /** What the account page shows of a person (null: a key) at work in the organisation, in one round trip. */
  view(
    personId: string | null,
    orgId: string,
  ): Promise<Pick<Account, 'person' | 'organisations' | 'organisation'>>;
  /** Whether some organisation has an owner who can sign in with a password. */
  hasOwner(): Promise<boolean>;
  setPassword(personId: string, hash: string): Promise<void>;
  rename(personId: string, name: string): Promise<void>;
}

const personText = (where: string): string => `select p.id, p.email, p.password_hash,
    exists (select from kymo.two_factor t where t.person_id = p.id and t.confirmed_at is not null) as has_totp,
    h.org_id, h.role
  from kymo.person p
  left join lateral (select m.org_id, m.role from kymo.member m where m.person_id = p.id
    order by m.created_at, m.org_id limit 1) h on true
  where ${where}`;

const viewText = `select p.id, p.email, p.name, p.password_hash is not null as has_password,
    t.confirmed_at is not null as has_totp,
    case when t.confirmed_at is null then 0 else cardinality(t.backup_hashes) end as codes_left,
    (select coalesce(json_agg(json_build_object('id', o.id, 'name', o.name, 'role', m.role) order by o.name, o.id), '[]')
       from kymo.member m join kymo.organisation o on o.id = m.org_id where m.person_id = p.id) as organisations
  from kymo.person p left join kymo.two_factor t on t.person_id = p.id where p.id = $1`;

interface PersonRow {
  readonly id: string;
  readonly email: string;
  readonly password_hash: string | null;
  readonly has_totp: boolean;
  readonly org_id: string | null;
  readonly role: MemberRole | null;
}

interface ViewRow {
  readonly id: string;
  readonly email: string;
  readonly name: string;
  readonly has_password: boolean;
  readonly has_totp: boolean;
  readonly codes_left: number;
  readonly organisations: { id: string; name: string; role: MemberRole }[];
}

export function createPersonQueries(authPool: RolePool): PersonQueries {
  async function one<T>(statement: Statement): Promise<T | undefined> {
    const [result] = await authPool.run([statement]);
    return result?.rows[0] as T | undefined;
  }
  async function find(where: string, value: string): Promise<PersonForSignIn | null> {
    const row = await one<PersonRow>({ text: personText(where), values: [value] });
    if (row === undefined) return null;
    const { org_id: orgId, role } = row;
    return {
      id: row.id,
      email: row.email,
      passwordHash: row.password_hash,
      hasTotp: row.has_totp,
      home: orgId === null || role === null ? null : { orgId, role },
    };
  }
  return {
    // PostgreSQL's text has no U+0000: nobody's address has either.
    byEmail: (email) => (email.includes('\u0000') ? Promise.resolve(null) : find('p.email = $1', email)),
    byId: (personId) => find('p.id = $1', personId),
    async view(personId, orgId) {
      const [persons, named] = await authPool.run([
        { name: 'person-view', text: viewText, values: [personId] },
        {
          name: 'organisation-name',
          text: 'select name from kymo.organisation where id = $1',
          values: [orgId],
        },
      ]);
      const row = persons?.rows[0] as ViewRow | undefined;
      const { name = '' } = (named?.rows[0] ?? {}) as { readonly name?: string };
      const organisation = { id: orgId, name };
      if (row === undefined) return { person: null, organisations: [], organisation };
      return {
        person: {
          id: row.id,
          email: row.email,
          name: row.name,
          hasPassword: row.has_password,
          hasTotp: row.has_totp,
          backupCodesLeft: row.codes_left,
        },
        organisations: row.organisations,
        organisation,
      };
    },
    async hasOwner() {
      const row = await one<{ has: boolean }>({
        text: `select exists (select from kymo.member m join kymo.person p on p.id = m.person_id
          where m.role = 'owner' and p.password_hash is not null) as has`,
      });
      return row?.has === true;
    },
    async setPassword(personId, hash) {
      await authPool.run([
        changePersonStatement(personId),
        {
          // Links that were asked for before, and second steps of the password before, are worth nothing any more.
          text: `with ended as (
              delete from kymo.verification where person_id = $1 and kind in ('reset', 'second-factor'))
            update kymo.person set password_hash = $2, password_set_at = now() where id = $1`,
          values: [personId, hash],
        },
      ]);
    },
    async rename(personId, name) {
      await one({ text: 'update kymo.person set name = $2 where id = $1', values: [personId, name] });
    },
  };
}
