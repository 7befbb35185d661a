/**
 * Owns patients: making, listing, changing and archiving them, the overview of one and the progress of one over sessions.
 * Reads are one statement in one round trip and come as the JSON that is sent. A change names the revision that it was made
 * from; what is older is answered `outdated`, and nothing of it is stored.
 */

import type { ConsentPurpose, PatientChange, PatientRequest } from '#contract/clinic.ts';
import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import {
  cursorTimeSql,
  invalidCursor,
  pageText,
  parseTimeCursor,
  rowsAsOrg,
  timeCursorSql,
  type JsonRow,
  type PageRequest,
} from '#clinic/json-pages.ts';
import { createPatient, type CreationParts } from '#clinic/patient-creation.ts';
import {
  noSuchPatient,
  outdated,
  overviewText,
  patientExists,
  patientJson,
  prefixRangeSql,
  summaryColumns,
  summaryJson,
} from '#clinic/patient-sql.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { jsonObject } from '#clinic/json-sql.ts';
import { refuseUnstorable } from '#clinic/stored-text.ts';
import { pageRows } from '#store/page-rows.ts';
import type { Statement } from '#store/pools.ts';

export interface PatientFilter {
  readonly state: 'active' | 'archived' | 'all';
  /** Beginning of the code; the list is then in the order of codes, else newest first. */
  readonly code: string | null;
  readonly consent: ConsentPurpose | null;
  readonly affectedSide: 'left' | 'right' | 'both' | 'none' | null;
}

/** Answers are JSON texts of contract/clinic.ts. AppError `not-found`: there is no such patient. */
export interface PatientRecords {
  /** PatientPage. */
  list(principal: Principal, filter: PatientFilter, page: PageRequest): Promise<string>;
  /** PatientOverview. */
  overview(principal: Principal, patientId: string): Promise<string>;
  /** ProgressPage: the headline figures, or those of `metrics`. */
  progress(
    principal: Principal,
    patientId: string,
    wanted: PageRequest & { readonly metrics: readonly string[] | null },
  ): Promise<string>;
  /** Patient. Asking again with the same id and code answers the same. Errors: `conflict`, `erased`. */
  create(principal: Principal, request: PatientRequest): Promise<string>;
  /** Patient. Errors: `outdated`, `conflict` (code). */
  change(principal: Principal, patientId: string, change: PatientChange): Promise<string>;
}

export function createPatientRecords(parts: CreationParts & { cache: ReadCache }): PatientRecords {
  const { app, cache } = parts;
  return {
    async list(principal, filter, page) {
      const own = principal.role === 'patient' ? { patientId: principal.patientId } : null;
      authorise(principal, 'patient.read', own);
      const { state, code, consent, affectedSide } = filter;
      const query = JSON.stringify([state, code, consent, affectedSide, page.limit, page.cursor]);
      return cache.read(principal, { name: 'patients', query, tags: ['patients'] }, async () => {
        const statements = [listStatement(filter, page)];
        const [rows] = await rowsAsOrg<JsonRow>(app, principal, { statements, mode: 'snapshot' });
        return pageText('patients', rows!, page.limit);
      });
    },
    async overview(principal, patientId) {
      authorise(principal, 'patient.read', { patientId });
      const tags = [`patient:${patientId}`];
      return cache.read(principal, { name: 'patient', query: patientId, tags }, async () => {
        const statements = [{ name: 'patient-overview', text: overviewText, values: [patientId] }];
        const [rows] = await rowsAsOrg<JsonRow>(app, principal, { statements, mode: 'snapshot' });
        if (rows!.length === 0) throw noSuchPatient();
        return rows![0]!.body;
      });
    },
    async progress(principal, patientId, wanted) {
      authorise(principal, 'patient.read', { patientId });
      const query = `${patientId} ${wanted.limit} ${wanted.cursor ?? '-'} ${wanted.metrics?.join() ?? '-'}`;
      const tags = [`patient:${patientId}`];
      return cache.read(principal, { name: 'progress', query, tags }, async () => {
        const statements = [progressStatement(patientId, wanted)];
        const [rows] = await rowsAsOrg<JsonRow | NoRow>(app, principal, { statements, mode: 'snapshot' });
        if (rows!.length === 0) throw noSuchPatient();
        return pageText('sessions', rows!.filter(isRow), wanted.limit);
      });
    },
    async create(principal, request) {
      authorise(principal, 'patient.write', null);
      refuseUnstorable(request);
      return cache.change(principal.orgId, ['patients'], () => createPatient(parts, principal, request));
    },
    async change(principal, patientId, change) {
      authorise(principal, 'patient.write', { patientId });
      refuseUnstorable(change);
      const statements = [changeStatement(patientId, change), patientExists(patientId)];
      const [changed, found] = await cache.change(principal.orgId, ['patients', `patient:${patientId}`], () =>
        rowsAsOrg<JsonRow>(app, principal, { statements, mode: 'change' }),
      );
      if (found!.length === 0) throw noSuchPatient();
      const body = changed![0]?.body;
      if (body === undefined) throw outdated();
      return body;
    },
  };
}

// One text for each combination of filters, so that each is planned once a connection.
function listStatement(filter: PatientFilter, { limit, cursor }: PageRequest): Statement {
  const values: unknown[] = [];
  const conditions: string[] = [];
  const rows = pageRows(limit);
  const names: string[] = ['patients', String(rows)];
  const add = (name: string, condition: (...parameters: string[]) => string, ...given: unknown[]): void => {
    conditions.push(condition(...given.map((value) => `$${values.push(value)}`)));
    names.push(name);
  };
  if (filter.state === 'active') add('active', () => 'p.archived_at is null');
  if (filter.state === 'archived') add('archived', () => 'p.archived_at is not null');
  const byCode = filter.code !== null;
  if (filter.code !== null) add('code', codeRange, filter.code.toLowerCase());
  if (filter.consent !== null) add('consent', (purpose) => `${purpose} = any(p.consents)`, filter.consent);
  if (filter.affectedSide !== null) add('side', (side) => `p.affected_side = ${side}`, filter.affectedSide);
  if (cursor !== null && byCode) add('after', (code) => `p.code_key > ${code}`, parseCodeCursor(cursor));
  if (cursor !== null && !byCode)
    add(
      'after',
      (us, id) => `(p.created_at, p.id) < (${cursorTimeSql(us)}, ${id}::uuid)`,
      ...parseTimeCursor(cursor),
    );
  const order = byCode ? 'p.code_key' : 'p.created_at desc, p.id desc';
  return {
    name: names.join('-'),
    text: `select ${summaryJson}::text as body, ${byCode ? "'c.' || p.code_key" : timeCursorSql('p.created_at', 'p.id')} as cursor
      from (select ${summaryColumns} from kymo.patient p ${conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`}
             order by ${order} limit ${rows}) p order by ${order}`,
    values,
  };
}

const codeRange = (parameter: string): string => prefixRangeSql('p.code_key', parameter);

function parseCodeCursor(cursor: string): string {
  const match = /^c\.([a-z0-9][a-z0-9._-]{0,31})$/.exec(cursor);
  if (match === null) throw invalidCursor();
  return match[1]!;
}

function progressStatement(
  patientId: string,
  { limit, cursor, metrics }: PageRequest & { readonly metrics: readonly string[] | null },
): Statement {
  const values: unknown[] = [patientId];
  const rows = pageRows(limit);
  const names = ['progress', String(rows)];
  let figures = 'y.headline';
  let after = '';
  if (metrics !== null) {
    const wanted = `$${values.push(metrics)}::text[]`;
    figures = `(select coalesce(jsonb_agg(f order by o), '[]')
      from jsonb_array_elements(y.figures) with ordinality e(f, o) where f->>'metric' = any(${wanted}))`;
    names.push('metrics');
  }
  if (cursor !== null) {
    const [us, id] = parseTimeCursor(cursor).map((value) => `$${values.push(value)}`);
    after = `and (y.started_at, y.session_id) < (${cursorTimeSql(us!)}, ${id}::uuid)`;
    names.push('after');
  }
  return {
    name: names.join('-'),
    // A patient without sessions is a row of nulls, so that nobody has to be asked whether there is such a patient.
    text: `select f.body, f.cursor from kymo.patient p left join lateral (
        select ${jsonObject({
          session: 'y.session_id',
          startedAt: 'kymo.iso(y.started_at)',
          durationS: 'y.duration_s',
          algorithm: 'y.algorithm',
          algorithmVersion: 'y.algorithm_version',
          figures,
        })}::text as body,
            ${timeCursorSql('y.started_at', 'y.session_id')} as cursor, y.started_at, y.session_id
          from kymo.session_summary y where y.patient_id = p.id ${after}
          order by y.started_at desc, y.session_id desc limit ${rows}) f on true
      where p.id = $1 order by f.started_at desc, f.session_id desc`,
    values,
  };
}

/** Of a patient without any. */
interface NoRow {
  readonly body: null;
}

function isRow(row: JsonRow | NoRow): row is JsonRow {
  return row.body !== null;
}

// What is absent of a change stays. `?` and not null decides: null empties.
function changeStatement(patientId: string, { revision, archived, ...fields }: PatientChange): Statement {
  const set = (column: string, field: string, type: string): string =>
    `${column} = case when $3::jsonb ? '${field}' then ($3::jsonb->>'${field}')::${type} else p.${column} end`;
  return {
    name: 'change-patient',
    text: `update kymo.patient p set ${set('code', 'code', 'text')}, ${set('birth_year', 'birthYear', 'smallint')},
        ${set('sex', 'sex', 'text')}, ${set('height_m', 'heightM', 'real')}, ${set('mass_kg', 'massKg', 'real')},
        ${set('affected_side', 'affectedSide', 'text')}, ${set('diagnosis', 'diagnosis', 'text')},
        archived_at = case when $4::boolean is null then p.archived_at
          when $4 then coalesce(p.archived_at, now()) end,
        revision = p.revision + 1, updated_at = now()
      where p.id = $1 and p.revision = $2 returning ${patientJson}::text as body`,
    values: [patientId, revision, JSON.stringify(fields), archived ?? null],
  };
}
