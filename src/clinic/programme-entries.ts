/**
 * Owns what was done of a programme: one entry a day and exercise; writing it again replaces it. A patient writes down what
 * was done too, and changes such entries alone: what the clinic put down stays as it is.
 */

import { AppError } from '#base/errors.ts';
import type { EntryRequest } from '#contract/care.ts';
import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import { authorOf } from '#clinic/author.ts';
import { invalidCursor, pageText, rowsAsOrg, type JsonRow, type PageRequest } from '#clinic/json-pages.ts';
import { isDay as isDayThatIs, refuseNoDays } from '#clinic/days.ts';
import { jsonDay, jsonObject } from '#clinic/json-sql.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { noSuchRecord } from '#clinic/revised-records.ts';
import { refuseUnstorable } from '#clinic/stored-text.ts';
import type { RolePool, Statement } from '#store/pools.ts';

export interface ProgrammePlace {
  readonly patientId: string;
  readonly programmeId: string;
}

export interface EntryPlace extends ProgrammePlace {
  readonly day: string;
  readonly exercise: string;
}

/** Answers are JSON (contract/care.ts). AppError `not-found`: there is no such programme of this patient, or no such exercise in it. */
export interface ProgrammeEntries {
  /** EntryPage, newest day first. */
  list(principal: Principal, place: ProgrammePlace, page: PageRequest): Promise<string>;
  /**
   * ProgrammeEntry. Errors: `invalid-field`: a day before the programme, after its end, or yet to come; `conflict`: a patient
   * over an entry of the clinic.
   */
  put(principal: Principal, place: EntryPlace, request: EntryRequest): Promise<string>;
  /** `not-found` too: a patient asks for an entry of the clinic to go. */
  remove(principal: Principal, place: EntryPlace): Promise<void>;
}

const entryJson = `${jsonObject({
  day: jsonDay('n.day'),
  exercise: 'n.exercise',
  times: 'n.times',
  pain: 'n.pain',
  effort: 'n.effort',
  comment: 'n.comment',
  recordedAt: 'kymo.iso(n.recorded_at)',
  recordedBy: 'n.recorded_by',
})}::text as body`;

export function createProgrammeEntries({
  app,
  cache,
}: {
  app: RolePool;
  cache: ReadCache;
}): ProgrammeEntries {
  const change = <T>(principal: Principal, place: ProgrammePlace, work: () => Promise<T>): Promise<T> =>
    cache.change(principal.orgId, [`programmes:${place.patientId}`], work);
  return {
    async list(principal, { patientId, programmeId }, { limit, cursor }) {
      authorise(principal, 'patient.read', { patientId });
      const statements = [
        listStatement(programmeId, patientId, { limit, cursor }),
        {
          name: 'programme-exists',
          text: 'select 1 from kymo.programme where id = $1 and patient_id = $2',
          values: [programmeId, patientId],
        },
      ];
      const [rows, found] = await rowsAsOrg<JsonRow>(app, principal, { statements, mode: 'snapshot' });
      if (found!.length === 0) throw noSuchRecord();
      return pageText('entries', rows!, limit);
    },
    async put(principal, place, request) {
      authorise(principal, 'programme.record', place);
      refuseNoDays({ day: place.day });
      refuseUnstorable(request);
      const statements = [putStatement(principal, place, request), programmeStatement(place)];
      const [rows, found] = await change(principal, place, () =>
        rowsAsOrg<JsonRow & { readonly is_day?: boolean }>(app, principal, { statements, mode: 'change' }),
      );
      if (found!.length === 0) throw noSuchRecord();
      if (rows!.length > 0) return rows![0]!.body;
      if (found![0]!.is_day === true)
        throw new AppError('conflict', 'your clinic has written this day down already');
      throw new AppError('invalid-field', 'path /day is not one of the programme, or is yet to come', {
        field: '/day',
      });
    },
    async remove(principal, place) {
      authorise(principal, 'programme.record', place);
      refuseNoDays({ day: place.day });
      const statement: Statement = {
        name: 'remove-entry',
        text: `delete from kymo.programme_entry
          where programme_id = $1 and day = $2::date and exercise = $3 and patient_id = $4
            and ($5::text is null or recorded_by = $5) returning 1`,
        values: [place.programmeId, place.day, place.exercise, place.patientId, onlyOf(principal)],
      };
      const [rows] = await change(principal, place, () =>
        rowsAsOrg(app, principal, { statements: [statement], mode: 'change' }),
      );
      if (rows!.length === 0) throw noSuchRecord();
    },
  };
}

function listStatement(programmeId: string, patientId: string, { limit, cursor }: PageRequest): Statement {
  const values: unknown[] = [limit + 1, programmeId, patientId];
  let after = '';
  if (cursor !== null) {
    const match = /^(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))\.([a-z0-9-]{1,32})$/.exec(cursor);
    if (match === null || !isDayThatIs(match[1]!)) throw invalidCursor();
    after = 'and (n.day, n.exercise) < ($4::date, $5)';
    values.push(match[1], match[2]);
  }
  return {
    name: `entries${cursor === null ? '' : '-after'}`,
    text: `select ${entryJson}, to_char(n.day, 'YYYY-MM-DD') || '.' || n.exercise as cursor from kymo.programme_entry n
      where n.programme_id = $2 and n.patient_id = $3 ${after} order by n.day desc, n.exercise desc limit $1`,
    values,
  };
}

/** Whose entries may be changed; null: all. */
function onlyOf(principal: Principal): string | null {
  return principal.role === 'patient' ? authorOf(principal) : null;
}

/** Of `g`. A day more than that of UTC, for whoever lives east of it. */
const isDay = `$2::date between g.begins_on and least(g.ends_on, (now() at time zone 'utc')::date + 1)`;

function putStatement(principal: Principal, place: EntryPlace, request: EntryRequest): Statement {
  return {
    name: 'put-entry',
    text: `insert into kymo.programme_entry as n
        (programme_id, day, exercise, org_id, patient_id, times, pain, effort, comment, recorded_by)
      select g.id, $2::date, $3, g.org_id, g.patient_id, $5, $6, $7, $8, $9 from kymo.programme g
       where g.id = $1 and g.patient_id = $4 and ${isDay}
         and exists (select from jsonb_array_elements(g.exercises) x where x->>'id' = $3)
      on conflict (programme_id, day, exercise) do update set times = excluded.times, pain = excluded.pain,
        effort = excluded.effort, comment = excluded.comment, recorded_at = now(), recorded_by = excluded.recorded_by
        where $10::text is null or n.recorded_by = $10
      returning ${entryJson}`,
    values: [
      place.programmeId,
      place.day,
      place.exercise,
      place.patientId,
      request.times,
      request.pain ?? null,
      request.effort ?? null,
      request.comment ?? '',
      authorOf(principal),
      onlyOf(principal),
    ],
  };
}

function programmeStatement({ programmeId, day, patientId, exercise }: EntryPlace): Statement {
  return {
    name: 'programme-has-exercise',
    text: `select ${isDay} as is_day from kymo.programme g where g.id = $1 and g.patient_id = $4
      and exists (select from jsonb_array_elements(g.exercises) x where x->>'id' = $3)`,
    values: [programmeId, day, exercise, patientId],
  };
}
