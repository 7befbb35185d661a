/**
 * Owns what a patient is given of all that is kept about them (GDPR articles 15 and 20): JSON for what was written down, CSV
 * for figures of sessions. Parts come one after another and each is read in pages, so that no size of record fills memory.
 * Readings are not in it: the export of a session has them.
 */

import type { PatientIdentifiers } from '#contract/clinic.ts';
import { authorise, type Actor } from '#contract/permissions.ts';
import { readIdentifiers } from '#clinic/identifiers.ts';
import { rowsAsOrg, type JsonRow } from '#clinic/json-pages.ts';
import { authoredFields, jsonDay, jsonObject } from '#clinic/json-sql.ts';
import type { MasterKeys } from '#clinic/master-keys.ts';
import { noSuchPatient, patientJson } from '#clinic/patient-sql.ts';
import type { RolePool } from '#store/pools.ts';

export interface ExportPart {
  /** A file name without anything of the patient. */
  readonly name: string;
  readonly type: 'application/json' | 'text/csv';
  /** UTF-8. */
  readonly content: AsyncIterable<Uint8Array>;
}

export interface ExportParts {
  readonly app: RolePool;
  readonly masters: MasterKeys;
}

/** Rows of one round trip: notes of 20 kB make 4 MB. */
const PAGE_ROWS = 200;

/**
 * The parts in their order; `content` of one is to be read before the next is asked for. Errors: `not-found`; `conflict`:
 * the master key is not here.
 */
export async function* exportPatient(
  parts: ExportParts,
  actor: Actor,
  patientId: string,
): AsyncGenerator<ExportPart> {
  authorise(actor, 'patient.export', { patientId });
  const { app } = parts;
  const statements = [
    {
      text: `select ${patientJson}::text as body, '' as cursor from kymo.patient p where p.id = $1`,
      values: [patientId],
    },
  ];
  const [patient] = await rowsAsOrg<JsonRow>(app, actor, { statements, mode: 'snapshot' });
  if (patient!.length === 0) throw noSuchPatient();
  const identifiers: PatientIdentifiers = await readIdentifiers(parts, actor, patientId);
  yield {
    name: 'patient.json',
    type: 'application/json',
    content: textOf(`{"patient":${patient![0]!.body},"identifiers":${JSON.stringify(identifiers)}}\n`),
  };
  for (const list of lists)
    yield {
      name: `${list.name}.json`,
      type: 'application/json',
      content: jsonArray(rowsOf(app, actor, { ...list, patientId })),
    };
  for (const table of tables)
    yield {
      name: `${table.name}.csv`,
      type: 'text/csv',
      content: csvOf(table.header, rowsOf(app, actor, { ...table, patientId })),
    };
}

interface Listing {
  readonly name: string;
  /** SQL of one row's JSON. */
  readonly body: string;
  /** What follows `from`; the patient is $1. */
  readonly from: string;
  /** What rows are ordered by, unique, as text. */
  readonly key: string;
}

const lists: readonly Listing[] = [
  {
    name: 'consents',
    body: jsonObject({
      purpose: 'r.purpose',
      decision: 'r.decision',
      decidedAt: 'kymo.iso(r.decided_at)',
      reference: 'r.reference',
      recordedAt: 'kymo.iso(r.recorded_at)',
    }),
    from: 'kymo.patient_consent r where r.patient_id = $1',
    key: 'r.id',
  },
  {
    name: 'history',
    body: jsonObject({
      kind: 'r.kind',
      text: 'r.text',
      begunOn: jsonDay('r.begun_on'),
      endedOn: jsonDay('r.ended_on'),
      ...authoredFields,
    }),
    from: 'kymo.patient_history r where r.patient_id = $1',
    key: 'r.id',
  },
  {
    name: 'notes',
    body: jsonObject({
      id: 'r.id',
      session: 'r.session_id',
      withdrawnAt: 'kymo.iso(r.withdrawn_at)',
      revisions: `(select json_agg(${jsonObject({
        revision: 'v.revision',
        text: 'v.text',
        writtenAt: 'kymo.iso(v.written_at)',
        writtenBy: 'v.written_by',
      })} order by v.revision) from kymo.note_revision v where v.note_id = r.id)`,
    }),
    from: 'kymo.note r where r.patient_id = $1',
    key: 'r.id',
  },
  {
    name: 'goals',
    body: jsonObject({
      text: 'r.text',
      metric: 'r.metric',
      side: 'r.side',
      direction: 'r.direction',
      target: 'r.target',
      dueOn: jsonDay('r.due_on'),
      state: 'r.state',
      ...authoredFields,
    }),
    from: 'kymo.goal r where r.patient_id = $1',
    key: 'r.id',
  },
  {
    name: 'programmes',
    body: jsonObject({
      id: 'r.id',
      title: 'r.title',
      instructions: 'r.instructions',
      exercises: 'r.exercises',
      beginsOn: jsonDay('r.begins_on'),
      endsOn: jsonDay('r.ends_on'),
      state: 'r.state',
      entries: `(select coalesce(json_agg(${jsonObject({
        day: jsonDay('n.day'),
        exercise: 'n.exercise',
        times: 'n.times',
        pain: 'n.pain',
        effort: 'n.effort',
        comment: 'n.comment',
      })} order by n.day, n.exercise), '[]') from kymo.programme_entry n where n.programme_id = r.id)`,
      ...authoredFields,
    }),
    from: 'kymo.programme r where r.patient_id = $1',
    key: 'r.id',
  },
  {
    name: 'annotations',
    body: jsonObject({
      session: 'r.session_id',
      kind: 'r.kind',
      fromUs: 'r.from_us',
      toUs: 'r.to_us',
      text: 'r.text',
      author: 'r.author',
      createdAt: 'kymo.iso(r.created_at)',
      updatedAt: 'kymo.iso(r.updated_at)',
    }),
    // Found by session: there is no index by patient.
    from: `kymo.annotation r where r.removed_at is null
      and r.session_id = any(array(select s.id from kymo.session s where s.patient_id = $1))`,
    key: 'r.id',
  },
];

const cells = (...columns: readonly string[]): string => `json_build_array(${columns.join(', ')})`;

const tables: readonly (Listing & { readonly header: readonly string[] })[] = [
  {
    name: 'sessions',
    header: ['session', 'label', 'started_at', 'ended_at', 'sealed_at'],
    body: cells('r.id', 'r.label', 'kymo.iso(r.started_at)', 'kymo.iso(r.ended_at)', 'kymo.iso(r.sealed_at)'),
    from: 'kymo.session r where r.patient_id = $1',
    key: 'r.id',
  },
  {
    name: 'figures',
    header: ['session', 'started_at', 'metric', 'side', 'value', 'sd', 'n', 'algorithm', 'algorithm_version'],
    body: `(select coalesce(json_agg(${cells(
      'r.session_id',
      'kymo.iso(r.started_at)',
      "f->'metric'",
      "f->'side'",
      "f->'value'",
      "f->'sd'",
      "f->'n'",
      'r.algorithm',
      'r.algorithm_version',
    )} order by o), '[]') from jsonb_array_elements(r.figures) with ordinality e(f, o))`,
    from: 'kymo.session_summary r where r.patient_id = $1',
    key: 'r.session_id',
  },
];

/** The texts of all rows, a page at a time. */
async function* rowsOf(
  app: RolePool,
  actor: Actor,
  { patientId, name, body, from, key }: Listing & { readonly patientId: string },
): AsyncGenerator<string> {
  let after = '00000000-0000-0000-0000-000000000000';
  for (;;) {
    const statements = [
      {
        name: `export-${name}`,
        text: `select ${body}::text as body, ${key} as cursor from ${from} and ${key} > $2::uuid
          order by ${key} limit ${PAGE_ROWS}`,
        values: [patientId, after],
      },
    ];
    const [rows] = await rowsAsOrg<JsonRow>(app, actor, { statements, mode: 'snapshot' });
    for (const row of rows!) yield row.body;
    if (rows!.length < PAGE_ROWS) return;
    after = rows!.at(-1)!.cursor;
  }
}

async function* textOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text, 'utf8');
}

async function* jsonArray(rows: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  let separator = '[\n';
  for await (const row of rows) {
    yield Buffer.from(`${separator}${row}`, 'utf8');
    separator = ',\n';
  }
  yield Buffer.from(separator === '[\n' ? '[]\n' : '\n]\n', 'utf8');
}

/** RFC 4180. A row's text is a JSON array of cells, or of such arrays. */
async function* csvOf(header: readonly string[], rows: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`${header.join(',')}\r\n`, 'utf8');
  for await (const row of rows) {
    const parsed = JSON.parse(row) as readonly unknown[];
    const lines =
      Array.isArray(parsed[0]) || parsed.length === 0 ? (parsed as readonly unknown[][]) : [parsed];
    for (const line of lines) yield Buffer.from(`${line.map(cellText).join(',')}\r\n`, 'utf8');
  }
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'string') return JSON.stringify(value);
  // A spreadsheet takes what begins so for a formula: an apostrophe makes it text (OWASP, CSV injection).
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
