/**
 * Owns the partitions of kymo.chunk: a list by retention class, each a range by commit day. Days exist ahead of time and
 * are never made inside a flush. A partition is made apart and then attached: CREATE ... PARTITION OF would lock out all
 * reading and writing of chunks while it waits for one long reader. Runs as kymo_writer, which owns them.
 */

import type pg from 'pg';

import type { UpkeepTask } from '#store/upkeep.ts';

/** Retention classes that exist; class 0 is the default. More come with retention rules, at most 8 (DESIGN section 7). */
const CLASSES = [0] as const;
/** Days made ahead: today, tomorrow and one more, so that a job that misses a day is no outage. */
const DAYS_AHEAD = 2;
/** Serialises makers in different processes; the number is arbitrary. */
const PARTITION_LOCK = 5_962_118;

/** Partitions exist two days ahead, so an hour's delay does no harm. */
const CHECK_MS = 60 * 60_000;

/** Keeps partitions ahead of time. The first ones are made before the first flush (store/writer.ts). */
export function createPartitionTask(): UpkeepTask {
  return {
    name: 'partitions',
    everyMs: CHECK_MS,
    counters: {},
    async step(db) {
      await ensurePartitions(db);
      return 'idle';
    },
  };
}

/** Makes the partitions from today (by the database's clock, UTC) to DAYS_AHEAD. Idempotent, safe to run at once. */
export async function ensurePartitions(writer: pg.Pool): Promise<void> {
  const client = await writer.connect();
  try {
    await client.query('begin');
    await client.query("set local lock_timeout = '5s'");
    await client.query('select pg_advisory_xact_lock($1)', [PARTITION_LOCK]);
    const { rows } = await client.query<{ day: string }>(
      "select to_char((now() at time zone 'UTC')::date + i, 'YYYY-MM-DD') as day from generate_series(0, $1::int) i",
      [DAYS_AHEAD],
    );
    const { rows: existing } = await client.query<{ name: string }>(
      "select relname as name from pg_class where relnamespace = 'kymo'::regnamespace and relname like 'chunk\\_%'",
    );
    const names = new Set(existing.map((row) => row.name));
    for (const retentionClass of CLASSES) {
      const parent = `chunk_c${retentionClass}`;
      if (!names.has(parent)) {
        await client.query(
          `create table kymo.${parent} (like kymo.chunk including all) partition by range (commit_day)`,
        );
        await client.query(
          `alter table kymo.chunk attach partition kymo.${parent} for values in (${retentionClass})`,
        );
      }
      for (const { day } of rows) {
        const name = `${parent}_${day.replaceAll('-', '')}`;
        if (names.has(name)) continue;
        // A row stays in one piece on its page up to 8 kB: side tables cost two more index entries a chunk.
        await client.query(
          `create table kymo.${name} (like kymo.${parent} including all)
             with (toast_tuple_target = 8160, autovacuum_vacuum_insert_scale_factor = 0.5)`,
        );
        await client.query(
          `alter table kymo.${parent} attach partition kymo.${name}
             for values from ('${day}') to ('${day}'::date + 1)`,
        );
      }
    }
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}
