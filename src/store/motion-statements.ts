/**
 * Owns the SQL of the analysis of motion: which sessions wait, where one stands, the states from which it goes on, and its
 * results. What a state or a result is, it does not know. Runs as kymo_writer.
 */

import type { Statement } from '#store/pools.ts';

/** The algorithm of the results that the analysis writes. */
export const MOTION = 'motion';

export interface WaitingSession {
  readonly sessionId: string;
  readonly orgId: string;
}

/** Those first that were not tried for longest, so that one that ends the process does not hold up the others. */
export function waitingStatement(limit: number, sessionId: string | null): Statement {
  return {
    name: 'motion-waiting',
    text: `select session_id, org_id from kymo.motion_analysis
      where (is_dirty or attempts > 0) and ($2::uuid is null or session_id = $2)
      order by attempted_at nulls first, session_id limit $1`,
    values: [limit, sessionId],
  };
}

export interface Standing {
  readonly attempts: number;
  readonly asked: number;
  readonly version: number | null;
  readonly model: unknown;
  readonly modelRevision: number;
  readonly answered: number;
  readonly run: number;
  readonly nextUs: number | null;
  readonly change: number;
  readonly isFinished: boolean;
  readonly summary: string | null;
}

/** Notes an attempt before it begins, in a transaction of its own; no row: nothing waits any more. */
export function attemptStatement(sessionId: string): Statement {
  return {
    name: 'motion-attempt',
    text: `update kymo.motion_analysis set is_dirty = false, attempts = attempts + 1, attempted_at = now()
      where session_id = $1 and (is_dirty or attempts > 0)
      returning attempts, asked, version, model, model_revision, answered, run, next_us::text, change::text,
        is_finished, summary`,
    values: [sessionId],
  };
}

export function standingOf(row: unknown): Standing {
  const found = row as Record<'attempts' | 'asked' | 'model_revision' | 'answered' | 'run', number> &
    Record<'next_us' | 'summary', string | null> & {
      version: number | null;
      model: unknown;
      change: string;
      is_finished: boolean;
    };
  return {
    attempts: found.attempts,
    asked: found.asked,
    version: found.version,
    model: found.model,
    modelRevision: found.model_revision,
    answered: found.answered,
    run: found.run,
    nextUs: found.next_us === null ? null : Number(found.next_us),
    change: Number(found.change),
    isFinished: found.is_finished,
    summary: found.summary,
  };
}

/** The newest body model that a person stored, as `model` and `revision`. */
export function bodyModelStatement(sessionId: string): Statement {
  return {
    name: 'motion-body-model',
    text: `select model, revision from kymo.body_model where session_id = $1 order by revision desc limit 1`,
    values: [sessionId],
  };
}

export interface AnalysedStream {
  readonly id: string;
  readonly segment: string;
  readonly axes: readonly { readonly name: string; readonly unit: string }[];
  readonly rateHz: number;
  readonly clock: 'device' | 'none';
  readonly synthetic: boolean;
  readonly encoding: 'float32' | 'int16';
  readonly scale: readonly number[] | null;
}

/** Rows are AnalysedStream. */
export function analysedStreamsStatement(sessionId: string): Statement {
  return {
    name: 'motion-streams',
    text: `select id, segment, axes, rate_hz as "rateHz", clock, encoding, scale, kymo.is_synthetic($1) as synthetic
      from kymo.stream where session_id = $1 order by id`,
    values: [sessionId],
  };
}

/** What there is to do: see `Outlook`. */
export function outlookStatement(sessionId: string, change: number, nextUs: number | null): Statement {
  return {
    name: 'motion-outlook',
    text: `select coalesce(max(w.input_change), 0)::text as newest,
        coalesce(max(w.input_change) filter (where w.start_us < $3::int8), 0)::text as newest_before,
        (min(w.start_us) filter (where w.input_change > $2::int8 and w.start_us < $3::int8))::text as changed_us,
        count(*) filter (where $3::int8 is null or w.start_us >= $3::int8)::int as waiting,
        coalesce((select l.is_ended from kymo.window_ledger l where l.session_id = $1), false) as is_ended
      from kymo.session_window w where w.session_id = $1 and w.revision > 0`,
    values: [sessionId, change, nextUs],
  };
}

export interface Outlook {
  /** The newest change of a window's input; and of those before where the analysis stands. */
  readonly newest: number;
  readonly newestBefore: number;
  /** The earliest window that changed after it was analysed. */
  readonly changedUs: number | null;
  /** Windows from where it stands on. */
  readonly waiting: number;
  readonly isEnded: boolean;
}

export function outlookOf(row: unknown): Outlook {
  const found = row as {
    newest: string;
    newest_before: string;
    changed_us: string | null;
    waiting: number;
    is_ended: boolean;
  };
  return {
    newest: Number(found.newest),
    newestBefore: Number(found.newest_before),
    changedUs: found.changed_us === null ? null : Number(found.changed_us),
    waiting: found.waiting,
    isEnded: found.is_ended,
  };
}

/** The newest state of the session at or before this; `state` as bytes. */
export function checkpointStatement(sessionId: string, atOrBeforeUs: number): Statement {
  return {
    name: 'motion-checkpoint',
    text: `select start_us::text, state from kymo.motion_checkpoint where session_id = $1 and start_us <= $2
      order by start_us desc limit 1`,
    values: [sessionId, atOrBeforeUs],
  };
}

/** Forgets the states behind a moment; null: all. */
export function dropCheckpointsStatement(sessionId: string, afterUs: number | null): Statement {
  return {
    name: 'motion-drop-checkpoints',
    text: `delete from kymo.motion_checkpoint where session_id = $1 and ($2::int8 is null or start_us > $2)`,
    values: [sessionId, afterUs],
  };
}

export interface Checkpoint {
  readonly startUs: number;
  readonly state: Uint8Array;
}

export function storeCheckpointStatement(
  { sessionId, orgId }: WaitingSession,
  { startUs, state }: Checkpoint,
): Statement {
  return {
    name: 'motion-store-checkpoint',
    text: `insert into kymo.motion_checkpoint (session_id, org_id, start_us, state) values ($1, $2, $3, $4)
      on conflict (session_id, start_us) do update set state = excluded.state`,
    values: [sessionId, orgId, startUs, Buffer.from(state.buffer, state.byteOffset, state.byteLength)],
  };
}

/**
 * Leaves the newest state, those at the first window of every `every` (states before it), and of these at most `limit`: when
 * there are more, every second goes, the oldest stays.
 */
export function thinCheckpointsStatement(
  sessionId: string,
  { everyUs, limit }: { readonly everyUs: number; readonly limit: number },
): Statement {
  return {
    name: 'motion-thin-checkpoints',
    text: `with known as (
        select start_us, max(start_us) over () as newest,
               floor(start_us / $2::float8) is distinct from
                 lag(floor(start_us / $2::float8)) over (order by start_us) as is_first
          from kymo.motion_checkpoint where session_id = $1),
      kept as (
        select start_us, row_number() over (order by start_us) as n, count(*) over () as count
          from known where is_first and start_us < newest)
      delete from kymo.motion_checkpoint c
       where c.session_id = $1 and c.start_us < (select max(newest) from known)
         and not exists (select from kept k where k.start_us = c.start_us and (k.count <= $3::int or k.n % 2 = 1))`,
    values: [sessionId, everyUs, limit],
  };
}

export interface StoredResult {
  readonly startUs: number;
  readonly revision: number;
  readonly payload: string;
}

/** Results of one run; a row gives way to a newer run, or to the same with the same or a newer revision. */
export function storeResultsStatement(
  { sessionId, orgId }: WaitingSession,
  { version, run, results }: { version: number; run: number; results: readonly StoredResult[] },
): Statement {
  return {
    name: 'motion-store-results',
    text: `insert into kymo.window_result as r
        (org_id, session_id, algorithm, version, start_us, run, revision, payload)
      select $2, $1, '${MOTION}', $3, g.start_us, $4, g.revision, g.payload
        from unnest($5::int8[], $6::int8[], $7::text[]) g(start_us, revision, payload)
      on conflict (session_id, algorithm, version, start_us) do update
        set run = excluded.run, revision = excluded.revision, payload = excluded.payload, made_at = now()
      where (r.run, r.revision) <= (excluded.run, excluded.revision)`,
    values: [
      sessionId,
      orgId,
      version,
      run,
      results.map(({ startUs }) => startUs),
      results.map(({ revision }) => revision),
      results.map(({ payload }) => payload),
    ],
  };
}

/** Of this run, what is at or behind a moment: what was decided at an end that is none any more. */
export function dropTailStatement(sessionId: string, fromUs: number): Statement {
  return {
    name: 'motion-drop-tail',
    text: `delete from kymo.window_result where session_id = $1 and algorithm = '${MOTION}' and start_us >= $2`,
    values: [sessionId, fromUs],
  };
}

/** What runs and versions before this one left. */
export function dropOldRunsStatement(
  sessionId: string,
  { version, run }: { version: number; run: number },
): Statement {
  return {
    name: 'motion-drop-old',
    text: `delete from kymo.window_result
      where session_id = $1 and algorithm = '${MOTION}' and (version <> $2 or run <> $3)`,
    values: [sessionId, version, run],
  };
}

export interface Advance extends Omit<Standing, 'attempts' | 'asked'> {
  /** Something is left to do. */
  readonly isMore: boolean;
}

export function advanceStatement(sessionId: string, to: Advance): Statement {
  return {
    name: 'motion-advance',
    text: `update kymo.motion_analysis
        set version = $2, model = $3, model_revision = $4, answered = $5, run = $6, next_us = $7, change = $8,
            is_finished = $9, summary = $10, is_dirty = is_dirty or $11, failure = null, attempts = 0,
            done_at = now()
      where session_id = $1`,
    values: [
      sessionId,
      to.version,
      JSON.stringify(to.model),
      to.modelRevision,
      to.answered,
      to.run,
      to.nextUs,
      to.change,
      to.isFinished,
      to.summary,
      to.isMore,
    ],
  };
}

/** Says why it could not go on; it is tried again when something changes. */
export function failStatement(sessionId: string, failure: string): Statement {
  return {
    name: 'motion-fail',
    text: `update kymo.motion_analysis set failure = $2, attempts = 0, done_at = now() where session_id = $1`,
    values: [sessionId, failure],
  };
}

/** How much waits, over all organisations: `sessions`, and `lag_s` of the one that waits longest. */
export const backlogStatement: Statement = {
  name: 'motion-backlog',
  text: `select count(*)::int as sessions, coalesce(max(t.lag_s), 0)::float8 as lag_s
    from kymo.motion_analysis a
    left join lateral (
      select extract(epoch from now() - min(w.changed_at)) as lag_s from kymo.session_window w
       where w.session_id = a.session_id and w.revision > 0 and w.input_change > a.change) t on true
   where a.is_dirty or a.attempts > 0`,
};
