/**
 * Owns graphile-worker's own schema in our database: that the owner makes it (a runner never could), and that the role
 * kymo_jobs may work on the queue. Its tables have row-level security and no policy, so that nobody else reads a ticket,
 * the application least of all: that asks kymo.enqueue() (migration 0018), which fixes the organisation. Not part of a
 * back-up: kymo.mend_jobs() makes tickets for all jobs that wait.
 */

import type pg from 'pg';

/** The newest migration of the graphile-worker in package.json; a test compares them. */
export const QUEUE_SCHEMA_VERSION = 20;

/** Of several processes that migrate at once, one does this; the number is arbitrary. */
const QUEUE_LOCK = 5_962_132;

/** What runners touch; all other access to the queue goes by functions of the schema kymo. */
const queueTables = [
  '_private_jobs',
  '_private_job_queues',
  '_private_tasks',
  '_private_known_crontabs',
] as const;

/** Makes or renews the schema; `owner` must have two connections, and roles must be there. Cheap when nothing is to do. */
export async function installQueue(owner: pg.Pool): Promise<void> {
  if (await isInstalled(owner)) return;
  const client = await owner.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [QUEUE_LOCK]);
    if (await isInstalled(owner)) return;
    // Only here: it takes a fifth of a second to load.
    const { runMigrations, Logger } = await import('graphile-worker');
    await runMigrations({ pgPool: owner, logger: new Logger(() => () => undefined) });
    await client.query(grantsText());
  } finally {
    await client.query('select pg_advisory_unlock($1)', [QUEUE_LOCK]).catch(() => undefined);
    client.release();
  }
}

async function isInstalled(owner: pg.Pool): Promise<boolean> {
  const { rows } = await owner.query<{ exists: boolean; policies: number }>(
    `select to_regclass('graphile_worker.migrations') is not null as exists,
            (select count(*)::integer from pg_policies
              where schemaname = 'graphile_worker' and policyname = 'runners') as policies`,
  );
  if (!rows[0]!.exists || rows[0]!.policies !== queueTables.length) return false;
  const { rows: versions } = await owner.query<{ id: number | null }>(
    'select max(id)::integer as id from graphile_worker.migrations',
  );
  return (versions[0]!.id ?? 0) >= QUEUE_SCHEMA_VERSION;
}

function grantsText(): string {
  return [
    'begin',
    'grant usage on schema graphile_worker to kymo_jobs',
    'grant select on graphile_worker.migrations to kymo_jobs',
    ...queueTables.flatMap((table) => [
      `drop policy if exists runners on graphile_worker.${table}`,
      `create policy runners on graphile_worker.${table} to kymo_jobs using (true)`,
      `grant select, insert, update, delete on graphile_worker.${table} to kymo_jobs`,
    ]),
    'commit',
  ].join(';\n');
}
