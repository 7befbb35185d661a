/**
 * Owns the removal of sessions and streams with all that was stored of them. A tombstone comes first: from its commit on
 * nobody opens what is erased (store/catalogue.ts), nobody holds it, and devices hear that theirs is discarded. Ranges go
 * next, so that no flush stores more, then readings, a batch of every table in a round trip, and the definitions under
 * row-level security last: a crash in between leaves a session that the same call finishes. Refused under a legal hold.
 */

import { AppError } from '#base/errors.ts';
import { runAsOrg, type Pools, type Statement } from '#store/pools.ts';

export interface ErasureTarget {
  readonly kind: 'session' | 'stream';
  readonly id: string;
}

/** `held`: a legal hold forbids it, and nothing was changed. `not-found`: the organisation has, and had, no such thing. */
export type ErasureOutcome = 'erased' | 'held' | 'not-found';

type ErasurePools = Pick<Pools, 'app' | 'writer'>;

/** What is being erased, or lies in it, and whose recording it is. */
export interface ErasedRecording {
  readonly orgId: string;
  readonly session: string;
  readonly patientId: string | null;
}

export interface ErasureOptions {
  /** Runs the removal; what it does afterwards is done before the erasure is acknowledged. */
  readonly around?: <T>(recording: ErasedRecording, work: () => Promise<T>) => Promise<T>;
  /** Batches until the erasure breaks off as `overloaded`, to be called again; default: until all is gone. */
  readonly maxBatches?: number;
}

export const erasureLimits = {
  /** Rows of one table in a batch: blocks of 20 kB make 200 MB, a second or two, and nobody waits for their locks. */
  batchRows: 10_000,
  /** Of one request: as many as eight hours of seven sensors have before they are sealed. */
  requestBatches: 32,
} as const;

/** Of the advisory locks of opening and erasing; the number is arbitrary. */
export const ERASURE_LOCK = 5_962_120;

/** SQL that is true when the session or the stream was erased. The arguments are parameters or columns. */
export function erasedSql(org: string, session: string, stream: string): string {
  return `exists (select from kymo.erased x where x.org_id = ${org}::uuid
    and ((x.kind = 'session' and x.id = ${session}::uuid) or (x.kind = 'stream' and x.id = ${stream}::uuid)))`;
}

/** Held to the end of the transaction: openings of a session's streams share it, erasing excludes them. */
export function erasureLock(sessionId: string, purpose: 'open' | 'erase'): Statement {
  const shared = purpose === 'open' ? '_shared' : '';
  return {
    name: `erasure-lock-${purpose}`,
    text: `select pg_advisory_xact_lock${shared}(${ERASURE_LOCK}, hashtext($1))`,
    values: [sessionId],
  };
}

/**
 * Erases a session or a stream of one organisation; calling it again finishes what was interrupted. Five round trips for
 * what has no more than a batch of rows in any table. Throws AppError `overloaded` after `maxBatches`.
 */
export async function erase(
  pools: ErasurePools,
  orgId: string,
  target: ErasureTarget & ErasureOptions,
): Promise<ErasureOutcome> {
  const marked = await runAsOrg(pools.app, orgId, {
    statements: markStatements(orgId, target),
    mode: 'change',
  });
  const state = marked.at(-1)!.rows[0] as {
    erased: boolean;
    held: boolean;
    session: string | null;
    patient: string | null;
    streams: string[];
  };
  if (state.held) return 'held';
  if (!state.erased) return 'not-found';
  // All of it is gone already.
  if (state.session === null) return 'erased';
  const { session, streams, patient: patientId } = state;
  const { maxBatches = Number.POSITIVE_INFINITY, around = (_, work) => work() } = target;
  return around<ErasureOutcome>({ orgId, session, patientId }, async () => {
    const tables = await eraseRanges(pools, session, streams);
    await eraseRows(pools, { tables, streams, maxBatches });
    await runAsOrg(pools.app, orgId, { statements: removeStatements(target, session), mode: 'change' });
    return 'erased';
  });
}

/** Erases sessions of one organisation that no hold protects; returns how many. */
export async function eraseSessions(
  pools: ErasurePools,
  orgId: string,
  sessionIds: readonly string[],
): Promise<number> {
  let count = 0;
  for (const id of sessionIds) if ((await erase(pools, orgId, { kind: 'session', id })) === 'erased') count++;
  return count;
}

// The session's row is locked, so that a hold and an erasure come one after the other.
function markStatements(orgId: string, { kind, id }: ErasureTarget): Statement[] {
  const session =
    kind === 'session' ? '$1::uuid' : '(select t.session_id from kymo.stream t where t.id = $1::uuid)';
  const held = `exists (select from kymo.legal_hold h where h.session_id = ${session})`;
  return [
    { text: `select from kymo.session where id = ${session} for update`, values: [id] },
    {
      text: `insert into kymo.erased (org_id, kind, id)
        select s.org_id, $2, $1 from kymo.session s where s.id = ${session} and not ${held}
        on conflict do nothing`,
      values: [id, kind],
    },
    {
      text: `select exists (select from kymo.erased where org_id = $3 and kind = $2 and id = $1) as erased,
          ${held} as held,
          (select s.id from kymo.session s where s.id = ${session}) as session,
          (select s.patient_id from kymo.session s where s.id = ${session}) as patient,
          array(select t.id from kymo.stream t where ${kind === 'session' ? 't.session_id' : 't.id'} = $1::uuid) as streams`,
      values: [id, kind, orgId],
    },
  ];
}

/**
 * A transaction of its own: a flush that is under way has committed before, and the next finds no guard rows and stores
 * nothing; none waits for the readings to be removed. Locked in the guard's order, so that it and a flush never wait for
 * each other. An opening that did not see the tombstone has made its row before this, or makes none. Returns the writer's
 * tables.
 */
async function eraseRanges(
  pools: ErasurePools,
  session: string,
  streams: readonly string[],
): Promise<string[]> {
  const results = await pools.writer.run([
    erasureLock(session, 'erase'),
    {
      text: `with erased as (
          select stream_id, epoch from kymo.stream_epoch where stream_id = any($1::uuid[])
           order by stream_id, epoch for update)
        delete from kymo.stream_epoch e using erased
         where e.stream_id = erased.stream_id and e.epoch = erased.epoch`,
      values: [streams],
    },
    tablesStatement,
  ]);
  return tablesOf(results.at(-1));
}

// Day partitions are taken one by one, also those that retention has detached: a row is found by its place on disk only
// within one table. In one order, so that two erasures never wait for each other.
const tablesStatement: Statement = {
  text: `select c.relname as name from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attname = 'stream_id' and not a.attisdropped
     where c.relnamespace = 'kymo'::regnamespace and c.relkind = 'r' and c.relowner = current_user::regrole
     order by c.relname collate "C"`,
};

function tablesOf(result: { readonly rows: readonly unknown[] } | undefined): string[] {
  return ((result?.rows ?? []) as { readonly name: string }[]).map(({ name }) => name);
}

/** Removes the rows of these streams from every table of the writer: readings, hot and sealed, roll-ups, losses. */
async function eraseRows(
  pools: ErasurePools,
  work: {
    readonly tables: readonly string[];
    readonly streams: readonly string[];
    readonly maxBatches: number;
  },
): Promise<void> {
  let { tables } = work;
  for (let batch = 1; tables.length > 0; batch++) {
    if (batch > work.maxBatches)
      throw new AppError(
        'overloaded',
        'so much is not erased at once: it has begun, ask again for the rest',
        {
          temporary: true,
        },
      );
    // Fewer rows than a batch may only mean that another erasure of the same was quicker: until a table has none.
    const left = await eraseBatch(pools, tables, work.streams);
    tables = left ?? tablesOf((await pools.writer.run([tablesStatement]))[0]);
  }
}

/** The tables that had rows; null: one of them is no more. */
async function eraseBatch(
  pools: ErasurePools,
  tables: readonly string[],
  streams: readonly string[],
): Promise<string[] | null> {
  try {
    const deleted = await pools.writer.run(
      tables.map((table) => ({
        text: `delete from kymo.${table} where ctid = any(array(
          select ctid from kymo.${table} where stream_id = any($1::uuid[]) limit ${erasureLimits.batchRows}))`,
        values: [streams],
      })),
    );
    return tables.filter((_, i) => (deleted[i]?.rowCount ?? 0) > 0);
  } catch (error) {
    // undefined_table: retention has dropped this day meanwhile.
    if ((error as { code?: unknown }).code === '42P01') return null;
    throw error;
  }
}

// A clock observation belongs to its device: it goes when the device had nothing but this session open at that time.
function removeStatements({ kind, id }: ErasureTarget, session: string): Statement[] {
  if (kind === 'stream')
    return [
      { text: 'delete from kymo.stream where id = $1', values: [id] },
      // Files that were made of the session hold the readings of the stream too; those of a whole session go with its row.
      {
        text: `with made as (
            update kymo.job set file_run = null, file_expires_at = null,
                cancel_asked_at = case when state = 'running' then coalesce(cancel_asked_at, now()) else cancel_asked_at end
             where session_id = $1 and kind in ('session-export', 'session-report')
               and (file_run is not null or state = 'running') returning id)
          delete from kymo.job_file_part p using made where p.job_id = made.id`,
        values: [session],
      },
      {
        text: `update kymo.session s set ended_at = now() where s.id = $1 and s.ended_at is null
          and not exists (select from kymo.stream t where t.session_id = s.id and t.ended_at is null)`,
        values: [session],
      },
    ];
  return [
    {
      text: `delete from kymo.clock_observation o
          using (select t.device_id, min(t.opened_at) as opened, max(coalesce(t.ended_at, now())) as ended
                   from kymo.stream t where t.session_id = $1 group by t.device_id) own
         where o.device_id = own.device_id and o.observed_at between own.opened and own.ended
           and not exists (select from kymo.stream t
             where t.device_id = o.device_id and t.session_id <> $1
               and o.observed_at between t.opened_at and coalesce(t.ended_at, now()))`,
      values: [id],
    },
    { text: 'delete from kymo.session where id = $1', values: [id] },
  ];
}
