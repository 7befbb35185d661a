/** Owns the check of the working roles: all are there, and row-level security holds for each of them. */

import type pg from 'pg';

import { ok, problem, warning, type Check, type Finding } from '#app/doctor/finding.ts';
import { findUnsafeRoles, roleNames, type UnsafeRole } from '#store/roles.ts';

export const checkRoles: Check = async ({ database }) => {
  if (database.kind !== 'connected') return [];
  const { client } = database;
  const { rows } = await client.query<{ there: boolean }>(
    "select to_regnamespace('kymo') is not null as there",
  );
  // The first start makes them with the schema.
  if (rows[0]?.there !== true) return [];
  return judgeRoles(await missingRoles(client), await findUnsafeRoles(client));
};

export function judgeRoles(missing: readonly string[], unsafe: readonly UnsafeRole[]): Finding[] {
  const findings = unsafe.map(({ role, as }) =>
    problem(
      'roles',
      `The role ${role} may bypass row-level security as ${as}; no server starts like this.`,
      role === as
        ? `psql -U postgres -c "alter role ${role} nosuperuser nobypassrls nocreaterole" -c "reassign owned by ${role} to OWNER"`
        : `psql -U postgres -c "revoke ${as} from ${role}"`,
    ),
  );
  if (missing.length > 0)
    findings.push(
      warning(
        'roles',
        `The roles ${missing.join(', ')} are not there yet; the next start makes them.`,
        'npm run kymo -- migrate',
      ),
    );
  return findings.length > 0
    ? findings
    : [ok('roles', `Row-level security holds for the roles that Kymo works with (${roleNames.join(', ')}).`)];
}

async function missingRoles(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    'select name from unnest($1::text[]) as name where not exists (select from pg_roles where rolname = name)',
    [roleNames],
  );
  return rows.map(({ name }) => name);
}
