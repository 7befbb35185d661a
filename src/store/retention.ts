/**
 * Owns the dropping of what is kept no longer: whole day partitions, detached without holding up anybody and then
 * dropped; days of the past that sealing or unsealing left empty; roll-ups past their own time. The guard's ranges stay,
 * so that a replay of dropped readings is acknowledged and not stored. Readings under a legal hold stay: a day that has
 * some is emptied of all others instead. Every state that a crash can leave is found again and finished. One server at a
 * time works; a step does one thing.
 */

import type pg from 'pg';

import type { Log } from '#base/log.ts';
import { underAdvisoryLock } from '#store/advisory-lock.ts';
import { endDerivedStatement } from '#store/derived-retention.ts';
import {
  attachStatement,
  classTable,
  parsePartitionName,
  partitionName,
  type DayPartition,
  type DayShift,
} from '#store/partitions.ts';
import { readRetentionRules } from '#store/retention-classes.ts';
import { isExpired, isPast, lastDroppedDay, type RetentionRule } from '#store/retention-rules.ts';
import type { UpkeepTask } from '#store/upkeep.ts';

/** Days end once a day; holds end, and readers get out of the way, at any time. */
const EVERY_MS = 10 * 60_000;
/** Of the advisory locks; the number is arbitrary. */
const RETENTION_LOCK = 5_962_121;
/** Detaching waits for readers that are older; one that stays longer is waited for again later. */
const DETACH_MS = 5_000;
const LOCK_MS = 2_000;
/** Rows of one deletion: chunks are about 20 MB then. */
const BATCH_ROWS = 1_000;
/** On tables that are being dropped, so that nobody else's detached partition is taken for one. */
const MARK = 'kymo: retention drops this';

/** Streams of sessions under a legal hold. */
const HELD = `(select s.id from kymo.legal_hold h join kymo.stream s on s.session_id = h.session_id)`;

export interface RetentionTaskOptions {
  readonly log: Log;
  readonly dayShift?: DayShift;
}

interface RetentionCounters {
  /** Dropped because their days were over; a day of a class has a hot and a sealed one. */
  droppedPartitions: number;
  /** Dropped because nothing was left in them. */
  emptyPartitions: number;
  /** Put back: a hold or a longer rule came while they were being dropped. */
  restoredPartitions: number;
  /** Rows deleted one by one from days that hold readings under a legal hold. */
  deletedRows: number;
  deletedRollupRows: number;
  deletedDerivedRows: number;
  /** Times that a reader was in the way of a detachment. */
  waits: number;
  [name: string]: number;
}

interface Partition extends DayPartition {
  readonly name: string;
  readonly state: 'attached' | 'detaching' | 'detached';
  readonly isMarked: boolean;
}

/** What one step works on. */
interface Round {
  readonly client: pg.PoolClient;
  readonly today: string;
  readonly rules: readonly RetentionRule[];
  readonly partitions: readonly Partition[];
  readonly counters: RetentionCounters;
  readonly log: Log;
}

export function createRetentionTask({ log, dayShift = () => 0 }: RetentionTaskOptions): UpkeepTask {
  const counters: RetentionCounters = {
    droppedPartitions: 0,
    emptyPartitions: 0,
    restoredPartitions: 0,
    deletedRows: 0,
    deletedRollupRows: 0,
    deletedDerivedRows: 0,
    waits: 0,
  };
  /** Classes whose roll-ups were looked through, with the rule that held: finding none again waits for the next day. */
  const rolledUp = new Map<number, string>();
  const derived = new Map<number, string>();
  return {
    name: 'retention',
    everyMs: EVERY_MS,
    counters,
    step: (db, signal) =>
      underAdvisoryLock(db, RETENTION_LOCK, async (client) => {
        const today = await readToday(client, dayShift());
        const [rules, partitions] = [await readRetentionRules(client), await readPartitions(client)];
        const round: Round = { client, today, rules, partitions, counters, log };
        for (const work of [finishOne, dropOne, thinOne, dropEmpty]) {
          if (signal.aborted) return 'idle';
          const found = await work(round);
          if (found !== 'none') return found === 'waits' ? 'idle' : 'more';
        }
        const isMore = (await deleteRollups(round, rolledUp)) || (await endDerived(round, derived));
        return isMore ? 'more' : 'idle';
      }),
  };
}

/** `done`: something changed, look again. `waits`: somebody is in the way. `none`: nothing to do here. */
type Found = 'done' | 'waits' | 'none';

/** What an earlier step, or a server that died, left between attached and dropped. */
async function finishOne(round: Round): Promise<Found> {
  const left = round.partitions.find(({ state, isMarked }) => isMarked && state !== 'attached');
  if (left === undefined) return 'none';
  if (left.state === 'detaching') return detach(round, left, 'finalize');
  return waitingFor(round, () => finish(round, left));
}

async function dropOne(round: Round): Promise<Found> {
  const { client, today, rules } = round;
  for (const partition of attached(round))
    if (isExpired(partition, today, rules) && !(await hasHeld(client, partition)))
      return detach(round, partition, 'concurrently');
  return 'none';
}

/** Empties a day that is over of what is not held. */
async function thinOne(round: Round): Promise<Found> {
  const { client, today, rules, counters } = round;
  for (const partition of attached(round)) {
    if (!isExpired(partition, today, rules)) continue;
    const found = await waitingFor(round, () =>
      underHolds<Found>(client, async () => {
        const { rowCount } = await client.query(
          `delete from kymo.${partition.name} where ctid = any(array(
             select ctid from kymo.${partition.name} where stream_id not in ${HELD} limit ${BATCH_ROWS}))`,
        );
        counters.deletedRows += rowCount ?? 0;
        return rowCount === 0 ? 'none' : 'done';
      }),
    );
    if (found !== 'none') return found;
  }
  return 'none';
}

/** Days of the past in which nothing is left: hot ones once all is sealed, sealed ones once there is no hot one. */
async function dropEmpty(round: Round): Promise<Found> {
  for (const partition of attached(round))
    if (mayBeEmpty(round, partition) && (await isUnused(round, partition)))
      return detach(round, partition, 'concurrently');
  return 'none';
}

function attached({ partitions }: Round): readonly Partition[] {
  return partitions.filter(({ state }) => state === 'attached');
}

function mayBeEmpty({ partitions, today }: Round, partition: DayPartition): boolean {
  if (!isPast(partition, today)) return false;
  if (partition.table === 'chunk') return true;
  const hot = partitionName({ ...partition, table: 'chunk' });
  return !partitions.some(({ name }) => name === hot);
}

/**
 * Takes a partition out of its table without holding up readers or flushes (PostgreSQL documentation, ALTER TABLE, DETACH
 * PARTITION): in two transactions, between which readers that are older are waited for. When that takes too long, or the
 * server dies, the partition stays `detaching` until it is finalized.
 */
async function detach(round: Round, partition: Partition, how: 'concurrently' | 'finalize'): Promise<Found> {
  const { client } = round;
  const { table, retentionClass, name } = partition;
  if (!partition.isMarked) await client.query(`comment on table kymo.${name} is '${MARK}'`);
  await client.query(`set statement_timeout = ${DETACH_MS}`);
  try {
    return await waitingFor(round, async () => {
      await client.query(
        `alter table kymo.${classTable(table, retentionClass)} detach partition kymo.${name} ${how}`,
      );
      return 'done';
    });
  } finally {
    await client.query('reset statement_timeout').catch(() => undefined);
  }
}

/** Drops a detached partition, or puts it back when it must stay after all. */
async function finish(round: Round, partition: Partition): Promise<Found> {
  const { client, today, rules, counters, log } = round;
  return underHolds<Found>(client, async () => {
    const { name, day, retentionClass } = partition;
    const isOver = isExpired(partition, today, rules) && !(await hasHeld(client, partition));
    if (isOver || (mayBeEmpty(round, partition) && (await isUnused(round, partition)))) {
      await client.query(`drop table kymo.${name}`);
      counters[isOver ? 'droppedPartitions' : 'emptyPartitions']++;
      log.info('a day of readings was dropped', { day, retentionClass, reason: isOver ? 'over' : 'empty' });
    } else {
      // What was erased while nobody could see it: erased readings have no guard row.
      await client.query(
        `delete from kymo.${name} c where not exists (
           select from kymo.stream_epoch e where e.stream_id = c.stream_id and e.epoch = c.epoch)`,
      );
      await client.query(attachStatement(partition));
      await client.query(`comment on table kymo.${name} is null`);
      counters.restoredPartitions++;
      log.info('a day of readings was put back', { day, retentionClass });
    }
    return 'done';
  });
}

/**
 * Deletes a batch of roll-ups of epochs whose last commit is older than their class keeps them. What is rolled stays
 * noted, so that they are not made again. True when there may be more.
 */
async function deleteRollups(round: Round, rolledUp: Map<number, string>): Promise<boolean> {
  const { client, today, rules, counters } = round;
  for (const { retentionClass, rollupDays } of rules) {
    const last = lastDroppedDay(today, rollupDays);
    if (last === null || rolledUp.get(retentionClass) === last) continue;
    const deleted = await underHolds(client, async () => {
      const { rowCount } = await client.query(
        `with old as (
           select e.stream_id, e.epoch
             from kymo.stream_epoch e join kymo.stream t on t.id = e.stream_id
            where t.retention_class = $1 and e.last_commit_day <= $2::date and t.id not in ${HELD}
              and exists (select from kymo.rollup r where r.stream_id = e.stream_id and r.epoch = e.epoch)
            limit 1)
         delete from kymo.rollup where ctid = any(array(
           select r.ctid from kymo.rollup r join old using (stream_id, epoch) limit ${BATCH_ROWS}))`,
        [retentionClass, last],
      );
      return rowCount ?? 0;
    });
    counters.deletedRollupRows += deleted;
    if (deleted > 0) return true;
    rolledUp.set(retentionClass, last);
  }
  return false;
}

/** What was derived goes when roll-ups do. True when there may be more. */
async function endDerived(round: Round, ended: Map<number, string>): Promise<boolean> {
  const { client, today, rules, counters } = round;
  for (const { retentionClass, rollupDays } of rules) {
    const lastDay = lastDroppedDay(today, rollupDays);
    if (lastDay === null || ended.get(retentionClass) === lastDay) continue;
    const { text, values } = endDerivedStatement({ retentionClass, lastDay, rows: BATCH_ROWS }, HELD);
    const deleted = await underHolds(client, async () => {
      const { rows } = await client.query<{ rows: string }>(text, [...values!]);
      return Number(rows[0]!.rows);
    });
    counters.deletedDerivedRows += deleted;
    if (deleted > 0) return true;
    ended.set(retentionClass, lastDay);
  }
  return false;
}

/** In a transaction during which no hold begins: one that is being made is waited for, and is then seen. */
async function underHolds<T>(client: pg.PoolClient, work: () => Promise<T>): Promise<T> {
  await client.query(`begin; set local lock_timeout = ${LOCK_MS}; lock table kymo.legal_hold in share mode`);
  try {
    const result = await work();
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

/** A lock or a reader that does not go away in time is no failure: `waits`. */
async function waitingFor({ counters }: Round, work: () => Promise<Found>): Promise<Found> {
  try {
    return await work();
  } catch (error) {
    const code: unknown = (error as { code?: unknown } | null)?.code;
    // query_canceled by statement_timeout, lock_not_available, deadlock_detected.
    if (code !== '57014' && code !== '55P03' && code !== '40P01') throw error;
    counters.waits++;
    return 'waits';
  }
}

async function hasHeld(client: pg.PoolClient, { name }: Partition): Promise<boolean> {
  const { rows } = await client.query<{ held: boolean }>(
    `select exists (select from ${HELD} h where exists (
       select from kymo.${name} c where c.stream_id = h.id)) as held`,
  );
  return rows[0]!.held;
}

/** Nothing is in it, and nothing is about to come back: sealed readings of the day whose stream is held are unsealed. */
async function isUnused({ client, partitions }: Round, partition: Partition): Promise<boolean> {
  const sealed = partitionName({ ...partition, table: 'sealed_chunk' });
  const mayComeBack = partition.table === 'chunk' && partitions.some(({ name }) => name === sealed);
  const comesBack = mayComeBack
    ? `exists (select from kymo.seal_hold h where exists (
         select from kymo.${sealed} s where s.stream_id = h.stream_id))`
    : 'false';
  const { rows } = await client.query<{ used: boolean }>(
    `select exists (select from kymo.${partition.name}) or ${comesBack} as used`,
  );
  return !rows[0]!.used;
}

async function readToday(client: pg.PoolClient, shift: number): Promise<string> {
  const { rows } = await client.query<{ today: string }>(
    `select to_char((now() at time zone 'UTC')::date + $1::int, 'YYYY-MM-DD') as today`,
    [shift],
  );
  return rows[0]!.today;
}

/** Oldest first, hot before sealed. */
async function readPartitions(client: pg.PoolClient): Promise<Partition[]> {
  const { rows } = await client.query<Pick<Partition, 'name' | 'state' | 'isMarked'>>(
    `select c.relname as name,
            case when i.inhrelid is null then 'detached' when i.inhdetachpending then 'detaching'
                 else 'attached' end as state,
            coalesce(obj_description(c.oid, 'pg_class') = $1, false) as "isMarked"
       from pg_class c left join pg_inherits i on i.inhrelid = c.oid
      where c.relnamespace = 'kymo'::regnamespace and c.relkind = 'r' and c.relname ~ '_c[0-7]_[0-9]{8}$'`,
    [MARK],
  );
  return rows
    .flatMap((row) => {
      const partition = parsePartitionName(row.name);
      return partition === null ? [] : [{ ...partition, ...row }];
    })
    .toSorted((a, b) => (a.day === b.day ? (a.name < b.name ? -1 : 1) : a.day < b.day ? -1 : 1));
}
