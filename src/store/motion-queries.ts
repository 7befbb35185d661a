/**
 * Owns the analysis of motion as those see it who ask: body models as people store them, an analysis that is asked for anew,
 * and where one stands, with its results. Each call is one transaction under row-level security; what a result or a model
 * is, it does not know.
 */

import { AppError } from '#base/errors.ts';
import { MOTION, type AnalysedStream } from '#store/motion-statements.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';
import { WINDOW_US } from '#store/window-grid.ts';

/** Kilobytes each, and made by hand. */
const MODEL_REVISIONS = 1_000;
/** Many times what 200 cycles of twelve curves take. */
const WHOLE_BYTES = 8 * 1024 * 1024;

export interface StoredBodyModel {
  /** 0: nobody stored one. */
  readonly revision: number;
  /** Null with revision 0. */
  readonly model: unknown;
  readonly streams: readonly AnalysedStream[];
}

export interface StoredAnalysis {
  readonly version: number | null;
  readonly model: unknown;
  readonly modelRevision: number;
  readonly summary: string | null;
  readonly failure: string | null;
  /** Something changed since the analysis looked last, or it is at it. */
  readonly isDirty: boolean;
  /** Closed windows that are not analysed as they are now. */
  readonly waiting: number;
  /** Windows that are not closed yet. */
  readonly open: number;
  /** Closed windows before whose end something is missing that may still come. */
  readonly unsettled: number;
  readonly fromUs: number | null;
  readonly untilUs: number | null;
  /** In the order of time: texts as they were stored. */
  readonly payloads: readonly string[];
  /** Older windows of the range have results too. */
  readonly isCut: boolean;
}

export interface MotionQueries {
  /** Null: the organisation has no such session. */
  bodyModel(orgId: string, sessionId: string): Promise<StoredBodyModel | null>;
  /** Stores the revision after `revision`; false: that is not the newest. Throws AppError `limit-exceeded`. */
  storeBodyModel(
    orgId: string,
    stored: {
      readonly sessionId: string;
      readonly revision: number;
      readonly model: unknown;
      readonly madeBy: string;
    },
  ): Promise<boolean>;
  /** How many analyses from the beginning were asked for by now; null: there is no such session. */
  askAnew(orgId: string, sessionId: string): Promise<number | null>;
  /** Null: the session was not looked at yet. */
  analysis(orgId: string, query: AnalysisQuery): Promise<StoredAnalysis | null>;
}

export interface AnalysisQuery {
  readonly sessionId: string;
  /** Device time, half-open. */
  readonly fromUs: number;
  readonly toUs: number;
  /** The newest so many windows of the range. */
  readonly windows: number;
}

export function createMotionQueries(app: RolePool): MotionQueries {
  return {
    async bodyModel(orgId, sessionId) {
      const [sessions, models, streams] = await runAsOrg(app, orgId, {
        statements: [
          sessionStatement(sessionId, ''),
          newestModelStatement(sessionId),
          streamsStatement(sessionId),
        ],
        mode: 'snapshot',
      });
      if (sessions?.rowCount === 0) return null;
      const row = models?.rows[0] as { revision: number; model: unknown } | undefined;
      return {
        revision: row?.revision ?? 0,
        model: row?.model ?? null,
        streams: streams?.rows as AnalysedStream[],
      };
    },
    async storeBodyModel(orgId, stored) {
      if (stored.revision >= MODEL_REVISIONS)
        throw new AppError('limit-exceeded', `a session has at most ${MODEL_REVISIONS} body models`);
      const [, inserted] = await runAsOrg(app, orgId, {
        statements: [
          // One after the other, so that two of one revision meet.
          sessionStatement(stored.sessionId, 'for update'),
          insertModelStatement(orgId, stored),
          wakeStatement(orgId, stored.sessionId),
        ],
        mode: 'change',
      });
      return inserted?.rowCount === 1;
    },
    async askAnew(orgId, sessionId) {
      const [result] = await runAsOrg(app, orgId, {
        statements: [askAnewStatement(orgId, sessionId)],
        mode: 'change',
      });
      return (result?.rows[0] as { asked: number } | undefined)?.asked ?? null;
    },
    async analysis(orgId, query) {
      const [standings, results] = await runAsOrg(app, orgId, {
        statements: [standingStatement(query.sessionId), payloadsStatement(query)],
        mode: 'snapshot',
      });
      const row = standings?.rows[0] as StandingRow | undefined;
      if (row === undefined) return null;
      const found = (results?.rows ?? []) as { start_us: string; payload: string }[];
      return {
        version: row.version,
        model: row.model,
        modelRevision: row.model_revision,
        summary: row.summary,
        failure: row.failure,
        isDirty: row.is_dirty,
        waiting: row.waiting,
        open: row.open,
        unsettled: row.unsettled,
        fromUs: numberOf(row.from_us),
        untilUs: numberOf(row.until_us),
        payloads: found
          .slice(0, query.windows)
          .toReversed()
          .map(({ payload }) => payload),
        isCut: found.length > query.windows,
      };
    },
  };
}

interface StandingRow {
  readonly version: number | null;
  readonly model: unknown;
  readonly model_revision: number;
  readonly summary: string | null;
  readonly failure: string | null;
  readonly is_dirty: boolean;
  readonly waiting: number;
  readonly open: number;
  readonly unsettled: number;
  readonly from_us: string | null;
  readonly until_us: string | null;
}

function numberOf(text: string | null): number | null {
  return text === null ? null : Number(text);
}

function sessionStatement(sessionId: string, lock: '' | 'for update'): Statement {
  return { text: `select from kymo.session where id = $1 ${lock}`, values: [sessionId] };
}

function newestModelStatement(sessionId: string): Statement {
  return {
    name: 'body-model',
    text: 'select revision, model from kymo.body_model where session_id = $1 order by revision desc limit 1',
    values: [sessionId],
  };
}

function streamsStatement(sessionId: string): Statement {
  return {
    name: 'body-model-streams',
    text: `select t.id, t.segment, t.axes, t.rate_hz as "rateHz", t.clock, t.encoding, t.scale, s.synthetic
      from kymo.stream t join kymo.session s on s.id = t.session_id where t.session_id = $1 order by t.id`,
    values: [sessionId],
  };
}

function insertModelStatement(
  orgId: string,
  stored: { sessionId: string; revision: number; model: unknown; madeBy: string },
): Statement {
  return {
    text: `insert into kymo.body_model (org_id, session_id, revision, model, made_by)
      select $1, s.id, $3::int + 1, $4, $5 from kymo.session s
       where s.id = $2 and $3 = (select coalesce(max(b.revision), 0) from kymo.body_model b where b.session_id = $2)`,
    values: [orgId, stored.sessionId, stored.revision, JSON.stringify(stored.model), stored.madeBy],
  };
}

/** An analysis that failed is tried again. */
function wakeStatement(orgId: string, sessionId: string): Statement {
  return {
    text: `insert into kymo.motion_analysis (session_id, org_id) select id, $1 from kymo.session where id = $2
      on conflict (session_id) do update set is_dirty = true`,
    values: [orgId, sessionId],
  };
}

function askAnewStatement(orgId: string, sessionId: string): Statement {
  return {
    text: `insert into kymo.motion_analysis as a (session_id, org_id, asked)
      select id, $1, 1 from kymo.session where id = $2
      on conflict (session_id) do update set is_dirty = true, asked = a.asked + 1
      returning asked`,
    values: [orgId, sessionId],
  };
}

function standingStatement(sessionId: string): Statement {
  return {
    name: 'motion-standing',
    text: `select a.version, a.model, a.model_revision, a.summary, a.failure, a.is_dirty or a.attempts > 0 as is_dirty,
        coalesce(w.waiting, 0) as waiting, coalesce(w.open, 0) as open, coalesce(w.unsettled, 0) as unsettled,
        w.from_us::text, w.until_us::text
      from kymo.motion_analysis a
     cross join lateral (
       select count(*) filter (where revision > 0
                and (a.next_us is null or start_us >= a.next_us or input_change > a.change))::int
                as waiting,
              count(*) filter (where revision = 0)::int as open,
              count(*) filter (where revision > 0 and not is_settled)::int as unsettled,
              min(start_us) filter (where start_us < a.next_us) as from_us,
              max(start_us + ${WINDOW_US}) filter (where start_us < a.next_us) as until_us
         from kymo.session_window where session_id = $1) w
     where a.session_id = $1`,
    values: [sessionId],
  };
}

/**
 * Newest first, one more than asked for. Beyond WHOLE_BYTES of them without their cycles, which are nearly all of a payload:
 * those of six hours are more than a server should hold and read at once (app/analysis-payload.ts has them last).
 */
function payloadsStatement({ sessionId, fromUs, toUs, windows }: AnalysisQuery): Statement {
  return {
    name: 'motion-payloads',
    text: `select r.start_us::text,
        case when sum(octet_length(r.payload)) over (order by r.start_us desc) <= ${WHOLE_BYTES}
                  or strpos(r.payload, ',"cycles":[') = 0 then r.payload
             else left(r.payload, strpos(r.payload, ',"cycles":[') - 1) || ',"cycles":[]}' end as payload
      from kymo.motion_analysis a
      join kymo.window_result r on r.session_id = a.session_id and r.algorithm = '${MOTION}'
       and r.version = a.version and r.run = a.run
     where a.session_id = $1 and r.start_us > $2::int8 - ${WINDOW_US} and r.start_us < $3
     order by r.start_us desc limit $4::int + 1`,
    values: [sessionId, fromUs, toUs, windows],
  };
}
