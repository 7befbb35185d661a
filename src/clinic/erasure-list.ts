/**
 * Owns the list of what was erased, which is kept outside the database, and its use after a restore: a back-up brings back what
 * was erased after it was made, so all of the list is erased again, and what the back-up does not have is remembered as erased,
 * so that no device sends it once more. Ids and times only. One JSON object a line; the last says how many there are, so that a
 * list that was cut is refused. Nothing is held but a batch.
 */

import type pg from 'pg';

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import { erasePatient } from '#clinic/patient-erasure.ts';
import { erase } from '#store/erasure.ts';
import type { Pools } from '#store/pools.ts';

const kinds = ['patient', 'session', 'stream'] as const;

export interface ListedErasure {
  readonly org: string;
  readonly kind: (typeof kinds)[number];
  readonly id: string;
  /** ISO 8601. */
  readonly at: string;
}

/** Of one statement: 50 kB. */
const BATCH = 1_000;
/** Held things that are named in an outcome. */
const NAMED = 100;

/** All lines of the list of this database, its end among them. */
export async function* erasureLines(owner: pg.Pool): AsyncGenerator<string> {
  let count = 0;
  // Patients first: their sessions go with them.
  for (const source of sources) {
    let after: readonly string[] = source.first;
    for (;;) {
      const { rows } = await owner.query<ListedErasure>({ text: source.text, values: [...after] });
      for (const { org, kind, id, at } of rows) yield JSON.stringify({ org, kind, id, at });
      count += rows.length;
      if (rows.length < BATCH) break;
      const { org, kind, id } = rows.at(-1)!;
      after = [org, kind, id];
    }
  }
  yield JSON.stringify({ end: count });
}

const NIL = '00000000-0000-0000-0000-000000000000';
// Both walk a primary key.
const sources = [
  {
    first: [NIL, '', NIL],
    text: `select org_id as org, 'patient' as kind, patient_id as id, kymo.iso(erased_at) as at from kymo.erased_patient
      where $2::text is not null and (org_id, patient_id) > ($1::uuid, $3::uuid)
      order by org_id, patient_id limit ${BATCH}`,
  },
  {
    first: [NIL, '', NIL],
    text: `select org_id as org, kind, id, kymo.iso(erased_at) as at from kymo.erased
      where (org_id, kind, id) > ($1::uuid, $2, $3::uuid) order by org_id, kind, id limit ${BATCH}`,
  },
] as const;

/** Erasures of the lines of one list, or of several behind each other. Throws AppError `malformed-message` that names the line. */
export async function* parseErasures(lines: AsyncIterable<string>): AsyncGenerator<ListedErasure> {
  let number = 0;
  let count = 0;
  let isEnded = false;
  const refuse = (why: string): AppError =>
    new AppError('malformed-message', `line ${number} of the list of erasures ${why}`);
  for await (const line of lines) {
    number++;
    if (line.trim() === '') continue;
    const parsed = parseLine(line);
    if (parsed === null) throw refuse('is none that kymo erasures writes');
    isEnded = 'end' in parsed;
    if ('end' in parsed) {
      if (parsed.end !== count) throw refuse(`says ${parsed.end}, and ${count} stand before it`);
      count = 0;
    } else {
      count++;
      yield parsed;
    }
  }
  if (!isEnded) throw refuse('is its last, and its end is missing: it was cut');
}

const idPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function parseLine(line: string): ListedErasure | { readonly end: number } | null {
  let value: Partial<Record<keyof ListedErasure | 'end', unknown>> | null;
  try {
    value = JSON.parse(line) as typeof value;
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { org, kind, id, at, end } = value;
  if (typeof end === 'number') return { end };
  const isId = (text: unknown): text is string => typeof text === 'string' && idPattern.test(text);
  const known = kinds.find((one) => one === kind);
  if (!isId(org) || !isId(id) || known === undefined) return null;
  if (typeof at !== 'string' || Number.isNaN(Date.parse(at))) return null;
  return { org, kind: known, id, at };
}

export interface ErasedAgain {
  /** What was there again. */
  readonly erased: number;
  /** What was not there, and is remembered as erased. */
  readonly remembered: number;
  /** Of organisations that are not there. */
  readonly elsewhere: number;
  /** Under a legal hold, and left as they are; the first of them are named. */
  readonly held: { readonly count: number; readonly named: readonly ListedErasure[] };
}

export interface ErasingAgain {
  readonly owner: pg.Pool;
  readonly pools: Pick<Pools, 'app' | 'writer'>;
  /** Before one is erased; rejects when it cannot be recorded, and then it is not. */
  readonly record: (erasure: ListedErasure) => Promise<void>;
}

/** Erases all of `list`. May be interrupted and called again. */
export async function eraseAgain(
  parts: ErasingAgain,
  list: AsyncIterable<ListedErasure>,
): Promise<ErasedAgain> {
  const total = { erased: 0, remembered: 0, elsewhere: 0, held: 0 };
  const named: ListedErasure[] = [];
  const takeBatch = async (batch: readonly ListedErasure[]): Promise<void> => {
    const { present, remembered, elsewhere } = await sort(parts.owner, batch);
    total.remembered += remembered;
    total.elsewhere += elsewhere;
    for (const erasure of present) {
      await parts.record(erasure);
      if ((await eraseOne(parts, erasure)) !== 'held') total.erased++;
      else if (++total.held <= NAMED) named.push(erasure);
    }
  };
  let batch: ListedErasure[] = [];
  for await (const erasure of list) {
    batch.push(erasure);
    if (batch.length < BATCH) continue;
    await takeBatch(batch);
    batch = [];
  }
  if (batch.length > 0) await takeBatch(batch);
  const { held: count, ...rest } = total;
  return { ...rest, held: { count, named } };
}

async function eraseOne(
  { pools }: ErasingAgain,
  { org, kind, id }: ListedErasure,
): Promise<'erased' | 'held' | 'not-found'> {
  if (kind !== 'patient') return erase(pools, org, { kind, id });
  const actor = { orgId: org, role: 'service', patientId: null, permissions: ['patient.erase'] } as const;
  return erasePatient({ pools, cache: { invalidate: () => Promise.resolve() } }, actor, id);
}

/** Remembers what is not there; returns what is. */
async function sort(
  owner: pg.Pool,
  batch: readonly ListedErasure[],
): Promise<{
  readonly present: readonly ListedErasure[];
  readonly remembered: number;
  readonly elsewhere: number;
}> {
  const { rows } = await owner.query<{ place: number; is_there: boolean | null }>({
    text: `with listed as (
        select l.*, case l.kind
            when 'patient' then exists (select from kymo.patient p where p.id = l.id and p.org_id = l.org_id)
            when 'session' then exists (select from kymo.session s where s.id = l.id and s.org_id = l.org_id)
            else exists (select from kymo.stream t where t.id = l.id and t.org_id = l.org_id) end as is_there
          from unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[]) with ordinality as l (org_id, kind, id, at, place)
          join kymo.organisation o on o.id = l.org_id),
      patients as (
        insert into kymo.erased_patient (org_id, patient_id, erased_at)
        select org_id, id, at from listed where kind = 'patient' and not is_there on conflict do nothing),
      others as (
        insert into kymo.erased (org_id, kind, id, erased_at)
        select org_id, kind, id, at from listed where kind <> 'patient' and not is_there on conflict do nothing)
      select place::integer, is_there from listed order by place`,
    values: [
      batch.map(({ org }) => org),
      batch.map(({ kind }) => kind),
      batch.map(({ id }) => id),
      batch.map(({ at }) => at),
    ],
  });
  const present = rows.flatMap(({ place, is_there }) => {
    const erasure = batch[place - 1];
    assert(erasure !== undefined, 'what is sorted stands in the batch');
    return is_there === true ? [erasure] : [];
  });
  return { present, remembered: rows.length - present.length, elsewhere: batch.length - rows.length };
}
