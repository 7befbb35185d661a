/**
 * Owns records of a patient that are replaced as a whole: listed newest first, made, replaced by whoever has read the newest
 * revision, and removed. History, goals and programmes are such, each by its table and how a row is written as JSON. Every
 * call is one round trip.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import { authorOf } from '#clinic/author.ts';
import { pageText, parseIdCursor, rowsAsOrg, type JsonRow, type PageRequest } from '#clinic/json-pages.ts';
import { noSuchPatient, outdated, patientExists } from '#clinic/patient-sql.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { refuseUnstorable } from '#clinic/stored-text.ts';
import type { RolePool, Statement } from '#store/pools.ts';

/** One kind of record. In its SQL, `r` is the row. */
export interface RecordKind<Request> {
  readonly table: string;
  /** Of the list in a page. */
  readonly key: string;
  readonly json: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** One value a column. Throws AppError `invalid-field` for what no schema can refuse. */
  readonly values: (request: Request) => readonly unknown[];
  /** A cached page ends with a change of `TAG:PATIENT`, of this tag or of those in `alsoOf`. */
  readonly tag: string;
  readonly alsoOf?: readonly string[];
  /** What else a page depends on, such as the day. */
  readonly moment?: () => string;
  /** Records of a patient; more are refused with `limit-exceeded`. */
  readonly maximum: number;
}

/** Which record of which patient. */
export interface RecordPlace {
  readonly patientId: string;
  readonly id: string;
}

/** Answers are JSON. AppError `not-found`: there is no such patient, or record of this patient. */
export interface RevisedRecords<Request> {
  list(principal: Principal, patientId: string, page: PageRequest): Promise<string>;
  add(principal: Principal, patientId: string, request: Request): Promise<string>;
  /** Errors: `outdated`. */
  replace(principal: Principal, place: RecordPlace, request: Request): Promise<string>;
  remove(principal: Principal, place: RecordPlace): Promise<void>;
}

export function createRevisedRecords<Request extends { readonly revision?: number }>(
  parts: { app: RolePool; clock: Clock; cache: ReadCache },
  kind: RecordKind<Request>,
): RevisedRecords<Request> {
  const { app, clock, cache } = parts;
  const { table, columns } = kind;
  const names = columns.map(({ name }) => name).join(', ');
  const read = `${kind.json}::text as body`;

  const listStatement = (patientId: string, { limit, cursor }: PageRequest): Statement => ({
    name: `${table}-list${cursor === null ? '' : '-after'}`,
    text: `select ${read}, r.id as cursor from kymo.${table} r
      where r.patient_id = $2 ${cursor === null ? '' : 'and r.id < $3'} order by r.id desc limit $1`,
    values: [limit + 1, patientId, ...(cursor === null ? [] : [parseIdCursor(cursor)])],
  });

  const insertStatement = (principal: Principal, patientId: string, request: Request): Statement => ({
    name: `${table}-add`,
    // The patient is looked for under row-level security; a reference alone would accept another organisation's.
    text: `insert into kymo.${table} as r (id, org_id, patient_id, created_by, updated_by, ${names})
      select $1, p.org_id, p.id, $3, $3, ${columns.map(({ type }, i) => `$${i + 4}::${type}`).join(', ')}
        from kymo.patient p where p.id = $2
         and (select count(*) from kymo.${table} c where c.patient_id = p.id) < ${kind.maximum}
      returning ${read}`,
    values: [uuidv7(clock), patientId, authorOf(principal), ...kind.values(request)],
  });

  const replaceStatement = (principal: Principal, place: RecordPlace, request: Request): Statement => ({
    name: `${table}-replace`,
    text: `update kymo.${table} r set revision = r.revision + 1, updated_at = now(), updated_by = $4,
        ${columns.map(({ name, type }, i) => `${name} = $${i + 5}::${type}`).join(', ')}
      where r.id = $1 and r.patient_id = $2 and r.revision = $3 returning ${read}`,
    values: [place.id, place.patientId, request.revision, authorOf(principal), ...kind.values(request)],
  });

  const load = async (principal: Principal, patientId: string, page: PageRequest): Promise<string> => {
    const statements = [listStatement(patientId, page), patientExists(patientId)];
    const [rows, found] = await rowsAsOrg<JsonRow>(app, principal, { statements, mode: 'snapshot' });
    if (found!.length === 0) throw noSuchPatient();
    return pageText(kind.key, rows!, page.limit);
  };
  const change = <T>(principal: Principal, patientId: string, work: () => Promise<T>): Promise<T> =>
    cache.change(principal.orgId, [`${kind.tag}:${patientId}`], work);

  return {
    async list(principal, patientId, page) {
      authorise(principal, 'patient.read', { patientId });
      const query = `${patientId} ${kind.moment?.() ?? ''} ${page.limit} ${page.cursor ?? ''}`;
      const tags = [kind.tag, ...(kind.alsoOf ?? [])].map((tag) => `${tag}:${patientId}`);
      return cache.read(principal, { name: table, query, tags }, () => load(principal, patientId, page));
    },
    async add(principal, patientId, request) {
      authorise(principal, 'patient.write', { patientId });
      if (request.revision !== undefined)
        throw new AppError('invalid-field', 'body /revision: a new record has none', { field: '/revision' });
      refuseUnstorable(request);
      const statements = [insertStatement(principal, patientId, request), patientExists(patientId)];
      const [rows, found] = await change(principal, patientId, () =>
        rowsAsOrg<JsonRow>(app, principal, { statements, mode: 'change' }),
      );
      if (found!.length === 0) throw noSuchPatient();
      if (rows!.length === 0)
        throw new AppError('limit-exceeded', `a patient has at most ${kind.maximum} of these`);
      return rows![0]!.body;
    },
    async replace(principal, place, request) {
      authorise(principal, 'patient.write', place);
      if (request.revision === undefined)
        throw new AppError('invalid-field', 'body /revision is required', { field: '/revision' });
      refuseUnstorable(request);
      const exists: Statement = {
        name: `${table}-exists`,
        text: `select 1 from kymo.${table} where id = $1 and patient_id = $2`,
        values: [place.id, place.patientId],
      };
      const statements = [replaceStatement(principal, place, request), exists];
      const [rows, found] = await change(principal, place.patientId, () =>
        rowsAsOrg<JsonRow>(app, principal, { statements, mode: 'change' }),
      );
      if (found!.length === 0) throw noSuchRecord();
      if (rows!.length === 0) throw outdated();
      return rows![0]!.body;
    },
    async remove(principal, place) {
      authorise(principal, 'patient.write', place);
      const statement: Statement = {
        name: `${table}-remove`,
        text: `delete from kymo.${table} where id = $1 and patient_id = $2 returning 1`,
        values: [place.id, place.patientId],
      };
      const [rows] = await change(principal, place.patientId, () =>
        rowsAsOrg(app, principal, { statements: [statement], mode: 'change' }),
      );
      if (rows!.length === 0) throw noSuchRecord();
    },
  };
}

export function noSuchRecord(): AppError {
  return new AppError('not-found', 'the patient has no such record');
}
