/**
 * Owns the real one of the two places (twin-place.ts): PostgreSQL, reached through the product's own code. Every actor has
 * connections of its own name, so that pg_blocking_pids tells who waits for whom.
 */

import pg from 'pg';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { createIdentity } from '#identity/identity.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { decodeTimes } from '#store/chunk-codec.ts';
import { int8ToEpoch } from '#store/epoch.ts';
import { erase } from '#store/erasure.ts';
import { parseMultirange } from '#store/multirange.ts';
import { openPools } from '#store/pools.ts';
import { connectWriterDatabase } from '#store/postgres-writer.ts';
import type { RollBounds } from '#store/rollup-plan.ts';
import { denseRow } from '#store/rollup-statements.ts';
import { rollUp } from '#store/rollup-step.ts';
import { createRollupTables, findCandidates } from '#store/rollup-tables.ts';
import {
  actors,
  chunkText,
  rollupText,
  type Actor,
  type Place,
  type Standing,
  type Stored,
  type StoredEpoch,
  type StoredIds,
  type Waiting,
  type WriterActor,
} from '#test/simulation/database/twin-place.ts';
import { startAnswerProxy } from '#test/support/answer-proxy.ts';
import { openTestPool } from '#test/support/test-pool.ts';

/** Between two looks at who waits. */
const LOOK_MS = 2;

export interface PostgresPlace extends Place {
  /** What becomes of the next COMMIT of a writer: its answer is lost on the way, or itself. */
  loseCommit(actor: WriterActor, fate: 'answer-lost' | 'dies-before'): void;
  /** kill -9 of the server, and its next start. */
  crash(): Promise<void>;
  close(): Promise<void>;
}

export async function openPostgresPlace(
  ownerUrl: string,
  options: { bounds: RollBounds; dayShift?: () => number; restart?: () => Promise<void> },
): Promise<PostgresPlace> {
  const named = (url: string, name: string): string => {
    const own = new URL(url);
    own.searchParams.set('application_name', name);
    return own.href;
  };
  const pools = await openPools(ownerUrl);
  const poolsOf = {
    opener: await openPools(named(ownerUrl, 'opener')),
    eraser: await openPools(named(ownerUrl, 'eraser')),
    reader: await openPools(named(ownerUrl, 'reader')),
  };
  const ways = {
    'writer A': await startAnswerProxy(pools.writerUrl),
    'writer B': await startAnswerProxy(pools.writerUrl),
  };
  const writerOf = (actor: WriterActor) =>
    connectWriterDatabase({
      connectionString: named(ways[actor].url, actor),
      log: silentLog,
      ...(options.dayShift === undefined ? {} : { dayShift: options.dayShift }),
    });
  const writers = { 'writer A': writerOf('writer A'), 'writer B': writerOf('writer B') };
  const keepers = new Map(
    (['keeper', 'other keeper'] as const).map((actor) => [
      actor as Actor,
      openTestPool(named(pools.writerUrl, actor)),
    ]),
  );
  const identity = createIdentity({ authPool: poolsOf.reader.auth, clock: systemClock });
  const owner = openTestPool(ownerUrl);
  const tables = openTestPool(pools.writerUrl);

  async function look(): Promise<Standing> {
    const { rows } = await tables.query<{ pid: number; name: Actor; blockers: number[] | null }>({
      name: 'look',
      text: `select pid, application_name as name,
          case when state <> 'idle' then pg_blocking_pids(pid) end as blockers
        from pg_stat_activity where datname = current_database() and application_name = any($1)`,
      values: [actors],
    });
    const names = new Map(rows.map(({ pid, name }) => [pid, name]));
    const waiting: Waiting[] = [];
    const inTransaction: Actor[] = [];
    for (const { name, blockers } of rows) {
      if (blockers === null) continue;
      inTransaction.push(name);
      const others = new Set(blockers.flatMap((pid) => names.get(pid) ?? []));
      if (others.size > 0) waiting.push({ who: name, for: [...others] });
    }
    return { waiting, inTransaction };
  }

  return {
    async crash() {
      await options.restart?.();
      // Connections that have died are only forgotten when they are used.
      for (const pool of [owner, tables])
        for (let isUp = false; !isUp;)
          isUp = await Promise.all([pool.query('select 1'), pool.query('select 1')]).then(
            () => true,
            () => false,
          );
    },
    loseCommit(actor, fate) {
      if (fate === 'answer-lost') ways[actor].loseAnswerTo('commit');
      else ways[actor].breakBefore('commit');
    },
    writers,
    catalogueOf: (actor) => createCatalogue(poolsOf[actor as keyof typeof poolsOf]),
    generation: (deviceId) => identity.nextGeneration(deviceId),
    erase: (orgId, target) => erase(poolsOf.eraser, orgId, target),
    async roll(actor, name) {
      const client = await keepers.get(actor)!.connect();
      const forget = (): void => undefined;
      client.on('error', forget);
      let isBroken = true;
      try {
        const counters = { readings: 0, rows: 0, steps: 0, lateSteps: 0 };
        const outcome = await rollUp({
          tables: createRollupTables(client),
          name,
          bounds: options.bounds,
          counters,
        });
        isBroken = false;
        return outcome;
      } finally {
        client.off('error', forget);
        client.release(isBroken);
      }
    },
    async dirtyEpochs() {
      const client = await tables.connect();
      try {
        return await findCandidates(client, { quietS: 0, liveS: 0 }, 10_000);
      } finally {
        client.release();
      }
    },
    async look() {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      return look();
    },
    async kill(actor) {
      const isWriter = actor.startsWith('writer');
      await tables.query(
        `select pg_terminate_backend(pid, 10_000) from pg_stat_activity
          where datname = current_database() and application_name = $1 and ($2 or state <> 'idle')
            and usename = 'kymo_writer'`,
        [actor, isWriter],
      );
    },
    stored: (ids) => readTables({ owner, tables }, ids),
    async close() {
      await Promise.all([
        pools.close(),
        ...Object.values(poolsOf).map((one) => one.close()),
        ...Object.values(writers).map((one) => one.end()),
        ...[...keepers.values()].map((one) => one.end()),
        ...Object.values(ways).map((one) => one.close()),
        owner.end(),
        tables.end(),
      ]);
    },
  };
}

interface GuardRow {
  readonly key: string;
  readonly stream_id: string;
  readonly epoch: string;
  readonly committed: string | null;
  readonly lost: string | null;
  readonly tail_lost: boolean;
  readonly is_dirty: boolean;
  readonly has_day: boolean;
  readonly generation: string;
  readonly rolled: string | null;
}

interface ChunkRow {
  readonly first_seq: string;
  readonly n: number;
  readonly segments: Buffer;
  readonly deltas: Buffer | null;
  readonly data: Buffer;
}

/** Reads the tables as they are, in as few statements as there are tables. */
async function readTables(
  { owner, tables }: { owner: pg.Pool; tables: pg.Pool },
  ids: StoredIds,
): Promise<Stored> {
  const of = async <T extends pg.QueryResultRow>(pool: pg.Pool, text: string): Promise<T[]> =>
    (await pool.query<T>(text, [ids.streams])).rows;
  const guards = await of<GuardRow>(
    tables,
    `select k.stream_id, k.epoch::text, e.committed::text, e.lost::text, e.tail_lost, e.is_dirty,
        e.first_commit_day is not null as has_day, e.generation, p.rolled::text
      from (select stream_id, epoch from kymo.stream_epoch union select stream_id, epoch from kymo.chunk
            union select stream_id, epoch from kymo.loss union select stream_id, epoch from kymo.rollup
            union select stream_id, epoch from kymo.rollup_progress) k
      left join kymo.stream_epoch e on e.stream_id = k.stream_id and e.epoch = k.epoch
      left join kymo.rollup_progress p on p.stream_id = k.stream_id and p.epoch = k.epoch
     where k.stream_id = any($1::uuid[])`,
  );
  const chunks = await of<ChunkRow & GuardRow>(
    tables,
    'select stream_id, epoch::text, first_seq, n, segments, deltas, data from kymo.chunk where stream_id = any($1::uuid[])',
  );
  const losses = await of<{ text: string } & GuardRow>(
    tables,
    `select stream_id, epoch::text, concat_ws(' ', from_seq, to_seq, reason) as text
       from kymo.loss where stream_id = any($1::uuid[])`,
  );
  const rollups = await of<GuardRow & { axes: number }>(
    tables,
    `select stream_id, epoch::text, bucket_us::text, start_us::text, seqs::text, array_send(slots) as slots,
        array_send(counts) as counts, array_send(lags_us) as lags, array_send(finites) as finites,
        array_send(mins) as mins, array_send(maxs) as maxs, array_send(sums) as sums,
        cardinality(mins) / cardinality(counts) as axes
       from kymo.rollup where stream_id = any($1::uuid[])`,
  );
  const epochs: Record<string, StoredEpoch> = {};
  for (const row of guards) {
    const isSame = (other: GuardRow): boolean =>
      other.stream_id === row.stream_id && other.epoch === row.epoch;
    epochs[`${row.stream_id}/${int8ToEpoch(row.epoch)}`] = {
      guard: guardOf(row),
      chunks: chunks.filter(isSame).map(chunkOf).toSorted(),
      losses: losses
        .filter(isSame)
        .map(({ text }) => text)
        .toSorted(),
      rolled: row.rolled === null ? null : parseMultirange(row.rolled),
      rollups: rollups
        .filter(isSame)
        .map((rollup) => rollupText(denseRow(rollup, rollup.axes)))
        .toSorted(),
    };
  }
  return { epochs, ...(await readCatalogue(owner, ids)) };
}

function guardOf(row: GuardRow): StoredEpoch['guard'] {
  if (row.committed === null || row.lost === null) return null;
  return {
    committed: parseMultirange(row.committed),
    lost: parseMultirange(row.lost),
    tailLost: row.tail_lost,
    isDirty: row.is_dirty,
    hasDay: row.has_day,
    generation: Number(row.generation),
  };
}

function chunkOf({ first_seq, n, segments, deltas, data }: ChunkRow): string {
  const timesUs = decodeTimes({ n, segments, deltas, data });
  return chunkText({ firstSeq: Number(first_seq), n, timesUs, payload: data });
}

async function readCatalogue(owner: pg.Pool, ids: StoredIds): Promise<Omit<Stored, 'epochs'>> {
  const streams = await owner.query<{ id: string; axes: unknown; device_id: string; ended: boolean }>(
    'select id, axes, device_id, ended_at is not null as ended from kymo.stream where id = any($1::uuid[])',
    [ids.streams],
  );
  const sessions = await owner.query<{ id: string; ended: boolean }>(
    'select id, ended_at is not null as ended from kymo.session where id = any($1::uuid[])',
    [ids.sessions],
  );
  const erased = await owner.query<{ id: string }>('select id from kymo.erased where id = any($1::uuid[])', [
    [...ids.streams, ...ids.sessions],
  ]);
  return {
    streams: Object.fromEntries(
      streams.rows.map(({ id, axes, device_id, ended }) => [
        id,
        { axes, deviceId: device_id, isEnded: ended },
      ]),
    ),
    sessions: Object.fromEntries(sessions.rows.map(({ id, ended }) => [id, ended])),
    erased: erased.rows.map(({ id }) => id).toSorted(),
  };
}
