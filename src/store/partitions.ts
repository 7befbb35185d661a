/**
 * Owns the partitions of the readings, hot and sealed: a list by retention class, each a range by commit day. Days exist
 * ahead of time and are never made inside a flush. A partition is made apart and then attached: CREATE ... PARTITION OF
 * would lock out all reading and writing of chunks while it waits for one long reader. Runs as kymo_writer, which owns
 * them. Bound: 8 classes, each with DAYS_AHEAD days of the future and what retention leaves of the past.
 */

import type pg from 'pg';

import { assert } from '#base/assert.ts';
import type { UpkeepTask } from '#store/upkeep.ts';

/** Days made ahead: today, tomorrow and one more, so that a job that misses a day is no outage. */
const DAYS_AHEAD = 2;
/** Serialises makers in different processes; the number is arbitrary. */
const PARTITION_LOCK = 5_962_118;

/** Partitions exist two days ahead, so an hour's delay does no harm. */
const CHECK_MS = 60 * 60_000;

/** Tables of readings, and what their day partitions are made with. */
const dayOptions = {
  // A row stays in one piece on its page up to 8 kB: side tables cost two more index entries a chunk.
  chunk: 'toast_tuple_target = 8160, autovacuum_vacuum_insert_scale_factor = 0.5',
  sealed_chunk: 'autovacuum_vacuum_insert_scale_factor = 0.5',
} as const;

export type ReadingTable = keyof typeof dayOptions;

/** The table of one class and commit day. */
export interface DayPartition {
  readonly table: ReadingTable;
  readonly retentionClass: number;
  /** `2026-01-31`, UTC. */
  readonly day: string;
}

/**
 * By how many days "today" is later than by the database's clock. For benches and tests, which make a week pass in a
 * minute; the same function must be given to everything that asks for the day.
 */
export type DayShift = () => number;

const noShift: DayShift = () => 0;

/** Keeps partitions ahead of time. The first ones are made before the first flush (store/writer.ts). */
export function createPartitionTask(dayShift: DayShift = noShift): UpkeepTask {
  return {
    name: 'partitions',
    everyMs: CHECK_MS,
    counters: {},
    async step(db) {
      await ensurePartitions(db, dayShift);
      return 'idle';
    },
  };
}

/**
 * Makes the partitions of every retention class from today (by the database's clock, UTC) to DAYS_AHEAD. Idempotent,
 * safe to run at once.
 */
export async function ensurePartitions(writer: pg.Pool, dayShift: DayShift = noShift): Promise<void> {
  const client = await writer.connect();
  try {
    await client.query('begin');
    await client.query("set local lock_timeout = '5s'");
    const { rows: days } = await client.query<{ day: string }>(
      `select to_char((now() at time zone 'UTC')::date + $2::int + i, 'YYYY-MM-DD') as day
         from generate_series(0, $1::int) i`,
      [DAYS_AHEAD, dayShift()],
    );
    const { rows: classes } = await client.query<{ class: number }>(
      'select class from kymo.retention_class order by class',
    );
    await makePartitions(
      client,
      classes.flatMap((row) => days.map(({ day }) => ({ retentionClass: row.class, day }))),
    );
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

/**
 * Makes the partitions of these classes and days, hot and sealed, where they are absent: inside the caller's
 * transaction, as kymo_writer. For what brings readings of the past back (restoring, unsealing).
 */
export async function makePartitions(
  client: pg.ClientBase,
  days: readonly Omit<DayPartition, 'table'>[],
): Promise<void> {
  await client.query('select pg_advisory_xact_lock($1)', [PARTITION_LOCK]);
  const { rows } = await client.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'kymo'::regnamespace and relkind in ('r', 'p')`,
  );
  const names = new Set(rows.map((row) => row.name));
  for (const table of Object.keys(dayOptions) as ReadingTable[]) {
    if (!names.has(table)) continue;
    for (const { retentionClass, day } of days) {
      const parent = classTable(table, retentionClass);
      if (!names.has(parent)) {
        await client.query(
          `create table kymo.${parent} (like kymo.${table} including all) partition by range (commit_day)`,
        );
        await client.query(
          `alter table kymo.${table} attach partition kymo.${parent} for values in (${retentionClass})`,
        );
        names.add(parent);
      }
      const name = partitionName({ table, retentionClass, day });
      if (names.has(name)) continue;
      await client.query(
        `create table kymo.${name} (like kymo.${parent} including all) with (${dayOptions[table]})`,
      );
      await client.query(attachStatement({ table, retentionClass, day }));
      names.add(name);
    }
  }
}

/** The table that holds all days of one class. */
export function classTable(table: ReadingTable, retentionClass: number): string {
  assert(Number.isInteger(retentionClass) && retentionClass >= 0 && retentionClass <= 7, 'a class is 0 to 7');
  return `${table}_c${retentionClass}`;
}

export function partitionName({ table, retentionClass, day }: DayPartition): string {
  assert(/^\d{4}-\d\d-\d\d$/.test(day), 'a day is written 2026-01-31');
  return `${classTable(table, retentionClass)}_${day.replaceAll('-', '')}`;
}

/** The partition of this name, or null when the name is not one of ours. */
export function parsePartitionName(name: string): DayPartition | null {
  const match = /^(chunk|sealed_chunk)_c([0-7])_(\d{4})(\d\d)(\d\d)$/.exec(name);
  if (match === null) return null;
  const [, table, retentionClass, year, month, day] = match;
  return {
    table: table as ReadingTable,
    retentionClass: Number(retentionClass),
    day: `${year}-${month}-${day}`,
  };
}

export function attachStatement(partition: DayPartition): string {
  const { table, retentionClass, day } = partition;
  return `alter table kymo.${classTable(table, retentionClass)} attach partition kymo.${partitionName(partition)}
    for values from ('${day}') to ('${day}'::date + 1)`;
}
