/**
 * Owns notes: text about a patient or one of the sessions, replaced by whoever has read the newest revision. Every text that
 * a note has had is kept. A note about a sealed session is signed off with it and changes no more. Words are indexed one by
 * one (`indexedWords` of a note), so that search finds notes by index under row-level security.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { NoteRequest } from '#contract/care.ts';
import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import { authorOf } from '#clinic/author.ts';
import { pageText, parseIdCursor, rowsAsOrg, type JsonRow, type PageRequest } from '#clinic/json-pages.ts';
import { authoredFields, jsonObject } from '#clinic/json-sql.ts';
import { noSuchPatient, outdated, patientExists } from '#clinic/patient-sql.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { noSuchRecord, type RecordPlace } from '#clinic/revised-records.ts';
import { refuseUnstorable } from '#clinic/stored-text.ts';
import { lockSession } from '#clinic/visits.ts';
import { wordsOf } from '#clinic/words.ts';
import type { RolePool, Statement } from '#store/pools.ts';

export const noteLimits = {
  /** Two a day for seven years. */
  notes: 5_000,
  /** Of one note; who edits more often writes a new one. */
  revisions: 200,
  /** Different words of one note that search finds it by: those of 20,000 characters are about 2,000. */
  indexedWords: 2_000,
} as const;

/** Answers are JSON (contract/care.ts). AppError `not-found`: there is no such patient, or note of this patient. */
export interface Notes {
  /** NotePage, newest first. To a patient's account those that are shared. */
  list(principal: Principal, patientId: string, page: PageRequest): Promise<string>;
  /** Note. Errors: `not-found` (the session), `conflict` (the session is sealed), `limit-exceeded`. */
  add(principal: Principal, patientId: string, request: NoteRequest): Promise<string>;
  /** Note. Errors: `outdated`, `conflict` (sealed or withdrawn), `limit-exceeded`. */
  replace(principal: Principal, place: RecordPlace, request: NoteRequest): Promise<string>;
  /** Takes a note back: its text stays in the revisions alone. Errors as of `replace`. */
  withdraw(principal: Principal, place: RecordPlace, revision: number): Promise<string>;
  /** NoteRevisions; not for patients' accounts. */
  revisions(principal: Principal, place: RecordPlace): Promise<string>;
}

const noteJson = jsonObject({
  id: 'r.id',
  session: 'r.session_id',
  text: 'r.text',
  shared: 'r.is_shared',
  withdrawnAt: 'kymo.iso(r.withdrawn_at)',
  ...authoredFields,
});

export function createNotes(parts: { app: RolePool; clock: Clock; cache: ReadCache }): Notes {
  const { app, clock, cache } = parts;
  const change = (principal: Principal, patientId: string, statements: Statement[]): Promise<JsonRow[][]> =>
    cache.change(principal.orgId, [`notes:${patientId}`], () =>
      rowsAsOrg<JsonRow>(app, principal, { statements, mode: 'change' }),
    );
  const rewrite = async (principal: Principal, place: RecordPlace, text: Rewriting): Promise<string> => {
    const statements = [
      lockStatement(place),
      rewriteStatement(principal, place, text),
      standingStatement(place),
    ];
    const [, rows, found] = await change(principal, place.patientId, statements);
    const standing = found![0] as unknown as Standing | undefined;
    if (standing === undefined) throw noSuchRecord();
    if (rows!.length > 0) return rows![0]!.body;
    if (standing.revision !== text.revision) throw outdated();
    if (standing.revision >= noteLimits.revisions)
      throw new AppError('limit-exceeded', `a note has at most ${noteLimits.revisions} revisions`);
    throw new AppError(
      'conflict',
      standing.withdrawn ? 'this note was withdrawn' : 'the session of this note is sealed: write a new note',
    );
  };

  return {
    async list(principal, patientId, page) {
      authorise(principal, 'patient.read', { patientId });
      const query = `${patientId} ${page.limit} ${page.cursor ?? ''}`;
      return cache.read(principal, { name: 'notes', query, tags: [`notes:${patientId}`] }, async () => {
        const statements = [listStatement(patientId, page), patientExists(patientId)];
        const [rows, found] = await rowsAsOrg<JsonRow>(app, principal, { statements, mode: 'snapshot' });
        if (found!.length === 0) throw noSuchPatient();
        return pageText('notes', rows!, page.limit);
      });
    },
    async add(principal, patientId, request) {
      authorise(principal, 'patient.write', { patientId });
      if (request.revision !== undefined)
        throw new AppError('invalid-field', 'body /revision: a new note has none', { field: '/revision' });
      refuseUnstorable(request);
      const { session = null } = request;
      const statements = [
        ...(session === null ? [] : [lockSession(session)]),
        addStatement(principal, { id: uuidv7(clock), patientId }, request),
        aboutStatement(patientId, session),
      ];
      const [rows, found] = (await change(principal, patientId, statements)).slice(-2);
      if (rows!.length > 0) return rows![0]!.body;
      throw refusalOfNew(found![0] as unknown as About | undefined, request);
    },
    async replace(principal, place, { text, shared, revision, session }) {
      authorise(principal, 'patient.write', place);
      if (revision === undefined || session !== undefined)
        throw new AppError(
          'invalid-field',
          'body: a note that is replaced has a /revision and keeps its session',
          { field: revision === undefined ? '/revision' : '/session' },
        );
      refuseUnstorable({ text });
      return rewrite(principal, place, { revision, text, shared: shared ?? null, isWithdrawn: false });
    },
    async withdraw(principal, place, revision) {
      authorise(principal, 'patient.write', place);
      return rewrite(principal, place, { revision, text: '', shared: false, isWithdrawn: true });
    },
    async revisions(principal, place) {
      authorise(principal, 'patient.write', place);
      const statements = [revisionsStatement(place)];
      const [rows] = await rowsAsOrg<JsonRow>(app, principal, { statements, mode: 'snapshot' });
      if (rows!.length === 0) throw noSuchRecord();
      return rows![0]!.body;
    },
  };
}

function listStatement(patientId: string, { limit, cursor }: PageRequest): Statement {
  return {
    name: `notes${cursor === null ? '' : '-after'}`,
    text: `select ${noteJson}::text as body, r.id as cursor from kymo.note r
      where r.patient_id = $2 ${cursor === null ? '' : 'and r.id < $3'} order by r.id desc limit $1`,
    values: [limit + 1, patientId, ...(cursor === null ? [] : [parseIdCursor(cursor)])],
  };
}

// The note, its first revision and its words, in one statement.
function addStatement(principal: Principal, place: RecordPlace, request: NoteRequest): Statement {
  const { text, shared = false, session = null } = request;
  return {
    name: 'add-note',
    text: `with r as (
        insert into kymo.note (id, org_id, patient_id, session_id, text, is_shared, created_by, updated_by)
        select $1, p.org_id, p.id, $3, $4, $5, $6, $6 from kymo.patient p
         where p.id = $2 and (select count(*) from kymo.note c where c.patient_id = p.id) < ${noteLimits.notes}
           and ($3::uuid is null or exists (
             select from kymo.session s where s.id = $3 and s.patient_id = p.id and s.sealed_at is null))
        returning *),
      kept as (
        insert into kymo.note_revision (note_id, revision, org_id, patient_id, text, is_shared, written_by)
        select r.id, 1, r.org_id, r.patient_id, r.text, r.is_shared, r.created_by from r),
      words as (
        insert into kymo.note_word (org_id, word, note_id, patient_id)
        select r.org_id, w, r.id, r.patient_id from r cross join unnest($7::text[]) w)
      select ${noteJson}::text as body from r`,
    values: [
      place.id,
      place.patientId,
      session,
      text,
      shared,
      authorOf(principal),
      wordsOf(text, noteLimits.indexedWords),
    ],
  };
}

interface About {
  /** Null: there is no such session of this patient. */
  readonly sealed: boolean | null;
}

function aboutStatement(patientId: string, session: string | null): Statement {
  return {
    name: 'note-about',
    // The session is hidden from the planner, which would plan anew for each that is null.
    text: `select (select s.sealed_at is not null from kymo.session s
        where s.id = (select $2::uuid) and s.patient_id = p.id) as sealed
      from kymo.patient p where p.id = $1`,
    values: [patientId, session],
  };
}

function refusalOfNew(about: About | undefined, request: NoteRequest): AppError {
  if (about === undefined) return noSuchPatient();
  if (request.session !== undefined && about.sealed === null)
    return new AppError('not-found', 'the patient has no such session', { field: '/session' });
  if (about.sealed === true)
    return new AppError(
      'conflict',
      'this session is sealed: what is written later is a note of the patient',
      {
        field: '/session',
      },
    );
  return new AppError('limit-exceeded', `a patient has at most ${noteLimits.notes} notes`);
}

/** So that whoever signs the session off comes before or after, as `lockSession`. */
function lockStatement({ id }: RecordPlace): Statement {
  return {
    name: 'lock-session-of-note',
    text: `select from kymo.session s where s.id = (select n.session_id from kymo.note n where n.id = $1) for no key update`,
    values: [id],
  };
}

interface Rewriting {
  readonly revision: number;
  readonly text: string;
  /** Null: as before. */
  readonly shared: boolean | null;
  readonly isWithdrawn: boolean;
}

// Words that stay are left alone; each part sees the words as they were before.
function rewriteStatement(principal: Principal, place: RecordPlace, change: Rewriting): Statement {
  return {
    name: 'rewrite-note',
    text: `with r as (
        update kymo.note n set text = $4, is_shared = coalesce($5::boolean, n.is_shared), revision = n.revision + 1,
            withdrawn_at = case when $6::boolean then now() end, updated_at = now(), updated_by = $7
          where n.id = $1 and n.patient_id = $2 and n.revision = $3 and n.revision < ${noteLimits.revisions}
            and n.withdrawn_at is null
            and not exists (select from kymo.session s where s.id = n.session_id and s.sealed_at is not null)
        returning *),
      kept as (
        insert into kymo.note_revision (note_id, revision, org_id, patient_id, text, is_shared, is_withdrawn, written_by)
        select r.id, r.revision, r.org_id, r.patient_id, r.text, r.is_shared, $6::boolean, r.updated_by from r),
      gone as (
        delete from kymo.note_word w using r where w.note_id = r.id and w.word <> all($8::text[])),
      words as (
        insert into kymo.note_word (org_id, word, note_id, patient_id)
        select r.org_id, w, r.id, r.patient_id from r cross join unnest($8::text[]) w on conflict do nothing)
      select ${noteJson}::text as body from r`,
    values: [
      place.id,
      place.patientId,
      change.revision,
      change.text,
      change.shared,
      change.isWithdrawn,
      authorOf(principal),
      wordsOf(change.text, noteLimits.indexedWords),
    ],
  };
}

interface Standing {
  readonly revision: number;
  readonly withdrawn: boolean;
}

// After a change that was made it shows the new revision; it is looked at only where none was.
function standingStatement({ id, patientId }: RecordPlace): Statement {
  return {
    name: 'note-standing',
    text: `select revision, withdrawn_at is not null as withdrawn from kymo.note where id = $1 and patient_id = $2`,
    values: [id, patientId],
  };
}

function revisionsStatement({ id, patientId }: RecordPlace): Statement {
  const revision = jsonObject({
    revision: 'v.revision',
    text: 'v.text',
    shared: 'v.is_shared',
    withdrawn: 'v.is_withdrawn',
    writtenAt: 'kymo.iso(v.written_at)',
    writtenBy: 'v.written_by',
  });
  return {
    name: 'note-revisions',
    text: `select ${jsonObject({
      revisions: `(select json_agg(${revision} order by v.revision desc) from kymo.note_revision v where v.note_id = r.id)`,
    })}::text as body from kymo.note r where r.id = $1 and r.patient_id = $2`,
    values: [id, patientId],
  };
}
