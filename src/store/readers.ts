/**
 * Owns the readers: login roles for plain SQL, each a member of kymo_reader and bound to one organisation by a row of
 * kymo.sql_reader (migrations/0005-readers.sql). Runs as the owner. Roles are the whole PostgreSQL server's, their
 * names visible to everyone who may log in there. A password is made here and told once; the server gets its verifier
 * only, so that it is in no log.
 */

import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

import type pg from 'pg';

import { AppError } from '#base/errors.ts';

/** What every role of a reader is called at first, so that `remove` can never drop another. */
const PREFIX = 'kymo_reader_';
const namePattern = /^[a-z][a-z0-9_]{0,39}$/;

const readerLimits = {
  /** A dashboard's pool; more would take the server's connections away. */
  connections: 5,
  /** A query that reads a day of single readings takes seconds. The reader may change it for its own session. */
  statementMs: 60_000,
} as const;

export interface Reader {
  readonly name: string;
  readonly role: string;
  readonly orgId: string;
  readonly organisation: string;
  readonly createdAt: Date;
  /** False when the role is gone, as after a restore: roles are not in a back-up. */
  readonly canLogIn: boolean;
}

export interface AddedReader {
  readonly role: string;
  readonly password: string;
  readonly orgId: string;
  readonly organisation: string;
}

/**
 * Makes a reader of an organisation; null: of the only one. Throws AppError `invalid-field` for a bad name, `not-found`
 * for an unknown organisation, `conflict` when there are several or the name is taken.
 */
export async function addReader(
  owner: pg.Pool,
  { name, orgId }: { name: string; orgId: string | null },
): Promise<AddedReader> {
  const role = roleOf(name);
  const organisation = await findOrganisation(owner, orgId);
  const password = randomBytes(24).toString('base64url');
  await inTransaction(owner, async (client) => {
    const taken = await client.query('select from pg_roles where rolname = $1', [role]);
    if (taken.rowCount !== 0)
      throw new AppError(
        'conflict',
        `there is a reader "${name}" already: remove it first (kymo reader remove ${name}), or take another name`,
      );
    await client.query(
      `create role ${role} login connection limit ${readerLimits.connections}
        password ${client.escapeLiteral(scramVerifier(password))}`,
    );
    await client.query(`grant kymo_reader to ${role}`);
    for (const [setting, value] of settingsOfReaders)
      await client.query(`alter role ${role} set ${setting} to ${value}`);
    await client.query('insert into kymo.sql_reader (role_name, org_id) values ($1, $2)', [
      role,
      organisation.id,
    ]);
    // PostgreSQL lets everyone make temporary tables, which fill the disk like any other. Nobody here needs them.
    const { rows } = await client.query<{ here: string }>('select current_database() as here');
    await client.query(`revoke temporary on database ${client.escapeIdentifier(rows[0]!.here)} from public`);
  });
  return { role, password, orgId: organisation.id, organisation: organisation.name };
}

export async function listReaders(owner: pg.Pool): Promise<Reader[]> {
  const { rows } = await owner.query<{
    role: string;
    org_id: string;
    organisation: string;
    created_at: Date;
    can_log_in: boolean;
  }>(
    `select r.role_name::text as role, r.org_id, o.name as organisation, r.created_at,
            exists (select from pg_roles p where p.rolname = r.role_name and p.rolcanlogin) as can_log_in
       from kymo.sql_reader r join kymo.organisation o on o.id = r.org_id order by r.role_name`,
  );
  return rows.map((row) => ({
    name: row.role.slice(PREFIX.length),
    role: row.role,
    orgId: row.org_id,
    organisation: row.organisation,
    createdAt: row.created_at,
    canLogIn: row.can_log_in,
  }));
}

/** Ends the reader's connections and drops its role. Throws AppError `not-found` when there is no such reader. */
export async function removeReader(owner: pg.Pool, name: string): Promise<void> {
  const role = roleOf(name);
  const found = await inTransaction(owner, async (client) => {
    const bound = await client.query('delete from kymo.sql_reader where role_name = $1', [role]);
    const login = await client.query('select from pg_roles where rolname = $1', [role]);
    if (login.rowCount === 0) return bound.rowCount !== 0;
    await client.query(`alter role ${role} nologin`);
    // Ending its connections and what it owns needs its privileges.
    await client.query(`grant ${role} to current_user`);
    return true;
  });
  if (!found) throw new AppError('not-found', `there is no reader "${name}": kymo reader list shows them`);
  const login = await owner.query('select from pg_roles where rolname = $1', [role]);
  if (login.rowCount === 0) return;
  await owner.query('select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = $1', [
    role,
  ]);
  await inTransaction(owner, async (client) => {
    await client.query(`drop owned by ${role}`);
    await client.query(`drop role ${role}`);
  });
}

/** Values of `alter role ... set`. They guard against mistakes; what a reader may see is guarded by grants and policies. */
const settingsOfReaders: readonly (readonly [string, string])[] = [
  ['default_transaction_read_only', 'on'],
  ['statement_timeout', String(readerLimits.statementMs)],
  ['idle_in_transaction_session_timeout', String(readerLimits.statementMs)],
  ['lock_timeout', '5000'],
  ['search_path', 'kymo, pg_catalog'],
];

/** Safe to stand in a statement as it is. */
function roleOf(name: string): string {
  if (!namePattern.test(name))
    throw new AppError(
      'invalid-field',
      `"${name}" is no name of a reader: it takes small letters, digits and _, begins with a letter, and has at most 40`,
    );
  return `${PREFIX}${name}`;
}

async function findOrganisation(owner: pg.Pool, orgId: string | null): Promise<{ id: string; name: string }> {
  const { rows } = await owner.query<{ id: string; name: string }>(
    'select id, name from kymo.organisation where $1::text is null or id::text = $1 order by created_at limit 20',
    [orgId],
  );
  const [first] = rows;
  if (first !== undefined && rows.length === 1) return first;
  if (first === undefined)
    throw new AppError(
      'not-found',
      orgId === null
        ? 'there is no organisation yet: start the server once (kymo start)'
        : `there is no organisation ${orgId}`,
    );
  throw new AppError(
    'conflict',
    `a reader belongs to one organisation: give --org with one of ${rows.map((row) => `${row.id} (${row.name})`).join(', ')}`,
  );
}

async function inTransaction<T>(owner: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await owner.connect();
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

/** What PostgreSQL keeps of a password (RFC 5802 section 3; the form is that of pg_authid.rolpassword). */
function scramVerifier(password: string): string {
  const iterations = 4096;
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest('base64');
  const serverKey = createHmac('sha256', salted).update('Server Key').digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}
