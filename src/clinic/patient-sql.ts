/** Owns how a patient is asked for and written as JSON by PostgreSQL; `p` is the row of kymo.patient (contract/clinic.ts). */

import { AppError } from '#base/errors.ts';
import type { Statement } from '#store/pools.ts';
import { jsonObject } from '#clinic/json-sql.ts';

export const patientJson = jsonObject({
  id: 'p.id',
  code: 'p.code',
  birthYear: 'p.birth_year',
  sex: 'p.sex',
  heightM: 'p.height_m',
  massKg: 'p.mass_kg',
  affectedSide: 'p.affected_side',
  diagnosis: 'p.diagnosis',
  consents: 'p.consents',
  revision: 'p.revision',
  createdAt: 'kymo.iso(p.created_at)',
  updatedAt: 'kymo.iso(p.updated_at)',
  archivedAt: 'kymo.iso(p.archived_at)',
});

/** Columns that `summaryJson` and its list need. */
export const summaryColumns = `p.id, p.code, p.code_key, p.birth_year, p.sex, p.affected_side, p.diagnosis, p.consents,
  p.created_at, p.archived_at`;

/** The newest recording is looked up by index for each patient of a page, in the same statement. */
export const summaryJson = jsonObject({
  id: 'p.id',
  code: 'p.code',
  birthYear: 'p.birth_year',
  sex: 'p.sex',
  affectedSide: 'p.affected_side',
  diagnosis: 'p.diagnosis',
  consents: 'p.consents',
  createdAt: 'kymo.iso(p.created_at)',
  archivedAt: 'kymo.iso(p.archived_at)',
  lastSessionAt: `(select kymo.iso(s.started_at) from kymo.session s where s.patient_id = p.id and not s.is_planned
    order by s.started_at desc, s.id desc limit 1)`,
});

const sessionJson = jsonObject({
  id: 's.id',
  label: 's.label',
  state: `case when s.sealed_at is not null then 'sealed' when s.ended_at is not null then 'ended'
    when s.is_planned then 'planned' else 'live' end`,
  plannedFor: 'kymo.iso(s.planned_for)',
  startedAt: 'kymo.iso(s.started_at)',
  endedAt: 'kymo.iso(s.ended_at)',
  figures: '(select y.headline from kymo.session_summary y where y.session_id = s.id)',
});

// One row is taken before its JSON is written.
const headline = (order: 'asc' | 'desc'): string => `(
  select ${jsonObject({ session: 'y.session_id', startedAt: 'kymo.iso(y.started_at)', figures: 'y.headline' })}
    from (select y.session_id, y.started_at, y.headline from kymo.session_summary y where y.patient_id = p.id
           order by y.started_at ${order}, y.session_id ${order} limit 1) y)`;

/** Sessions on a patient's page. */
const PAGE_SESSIONS = 10;
/** Beyond this a count says "many". */
const COUNTED_SESSIONS = 1000;

/** PatientOverview of one patient ($1). Every part is a bounded walk along an index. */
export const overviewText = `select ${jsonObject({
  patient: patientJson,
  sessions: `(select coalesce(json_agg(${sessionJson} order by s.started_at desc, s.id desc), '[]')
    from (select s.id, s.label, s.is_planned, s.planned_for, s.started_at, s.ended_at, s.sealed_at
            from kymo.session s where s.patient_id = p.id
           order by s.started_at desc, s.id desc limit ${PAGE_SESSIONS}) s)`,
  sessionCount: `(select count(*) from (
    select from kymo.session s where s.patient_id = p.id and not s.is_planned limit ${COUNTED_SESSIONS}) counted)`,
  progress: jsonObject({ first: headline('asc'), latest: headline('desc') }),
})}::text as body from kymo.patient p where p.id = $1`;

/** Everything that begins with the parameter, in the order of bytes: U+10FFFF is behind whatever can follow. */
export function prefixRangeSql(column: string, parameter: string): string {
  return `${column} >= ${parameter}::text and ${column} < ${parameter}::text || U&'\\+10FFFF'`;
}

/** Finds a row when there is such a patient. */
export function patientExists(patientId: string): Statement {
  return { name: 'patient-exists', text: 'select 1 from kymo.patient where id = $1', values: [patientId] };
}

export function noSuchPatient(): AppError {
  return new AppError('not-found', 'there is no such patient');
}

export function outdated(): AppError {
  return new AppError('outdated', 'this has changed since you read it: read it again');
}
