/**
 * Owns what a report needs beside the analysis: whether that has caught up with what is stored, whom the session is of, the
 * patient's earlier sessions, and the row of figures that is kept of a session. Each call is one transaction under row-level
 * security.
 */

import type { Figure } from '#contract/clinic.ts';
import type { ReportPatient, SummaryQuality } from '#contract/report.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';

export interface AnalysisStanding {
  readonly startedAt: Date;
  readonly endedAt: Date | null;
  /** Nothing waits: all that is stored is analysed, and the session's end is taken into account. */
  readonly isCaughtUp: boolean;
  /** It cannot go on by itself: waiting for it is in vain. */
  readonly hasFailed: boolean;
  /** Of the results: which analysis, and which change of the readings it has seen. Rises in this order. */
  readonly run: number;
  readonly change: number;
}

export interface StoredSummary {
  readonly session: string;
  readonly startedAt: string;
  readonly figures: readonly Figure[];
  readonly isProvisional: boolean;
}

export interface SessionContext {
  readonly organisation: string;
  readonly patient: ReportPatient | null;
  /** Oldest first, without this session. */
  readonly past: readonly StoredSummary[];
}

export interface NewSummary {
  readonly sessionId: string;
  readonly durationS: number;
  readonly figures: readonly Figure[];
  readonly quality: SummaryQuality;
  readonly algorithm: string;
  readonly algorithmVersion: string;
  /** As they were before the analysis was read. */
  readonly standing: Pick<AnalysisStanding, 'run' | 'change'>;
}

export interface ReportQueries {
  /** Null: the organisation has no such session. */
  standing(orgId: string, sessionId: string): Promise<AnalysisStanding | null>;
  context(orgId: string, sessionId: string, pastSessions: number): Promise<SessionContext | null>;
  /** False: the analysis has moved on since, or what is stored is newer. */
  storeSummary(orgId: string, summary: NewSummary): Promise<boolean>;
}

export function createReportQueries(app: RolePool): ReportQueries {
  return {
    async standing(orgId, sessionId) {
      const statements = [standingStatement(sessionId)];
      const [result] = await runAsOrg(app, orgId, { statements, mode: 'snapshot' });
      const row = result?.rows[0] as StandingRow | undefined;
      if (row === undefined) return null;
      return {
        startedAt: row.started_at,
        endedAt: row.ended_at,
        isCaughtUp: row.is_caught_up,
        hasFailed: row.has_failed,
        run: row.run,
        change: row.change,
      };
    },
    async context(orgId, sessionId, pastSessions) {
      const statements = [whomStatement(sessionId), pastStatement(sessionId, pastSessions)];
      const [whom, past] = await runAsOrg(app, orgId, { statements, mode: 'snapshot' });
      const row = whom?.rows[0] as WhomRow | undefined;
      if (row === undefined) return null;
      return {
        organisation: row.organisation,
        patient: patientOf(row),
        past: ((past?.rows ?? []) as PastRow[]).toReversed().map((one) => ({
          session: one.session_id,
          startedAt: one.started_at.toISOString(),
          figures: one.figures,
          isProvisional: one.is_provisional,
        })),
      };
    },
    async storeSummary(orgId, summary) {
      const statements = [summaryStatement(summary)];
      const [result] = await runAsOrg(app, orgId, { statements, mode: 'change' });
      return result?.rowCount === 1;
    },
  };
}

interface StandingRow {
  readonly started_at: Date;
  readonly ended_at: Date | null;
  readonly is_caught_up: boolean;
  readonly has_failed: boolean;
  readonly run: number;
  readonly change: number;
}

interface WhomRow {
  readonly organisation: string;
  readonly code: string | null;
  readonly age_years: number | null;
  readonly sex: ReportPatient['sex'];
  readonly height_m: number | null;
  readonly mass_kg: number | null;
  readonly affected_side: ReportPatient['affectedSide'];
  readonly diagnosis: string | null;
}

interface PastRow {
  readonly session_id: string;
  readonly started_at: Date;
  readonly figures: readonly Figure[];
  readonly is_provisional: boolean;
}

function patientOf(row: WhomRow): ReportPatient | null {
  if (row.code === null) return null;
  return {
    code: row.code,
    ageYears: row.age_years,
    sex: row.sex,
    heightM: row.height_m,
    massKg: row.mass_kg,
    affectedSide: row.affected_side,
    diagnosis: row.diagnosis ?? '',
  };
}

/**
 * Windows were looked at since the end (which may leave some open for readings that are missing), all of them are analysed, and
 * no stream has readings that no window knows of.
 */
function standingStatement(sessionId: string): Statement {
  return {
    name: 'report-standing',
    text: `select s.started_at, s.ended_at, coalesce(a.run, 0) as run, coalesce(a.change, 0) as change,
        coalesce(a.failure is not null and not a.is_dirty and a.attempts = 0, false) as has_failed,
        coalesce(not a.is_dirty and a.attempts = 0 and a.is_finished = l.is_ended and not l.is_stale
            and l.visited_at > s.ended_at, false)
          and not exists (select from kymo.session_window w where w.session_id = s.id and w.revision > 0
                and (a.next_us is null or w.start_us >= a.next_us or w.input_change > a.change))
          and not exists (select from kymo.stream t join kymo.stream_epoch e on e.stream_id = t.id
               where t.session_id = s.id and e.is_uncovered) as is_caught_up
      from kymo.session s left join kymo.motion_analysis a on a.session_id = s.id
      left join kymo.window_ledger l on l.session_id = s.id
     where s.id = $1`,
    values: [sessionId],
  };
}

/** The age is that of the year: the day of birth is not known here. */
function whomStatement(sessionId: string): Statement {
  return {
    name: 'report-whom',
    text: `select o.name as organisation, p.code, p.sex, p.height_m, p.mass_kg, p.affected_side, p.diagnosis,
        extract(year from s.started_at)::int - p.birth_year as age_years
      from kymo.session s join kymo.organisation o on o.id = s.org_id
      left join kymo.patient p on p.id = s.patient_id
     where s.id = $1`,
    values: [sessionId],
  };
}

/** Newest first. */
function pastStatement(sessionId: string, limit: number): Statement {
  return {
    name: 'report-past',
    text: `select m.session_id, m.started_at, m.figures, m.quality ->> 'provisional' is not null as is_provisional
      from kymo.session s join kymo.session_summary m on m.patient_id = s.patient_id
     where s.id = $1 and m.session_id <> s.id and m.started_at <= s.started_at
     order by m.started_at desc, m.session_id desc limit $2`,
    values: [sessionId, limit],
  };
}

function summaryStatement(summary: NewSummary): Statement {
  return {
    name: 'report-store-summary',
    text: `insert into kymo.session_summary as m (session_id, org_id, patient_id, started_at, duration_s, figures, quality,
        algorithm, algorithm_version, analysis_run, input_revision, computed_at)
      select s.id, s.org_id, s.patient_id, s.started_at, $2, $3, $4, $5, $6, $7, $8, now()
        from kymo.session s left join kymo.motion_analysis a on a.session_id = s.id
       where s.id = $1 and coalesce(a.run, 0) = $7 and coalesce(a.change, 0) = $8
         -- Whose it is must not change meanwhile: who changes that moves the figures that there are.
         for share of s
      on conflict (session_id) do update set patient_id = excluded.patient_id, started_at = excluded.started_at,
        duration_s = excluded.duration_s, figures = excluded.figures, quality = excluded.quality,
        algorithm = excluded.algorithm, algorithm_version = excluded.algorithm_version,
        analysis_run = excluded.analysis_run, input_revision = excluded.input_revision, computed_at = now()
      where (m.analysis_run, m.input_revision) <= (excluded.analysis_run, excluded.input_revision)`,
    values: [
      summary.sessionId,
      summary.durationS,
      JSON.stringify(summary.figures),
      JSON.stringify(summary.quality),
      summary.algorithm,
      summary.algorithmVersion,
      summary.standing.run,
      summary.standing.change,
    ],
  };
}
