/**
 * Owns search: patients by the beginning of the code or by an exact identifier, sessions by the beginning of the label, notes
 * by their words. One round trip; every part walks an index and stops at `searchFindings`. What is searched for may be a
 * name, so it is in no address, log or statement's text.
 */

import { clinicLimits } from '#contract/clinic.ts';
import { authorise, may } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import { rowsAsOrg } from '#clinic/json-pages.ts';
import { jsonObject } from '#clinic/json-sql.ts';
import type { KeyStore } from '#clinic/key-store.ts';
import { blindOf, searchedKinds } from '#clinic/master-keys.ts';
import { prefixRangeSql } from '#clinic/patient-sql.ts';
import { refuseUnstorable } from '#clinic/stored-text.ts';
import { wordsOf } from '#clinic/words.ts';
import type { RolePool, Statement } from '#store/pools.ts';

/** More words than these narrow nothing. */
const SEARCHED_WORDS = 8;
/** Notes that are asked for their other words: 20 ms of the database's time. Older ones with none but common words are missed. */
const WALKED_NOTES = 1_000;
/** Of a note's beginning. */
const SHOWN_CHARACTERS = 200;

export interface Found {
  /** SearchFindings as JSON. */
  readonly body: string;
  /** Whose records are in it. */
  readonly patientIds: readonly string[];
}

export interface Search {
  find(principal: Principal, text: string): Promise<Found>;
}

interface FoundRow {
  readonly part: 'named' | 'coded' | 'notes' | 'sessions';
  readonly id: string;
  readonly body: string;
  readonly patient_id: string | null;
}

export function createSearch({ app, keys }: { app: RolePool; keys: KeyStore }): Search {
  return {
    async find(principal, text) {
      authorise(principal, 'patient.read', null);
      refuseUnstorable({ text });
      const typed = text.trim();
      if (typed === '') return { body: '{"patients":[],"sessions":[],"notes":[]}', patientIds: [] };
      const indexKey = await keys.indexKey(principal, { make: false });
      const blinds =
        indexKey === null
          ? []
          : searchedKinds.map((kind) => blindOf(indexKey, kind, typed)).filter((blind) => blind !== null);
      const words = wordsOf(typed, SEARCHED_WORDS);
      // Recordings are another permission.
      const parts = { named, coded, notes, ...(may(principal, 'session.read') ? { sessions } : {}) };
      const statements = [statementOf(parts, [blinds, typed, words])];
      const [rows] = await rowsAsOrg<FoundRow>(app, principal, { statements, mode: 'snapshot' });
      const of = (part: FoundRow['part']): FoundRow[] => rows!.filter((row) => row.part === part);
      const byIdentifier = of('named');
      const known = new Set(byIdentifier.map(({ id }) => id));
      const byCode = of('coded').filter(({ id }) => !known.has(id));
      const patients = [...byIdentifier, ...byCode].slice(0, clinicLimits.searchFindings);
      const shown = [...patients, ...of('notes'), ...of('sessions')];
      return {
        body: `{"patients":${list(patients)},"sessions":${list(of('sessions'))},"notes":${list(of('notes'))}}`,
        patientIds: [...new Set(shown.map((row) => row.patient_id).filter((id) => id !== null))],
      };
    },
  };
}

function list(rows: readonly FoundRow[]): string {
  return `[${rows.map(({ body }) => body).join(',')}]`;
}

const patientFields = {
  id: 'p.id',
  code: 'p.code',
  diagnosis: 'p.diagnosis',
  birthYear: 'p.birth_year',
  archivedAt: 'kymo.iso(p.archived_at)',
} as const;

/** All parts in one statement, each in its own order. `$1` blind indexes, `$2` what was typed, `$3` its words. */
function statementOf(
  parts: Readonly<Partial<Record<FoundRow['part'], string>>>,
  values: readonly unknown[],
): Statement {
  const names = Object.keys(parts);
  const found = Object.entries(parts).map(
    ([part, text]) =>
      `select '${part}' as part, row_number() over () as at, x.id, x.patient_id, x.body from (${text}) x`,
  );
  return {
    name: `search-${names.join('-')}`,
    text: `with asked as materialized (select $3::text[] as words)
      select part, id, patient_id, body from (${found.join(' union all ')}) every order by part, at`,
    values,
  };
}

const named = `
  select distinct on (p.id) p.id, p.id as patient_id, ${jsonObject({ ...patientFields, by: 'i.kind' })}::text as body
    from kymo.patient_identifier i join kymo.patient p on p.id = i.patient_id
   where i.org_id = kymo.current_org() and i.blind = any($1::bytea[])
   order by p.id desc, i.kind limit ${clinicLimits.searchFindings}`;

const coded = `
  select p.id, p.id as patient_id, ${jsonObject({ ...patientFields, by: "'code'" })}::text as body
    from kymo.patient p where ${prefixRangeSql('p.code_key', 'lower($2)')}
   order by p.code_key limit ${clinicLimits.searchFindings}`;

const sessions = `
  select s.id, s.patient_id, ${jsonObject({
    id: 's.id',
    label: 's.label',
    startedAt: 'kymo.iso(s.started_at)',
    patient: 's.patient_id',
  })}::text as body
    from kymo.session s where s.label <> '' and ${prefixRangeSql('s.label_key', 'lower($2)')}
   order by s.label_key, s.id limit ${clinicLimits.searchFindings}`;

// The rarest word is walked, newest note first, and each of its notes is asked for the other words. How many words there are
// is hidden from the planner, which would plan anew for each number.
const notes = `
  with known as materialized (
      select w, (select count(*) from (
          select from kymo.note_word c where c.org_id = kymo.current_org() and c.word = w limit ${WALKED_NOTES}) n) as notes
        from asked cross join unnest(asked.words) w),
    rarest as materialized (select w from known order by notes, w limit 1)
  select n.id, n.patient_id, ${jsonObject({
    id: 'n.id',
    patient: 'n.patient_id',
    code: 'p.code',
    text: `left(n.text, ${SHOWN_CHARACTERS})`,
    updatedAt: 'kymo.iso(n.updated_at)',
  })}::text as body
    from (select c.note_id from kymo.note_word c
           where c.org_id = kymo.current_org() and c.word = (select w from rarest)
           order by c.note_id desc limit ${WALKED_NOTES}) w
    join kymo.note n on n.id = w.note_id join kymo.patient p on p.id = n.patient_id
   where (select count(*) from kymo.note_word o
           where o.org_id = kymo.current_org() and o.note_id = w.note_id
             and o.word = any((select words from asked)::text[])) = (select cardinality(words) from asked)
   order by w.note_id desc limit ${clinicLimits.searchFindings}`;
