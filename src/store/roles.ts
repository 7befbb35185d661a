/**
 * Owns the database roles: kymo_owner (whoever connects with DATABASE_URL; migrations only), kymo_writer, kymo_auth,
 * kymo_app, kymo_audit (adds to the audit log and nothing else) and kymo_jobs (the queue of jobs and nothing else: what a
 * job does is done as the others). Their passwords derive from a secret that only the owner can read, so that no second secret has to be
 * kept. Roles are the whole PostgreSQL server's, so one server has one Kymo database. Start-up refuses working roles that
 * could bypass row-level security, and so it does for readers (store/readers.ts), whose group it makes.
 */

import { createHash, createHmac, randomBytes } from 'node:crypto';

import type pg from 'pg';

import { AppError } from '#base/errors.ts';

export const roleNames = ['kymo_writer', 'kymo_auth', 'kymo_app', 'kymo_audit', 'kymo_jobs'] as const;
export type RoleName = (typeof roleNames)[number];

/** Serialises role changes between processes; the number is arbitrary. */
const ROLE_LOCK = 5_962_117;

/**
 * Creates missing roles and gives them their derived passwords. Needs a role that may create roles. Throws AppError
 * `conflict` when they serve another database: new passwords would lock its server out.
 */
export async function ensureRoles(owner: pg.Pool): Promise<void> {
  const client = await owner.connect();
  try {
    await client.query('begin');
    await client.query('select pg_advisory_xact_lock($1)', [ROLE_LOCK]);
    await client.query('create table if not exists public.kymo_secret (secret bytea not null)');
    await client.query('revoke all on public.kymo_secret from public');
    const secret = await readSecret(client, true);
    await refuseOthersRoles(client, secret);
    for (const role of roleNames) {
      const exists = await client.query('select 1 from pg_roles where rolname = $1', [role]);
      if (exists.rowCount === 0) await client.query(`create role ${role} login noinherit`);
      const password = client.escapeLiteral(derivePassword(secret, role));
      await client.query(`alter role ${role} login password ${password}`);
      await client.query(`alter role ${role} set search_path to kymo, pg_catalog`);
      // Handing tables to the writer needs membership, which PostgreSQL 16 no longer gives a role's creator.
      await client.query(`grant ${role} to current_user`);
    }
    const readers = await client.query("select from pg_roles where rolname = 'kymo_reader'");
    if (readers.rowCount === 0) await client.query('create role kymo_reader nologin');
    await noteDatabase(client, secret);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

/** Connection strings of the working roles, for the database that `ownerUrl` names. */
export async function roleUrls(owner: pg.Pool, ownerUrl: string): Promise<Record<RoleName, string>> {
  const client = await owner.connect();
  try {
    const secret = await readSecret(client, false);
    const urlOf = (role: RoleName): string => {
      const url = new URL(ownerUrl);
      url.username = role;
      url.password = derivePassword(secret, role);
      return url.href;
    };
    return {
      kymo_writer: urlOf('kymo_writer'),
      kymo_auth: urlOf('kymo_auth'),
      kymo_app: urlOf('kymo_app'),
      kymo_audit: urlOf('kymo_audit'),
      kymo_jobs: urlOf('kymo_jobs'),
    };
  } finally {
    client.release();
  }
}

export interface UnsafeRole {
  readonly role: string;
  /** What it is, directly or by membership, that it may not be. */
  readonly as: string;
}

/** All but the writer, which owns the tables that it writes and is reached by no request. */
const boundRoles = roleNames.filter((role) => role !== 'kymo_writer');

/** Working roles for which row-level security would not hold, or that could become another one. Needs the schema kymo. */
export async function findUnsafeRoles(client: Pick<pg.Pool | pg.Client, 'query'>): Promise<UnsafeRole[]> {
  // What a role is, every role that it is a member of, directly or not, can be as well by SET ROLE.
  const { rows } = await client.query<UnsafeRole>(
    `select m.rolname as role, r.rolname as as from pg_roles m
       join pg_roles r on pg_has_role(m.oid, r.oid, 'member')
      where m.rolname = any($1)
        and (r.rolsuper or r.rolbypassrls or r.rolcreaterole or (r.oid <> m.oid and r.rolname = any($2))
             or exists (select from pg_namespace n where n.nspname = 'kymo' and n.nspowner = r.oid)
             or exists (select from pg_class c where c.relnamespace = 'kymo'::regnamespace and c.relowner = r.oid)
             or exists (select from pg_proc p where p.pronamespace = 'kymo'::regnamespace and p.proowner = r.oid))
      order by 1, 2`,
    [boundRoles, roleNames],
  );
  return rows;
}

/** Throws when row-level security would not hold for a working role or a reader. */
export async function refuseUnsafeDatabase(app: pg.Pool): Promise<void> {
  const unsafe = await findUnsafeRoles(app);
  if (unsafe.length > 0)
    throw new AppError(
      'forbidden',
      `${unsafe.map(({ role, as }) => `the role ${role} may bypass row-level security as ${as}`).join(', ')}: ` +
        'it may be no superuser, have no BYPASSRLS and no CREATEROLE, own nothing in the schema kymo, and be no member ' +
        'of such a role or of another one that Kymo works with',
    );
  await refuseUnsafeReaders(app);
}

/** A reader is bound to its organisation by its login alone, so it must not be able to become anyone else. */
async function refuseUnsafeReaders(app: pg.Pool): Promise<void> {
  const { rows } = await app.query<{ reader: string; name: string }>(`
    select m.rolname as reader, r.rolname as name from pg_roles m
      join pg_roles r on pg_has_role(m.oid, r.oid, 'member')
     where (m.rolname = 'kymo_reader' or m.rolname like 'kymo\\_reader\\_%')
       and (r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolname in ('kymo_app', 'kymo_auth', 'kymo_writer', 'kymo_audit', 'kymo_jobs')
            or exists (select from pg_namespace n where n.nspname = 'kymo' and n.nspowner = r.oid)
            or exists (select from pg_class c where c.relnamespace = 'kymo'::regnamespace and c.relowner = r.oid)
            or exists (select from pg_proc p where p.pronamespace = 'kymo'::regnamespace and p.proowner = r.oid))`);
  if (rows.length > 0)
    throw new AppError(
      'forbidden',
      `${rows.map((row) => `${row.reader} may act as ${row.name}`).join(', ')}, and so read more than its ` +
        'organisation: revoke that membership or attribute, or remove the reader (kymo reader remove)',
    );
}

/** Whose passwords the roles have, told by a comment on one of them: `kymo FINGERPRINT DATABASE`. */
async function refuseOthersRoles(client: pg.PoolClient, secret: Buffer): Promise<void> {
  const { rows } = await client.query<{ note: string | null; here: string }>(
    `select shobj_description(oid, 'pg_authid') as note, current_database() as here
       from pg_roles where rolname = 'kymo_app'`,
  );
  const [, fingerprint, database] = /^kymo ([0-9a-f]{16}) (.+)$/s.exec(rows[0]?.note ?? '') ?? [];
  if (fingerprint === undefined || fingerprint === fingerprintOf(secret) || database === rows[0]?.here)
    return;
  // A database that is gone has left its roles behind.
  const { rowCount } = await client.query('select from pg_database where datname = $1', [database]);
  if (rowCount !== 0)
    throw new AppError(
      'conflict',
      `the roles ${roleNames.join(', ')} of this PostgreSQL server belong to the database "${database}": ` +
        'give each Kymo a server of its own',
    );
}

async function noteDatabase(client: pg.PoolClient, secret: Buffer): Promise<void> {
  const { rows } = await client.query<{ here: string }>('select current_database() as here');
  const note = client.escapeLiteral(`kymo ${fingerprintOf(secret)} ${rows[0]!.here}`);
  await client.query(`comment on role kymo_app is ${note}`);
}

/** Tells secrets apart and nothing else: anyone may read comments, and the secret has 256 random bits. */
function fingerprintOf(secret: Buffer): string {
  return createHash('sha256').update('kymo roles').update(secret).digest('hex').slice(0, 16);
}

async function readSecret(client: pg.PoolClient, create: boolean): Promise<Buffer> {
  const { rows } = await client.query<{ secret: Buffer }>('select secret from public.kymo_secret');
  const found = rows[0];
  if (found !== undefined) return found.secret;
  if (!create) throw new AppError('conflict', 'the database has no Kymo schema yet: run `kymo migrate`');
  const secret = randomBytes(32);
  await client.query('insert into public.kymo_secret values ($1)', [secret]);
  return secret;
}

function derivePassword(secret: Buffer, role: RoleName): string {
  return createHmac('sha256', secret).update(role).digest('base64url');
}
