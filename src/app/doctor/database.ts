/**
 * Owns the check of the database: whether it can be reached, what it is, and whether its settings keep what an
 * acknowledgement promises (DESIGN section 3: committed means on disk).
 */

import type pg from 'pg';

import { ok, problem, warning, type Check, type Finding } from '#app/doctor/finding.ts';
import type { DatabaseState } from '#app/doctor/database-state.ts';

const NEEDED_VERSION = 150_000;
/**
 * Of one server: 6 application, 2 keys, 2 openings, 3 writer, 2 upkeep, 2 audit log and 5 for people and commands; of its thread
 * of jobs 6 queue, 6 application, 2 keys, 2 openings and 2 audit log.
 */
const NEEDED_CONNECTIONS = 40;
/** Less makes checkpoints, and the full pages after them, frequent at 100 k readings/s (4 MB/s of log). */
const WAL_MIB = 1024;

const names = [
  'server_version_num',
  'server_version',
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'synchronous_standby_names',
  'data_checksums',
  'max_connections',
  'superuser_reserved_connections',
  'max_wal_size',
] as const;

export type DatabaseSettings = Readonly<Record<(typeof names)[number], string>>;

export const checkDatabase: Check = async ({ database }) => {
  if (database.kind !== 'connected') return [judgeAbsence(database)];
  const { client, isEmbedded } = database;
  const settings = await readSettings(client);
  const findings = [
    judgeVersion(settings, isEmbedded),
    ...judgeDurability(settings, isEmbedded),
    ...judgeRoom(settings),
  ];
  if (!isEmbedded) findings.push(...(await checkRole(client)), ...(await checkWire(client)));
  return findings;
};

function judgeAbsence(database: Exclude<DatabaseState, { kind: 'connected' }>): Finding {
  if (database.kind === 'new') return ok('database', 'There is no database yet; the first start makes one.');
  if (database.kind !== 'unreachable')
    return ok('database', 'Not looked at: the embedded database does not run now, as no server does.');
  const { isEmbedded, reason, code } = database;
  const text = `The database cannot be used: ${reason.replace(/\.?$/, '')}.`;
  const known = code === null ? undefined : fixOfCode[code];
  const fallback = isEmbedded
    ? 'run this as the user that runs Kymo, on the data directory of that Kymo'
    : 'psql "$DATABASE_URL" -c "select 1"';
  return problem('database', text, known ?? fallback);
}

/** What to do about a connection that fails, by system error or SQLSTATE. */
const fixOfCode: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'start PostgreSQL, or correct host and port in DATABASE_URL',
  ENOTFOUND: 'correct the host in DATABASE_URL',
  ETIMEDOUT: 'open the way to the host in DATABASE_URL (firewall, security group)',
  '28P01': 'correct the password in DATABASE_URL',
  '28000': 'correct the user in DATABASE_URL, or allow it in pg_hba.conf',
  conflict: 'read "Upgrading" in docs/operations.md',
  '3D000': 'create the database that DATABASE_URL names: createdb kymo',
};

export function judgeVersion(settings: DatabaseSettings, isEmbedded: boolean): Finding {
  const kind = isEmbedded ? 'the embedded PostgreSQL' : 'PostgreSQL';
  return Number(settings.server_version_num) >= NEEDED_VERSION
    ? ok('database', `Reached ${kind} ${settings.server_version}.`)
    : problem(
        'database',
        `PostgreSQL ${settings.server_version} is too old; Kymo needs 15 or newer.`,
        'upgrade it with pg_upgrade',
      );
}

export function judgeDurability(settings: DatabaseSettings, isEmbedded: boolean): Finding[] {
  const findings: Finding[] = [];
  const set = (name: string, value: string): string =>
    `psql "$DATABASE_URL" -c "alter system set ${name} = ${value}" -c "select pg_reload_conf()"`;
  const check = 'durability';
  if (settings.fsync !== 'on')
    findings.push(
      problem(
        check,
        'fsync is off: a crash of the machine loses acknowledged readings or the whole database.',
        set('fsync', 'on'),
      ),
    );
  if (settings.full_page_writes !== 'on')
    findings.push(
      problem(
        check,
        'full_page_writes is off: a crash of the machine can tear pages beyond repair.',
        set('full_page_writes', 'on'),
      ),
    );
  if (settings.synchronous_commit === 'off')
    findings.push(
      warning(
        check,
        'synchronous_commit is off here; the writer turns it on for readings, but what people enter can be lost in a crash.',
        set('synchronous_commit', 'on'),
      ),
    );
  if (settings.data_checksums !== 'on')
    findings.push(
      warning(
        check,
        'Data checksums are off: a page that the disk has damaged is not noticed.',
        'pg_checksums --enable -D DATA, while PostgreSQL is stopped',
      ),
    );
  if (findings.length === 0)
    findings.push(
      ok(check, 'What is acknowledged is on disk before: fsync, full pages and checksums are on.'),
    );
  findings.push(judgeStandby(settings, isEmbedded));
  return findings;
}

function judgeStandby(settings: DatabaseSettings, isEmbedded: boolean): Finding {
  if (settings.synchronous_standby_names !== '') {
    return settings.synchronous_commit === 'local'
      ? warning(
          'standby',
          'A synchronous standby is named, but synchronous_commit is local and does not wait for it.',
          'psql "$DATABASE_URL" -c "alter system set synchronous_commit = on" -c "select pg_reload_conf()"',
        )
      : ok('standby', `Commits wait for a standby (${settings.synchronous_standby_names}).`);
  }
  if (isEmbedded)
    return ok(
      'standby',
      'One machine: an acknowledgement survives crashes, not the loss of this disk. Back up.',
    );
  return warning(
    'standby',
    'No synchronous standby is named: an acknowledgement does not survive the loss of the database machine.',
    "add a standby and name it: alter system set synchronous_standby_names = 'ANY 1 (NAME)'",
  );
}

export function judgeRoom(settings: DatabaseSettings): Finding[] {
  const findings: Finding[] = [];
  const connections = Number(settings.max_connections) - Number(settings.superuser_reserved_connections);
  const wal = Number(settings.max_wal_size);
  findings.push(
    connections >= NEEDED_CONNECTIONS
      ? ok('connections', `${connections} connections are allowed; a server needs ${NEEDED_CONNECTIONS}.`)
      : problem(
          'connections',
          `Only ${connections} connections are allowed; a server needs ${NEEDED_CONNECTIONS}.`,
          'psql "$DATABASE_URL" -c "alter system set max_connections = 60", then restart PostgreSQL',
        ),
  );
  if (wal < WAL_MIB)
    findings.push(
      warning(
        'wal',
        `max_wal_size is ${wal} MB: at full load checkpoints come every few minutes.`,
        'psql "$DATABASE_URL" -c "alter system set max_wal_size = \'2GB\'" -c "select pg_reload_conf()"',
      ),
    );
  return findings;
}

async function readSettings(client: pg.Client): Promise<DatabaseSettings> {
  const { rows } = await client.query<{ name: string; setting: string }>(
    'select name, setting from pg_settings where name = any($1)',
    [names],
  );
  return Object.fromEntries(rows.map(({ name, setting }) => [name, setting])) as DatabaseSettings;
}

/** The role of DATABASE_URL makes the working roles at the first start. */
async function checkRole(client: pg.Client): Promise<Finding[]> {
  const { rows } = await client.query<{ name: string; may: boolean }>(
    'select rolname as name, rolcreaterole or rolsuper as may from pg_roles where rolname = current_user',
  );
  const role = rows[0];
  if (role === undefined || role.may) return [];
  return [
    problem(
      'database',
      `The role ${role.name} may not create roles, which the start needs.`,
      `psql -U postgres -c "alter role ${role.name} createrole"`,
    ),
  ];
}

/** Whether health data crosses a network in clear on its way to the database. */
async function checkWire(client: pg.Client): Promise<Finding[]> {
  const { rows } = await client.query<{ encrypted: boolean; remote: boolean }>(
    `select coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as encrypted,
            inet_server_addr() is not null and inet_server_addr() is distinct from inet_client_addr() as remote`,
  );
  if (rows[0]?.remote !== true || rows[0].encrypted) return [];
  return [
    warning(
      'database',
      'The connection to the database crosses a network in clear text.',
      'add ?sslmode=verify-full&sslrootcert=FILE to DATABASE_URL',
    ),
  ];
}
