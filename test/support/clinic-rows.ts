/** Owns sessions and summaries of patients as rows, for tests about records that need no recording behind them. */

import type pg from 'pg';

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';

interface Whose {
  readonly orgId: string;
  readonly patientId: string | null;
}

/** An ended session unless it is planned; returns its id. */
export async function insertSession(
  owner: pg.Pool,
  session: Whose & { readonly label: string; readonly startedAt: string; readonly isPlanned?: boolean },
): Promise<string> {
  const id = uuidv7(systemClock);
  const { orgId, patientId, label, startedAt, isPlanned = false } = session;
  await owner.query(
    `insert into kymo.session (id, org_id, patient_id, label, started_at, ended_at, is_planned, planned_for)
     values ($1, $2, $3, $4, $5, case when $6 then null else $5::timestamptz + interval '10 minutes' end, $6,
       case when $6 then $5::timestamptz end)`,
    [id, orgId, patientId, label, startedAt, isPlanned],
  );
  return id;
}

export async function insertSummary(
  owner: pg.Pool,
  summary: Whose & {
    readonly session: string;
    readonly startedAt: string;
    readonly figures: readonly object[];
  },
): Promise<void> {
  await owner.query(
    `insert into kymo.session_summary (session_id, org_id, patient_id, started_at, duration_s, figures, quality, algorithm,
       algorithm_version, input_revision) values ($1, $2, $3, $4, 600, $5, '{}', 'test', '1', 1)`,
    [summary.session, summary.orgId, summary.patientId, summary.startedAt, JSON.stringify(summary.figures)],
  );
}
