/**
 * Owns the records of the API benchmark: organisations, clinicians who are signed in, patients, and for each their sessions
 * with a stream and the figures of it, made inside PostgreSQL in about a minute and kept in a template from which each run
 * takes a copy. It is made anew when the scenario or a migration changes.
 */

import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import pg from 'pg';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { migrate } from '#store/migrate.ts';
import { hashKey } from '#identity/keys.ts';
import type { Scenario } from '#bench/api/scenario.ts';
import type { DatabaseServer } from '#bench/support/bench-database.ts';
import type { RunScope } from '#bench/support/run-scope.ts';

const migrations = fileURLToPath(new URL('../../src/store/migrations', import.meta.url));
/** Of figures: a progress page holds some of each. */
const FIGURE_SETS = 500;
/** A full and a quick one, and that of another checkout. */
const KEPT_SETS = 3;
const metrics = [
  ['speed', false],
  ['cadence', false],
  ['stride-length', true],
  ['stride-time', true],
  ['stance-share', true],
  ['clearance', true],
  ['symmetry', false],
] as const;

export interface Dataset {
  readonly server: DatabaseServer;
  /** Copied for each run. */
  readonly template: string;
  readonly sessions: number;
  /** Seconds that it took to make; null: it was there. */
  readonly madeInS: number | null;
}

/** `folder`: where it is kept; empty: below the temporary folder of the system. */
export async function provideDataset(
  scope: RunScope,
  scenario: Scenario,
  { folder, say }: { readonly folder: string; readonly say: (text: string) => void },
): Promise<Dataset> {
  const root = folder === '' ? join(tmpdir(), 'kymo-bench-api') : folder;
  mkdirSync(root, { recursive: true });
  // Started as root, PostgreSQL runs as another user, who must be able to enter.
  chmodSync(root, 0o711);
  const digest = digestOf(scenario);
  removeOlder(root, digest);
  // Roles are a server's own: one for each set of records.
  const embedded = await startEmbeddedDatabase({
    dataDir: join(root, digest),
    settings: {
      shared_preload_libraries: 'pg_stat_statements',
      'pg_stat_statements.track': 'top',
      shared_buffers: '512MB',
      max_wal_size: '4GB',
    },
  });
  scope.defer('PostgreSQL', () => embedded.stop());
  const server: DatabaseServer = { adminUrl: embedded.superuserUrl, ownerUrl: embedded.ownerUrl };
  const template = 'clinic';
  const admin = await connect(server.adminUrl);
  try {
    const known = await admin.query('select from pg_database where datname = $1 and datistemplate', [
      template,
    ]);
    const startedMs = performance.now();
    if (known.rowCount === 0) await make({ admin, server, template, scenario, say });
    const sessions = await countSessions(server, template);
    const madeInS = known.rowCount === 0 ? (performance.now() - startedMs) / 1000 : null;
    return { server, template, sessions, madeInS };
  } finally {
    await admin.end();
  }
}

/** The key with which clinician `c` signs in: no secret, it opens nothing but this benchmark. */
export function clinicianKey(c: number): string {
  return `ka_${`bench${String(c).padStart(4, '0')}`.padEnd(43, 'x')}`;
}

interface Making {
  readonly admin: pg.Client;
  readonly server: DatabaseServer;
  readonly template: string;
  readonly scenario: Scenario;
  readonly say: (text: string) => void;
}

async function make({ admin, server, template, scenario, say }: Making): Promise<void> {
  const owner = decodeURIComponent(new URL(server.ownerUrl).username);
  await admin.query(`drop database if exists ${template} with (force)`);
  await admin.query(`create database ${template} owner ${admin.escapeIdentifier(owner)}`);
  await migrate(withName(server.ownerUrl, template));
  const client = await connect(withName(server.adminUrl, template));
  try {
    await fillClinic(client, scenario, say);
  } finally {
    await client.end();
  }
  await admin.query(`alter database ${template} with is_template true allow_connections true`);
}

/** Makes the records in a migrated database. `client` is a superuser there. */
export async function fillClinic(
  client: pg.Client,
  scenario: Scenario,
  say: (text: string) => void,
): Promise<void> {
  // Whoever makes all rows at once knows that they refer to each other; nothing here is worth a wait for the disk.
  await client.query(`set session_replication_role = replica; set synchronous_commit = off;
    set work_mem = '256MB'; set maintenance_work_mem = '512MB'`);
  for (const [what, text, values] of statements(scenario)) {
    say(`making ${what}`);
    await client.query(text, [...values]);
  }
  await client.query('reset session_replication_role');
  say('looking at what was made (VACUUM ANALYZE)');
  await client.query('vacuum (analyze, freeze)');
  await client.query('checkpoint');
}

type Step = readonly [what: string, text: string, values: readonly unknown[]];

const uuidOf = (prefix: string, n: string): string =>
  `('${prefix}-0000-7000-8000-' || lpad(to_hex(${n}), 12, '0'))::uuid`;

function statements(scenario: Scenario): Step[] {
  const { organisations, clinicians, patients, sessionsPerPatient } = scenario;
  const { least, spread } = sessionsPerPatient;
  const org = (n: string): string => uuidOf('0190a000', `(${n}) % ${organisations}`);
  const count = `(${least} + (7 * i) % ${spread})`;
  const begun = `now() - (${count} - k) * interval '7 days' - (i % 1000) * interval '1 minute' - interval '1 day'`;
  const keys = Array.from({ length: clinicians }, (_, c) => hashKey(clinicianKey(c)));
  return [
    [
      'organisations and clinicians',
      `with orgs as (insert into kymo.organisation (id, name)
           select ${org('n')}, 'Clinic ' || n from generate_series(0, ${organisations - 1}) n),
         devices as (insert into kymo.device (id, org_id, name, key_hash)
           select ${uuidOf('0190d000', 'n')}, ${org('n')}, 'bench ' || n, sha256(n::text::bytea)
             from generate_series(0, ${organisations - 1}) n)
       insert into kymo.access_key (id, org_id, name, key_hash, scope)
         select ${uuidOf('0190e000', 'n::integer - 1')}, ${org('n::integer - 1')}, 'bench', hash, 'admin'
           from unnest($1::bytea[]) with ordinality k(hash, n)`,
      [keys],
    ],
    [
      `${patients.toLocaleString('en-US')} patients`,
      `insert into kymo.patient (id, org_id, code, birth_year, sex, height_m, mass_kg, affected_side, diagnosis, consents,
           created_at, updated_at)
         select ${uuidOf('0190b000', 'i')}, ${org('i')}, 'P-' || lpad(i::text, 6, '0'), 1930 + i % 75,
                (array['female', 'male'])[1 + i % 2], 1.5 + (i % 45) / 100.0, 50 + i % 60,
                (array['left', 'right', 'both', 'none'])[1 + i % 4],
                (array['stroke', 'parkinson', 'knee replacement', 'hip replacement', 'cerebral palsy'])[1 + i % 5],
                '{care,recording}', now() - ${count} * interval '7 days', now() - interval '1 day'
           from generate_series(0, ${patients - 1}) i`,
      [],
    ],
    [
      'consents and notes',
      `with consents as (insert into kymo.patient_consent (id, patient_id, org_id, purpose, decision, decided_at)
           select gen_random_uuid(), ${uuidOf('0190b000', 'i')}, ${org('i')}, purpose, 'granted', now() - interval '300 days'
             from generate_series(0, ${patients - 1}) i, unnest(array['care', 'recording']) purpose),
         notes as (insert into kymo.note (id, patient_id, org_id, text)
           select ${uuidOf('0190f000', 'i * 2 + n')}, ${uuidOf('0190b000', 'i')}, ${org('i')},
                  'first visit, walks with a stick, exercises explained ' || i
             from generate_series(0, ${patients - 1}) i, generate_series(0, 1) n returning id, org_id, patient_id)
       insert into kymo.note_word (org_id, word, note_id, patient_id)
         select org_id, word, id, patient_id from notes, unnest(array['first', 'visit', 'stick', 'exercises']) word`,
      [],
    ],
    [
      'sessions',
      `insert into kymo.session (id, org_id, label, started_at, ended_at, patient_id, sealed_at, sealed_streams,
           sealed_readings)
         select ${uuidOf('0190c000', 'i * 64 + k')}, ${org('i')}, '', at, at + interval '10 minutes',
                ${uuidOf('0190b000', 'i')}, sealed, case when sealed is null then null else 1 end,
                case when sealed is null then null else 120000 end
           from generate_series(0, ${patients - 1}) i, generate_series(0, ${count} - 1) k,
                lateral (select ${begun} as at) a,
                lateral (select case when k < ${count} - ${scenario.recentSessions} then at + interval '1 day' end as sealed) b`,
      [],
    ],
    [
      'streams',
      `with made as (insert into kymo.stream (id, org_id, session_id, device_id, segment, sensor, axes, rate_hz, encoding,
             scale, clock, opened_at, ended_at)
           select ${uuidOf('01910000', 'i * 64 + k')}, ${org('i')}, ${uuidOf('0190c000', 'i * 64 + k')},
                  ${uuidOf('0190d000', `i % ${organisations}`)}, 'lower-back', 'imu',
                  '[{"name": "accX", "unit": "m/s2"}, {"name": "accY", "unit": "m/s2"}, {"name": "accZ", "unit": "m/s2"}]',
                  200, 'float32', null, 'device', at, at + interval '10 minutes'
             from generate_series(0, ${patients - 1}) i, generate_series(0, ${count} - 1) k,
                  lateral (select ${begun} as at) a)
       insert into kymo.stream_epoch (stream_id, epoch, org_id, committed, first_commit_day, last_commit_day)
         select ${uuidOf('01910000', 'i * 64 + k')}, 1, ${org('i')}, '{[0,120000)}', (${begun})::date, (${begun})::date
           from generate_series(0, ${patients - 1}) i, generate_series(0, ${count} - 1) k`,
      [],
    ],
    [
      'figures of sessions',
      `with sets as materialized (
           select n, (select jsonb_agg(jsonb_build_object('metric', metric, 'side', side,
                    'value', round(((n * 37 + length(metric) * 11) % 1000) / 700.0, 3),
                    'sd', round(((n * 13) % 100) / 900.0, 3), 'n', 40 + n % 200))
                  from unnest($1::text[], $2::text[]) m(metric, side)) as figures
             from generate_series(0, ${FIGURE_SETS - 1}) n)
       insert into kymo.session_summary (session_id, org_id, patient_id, started_at, duration_s, figures, quality, algorithm,
           algorithm_version, input_revision, computed_at)
         select ${uuidOf('0190c000', 'i * 64 + k')}, ${org('i')}, ${uuidOf('0190b000', 'i')}, at, 600, figures,
                '{"stored": 120000, "lost": 0, "pending": 0, "gaps": 0, "uncalibrated": []}', 'lower-back-gait', '1.0.0', 1,
                at + interval '11 minutes'
           from generate_series(0, ${patients - 1}) i, generate_series(0, ${count} - 1) k,
                lateral (select ${begun} as at) a, sets
          where sets.n = (i * 31 + k) % ${FIGURE_SETS}`,
      [
        metrics.flatMap(([name, sided]) => (sided ? [name, name] : [name])),
        metrics.flatMap(([, sided]) => (sided ? ['left', 'right'] : [null])),
      ],
    ],
  ];
}

async function countSessions(server: DatabaseServer, template: string): Promise<number> {
  const client = await connect(withName(server.adminUrl, template));
  try {
    const { rows } = await client.query<{ n: string }>('select count(*) as n from kymo.session_summary');
    return Number(rows[0]!.n);
  } finally {
    await client.end();
  }
}

/** Sets of records that nobody asked for lately: a full one takes some gigabytes. */
function removeOlder(root: string, digest: string): void {
  const others = readdirSync(root)
    .filter((name) => /^[0-9a-f]{12}$/.test(name) && name !== digest)
    .map((name) => ({ path: join(root, name), usedMs: statSync(join(root, name)).mtimeMs }))
    .sort((a, b) => b.usedMs - a.usedMs);
  for (const { path } of others.slice(KEPT_SETS - 1)) rmSync(path, { recursive: true, force: true });
}

function digestOf(scenario: Scenario): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(migrations).sort())
    hash.update(name).update(readFileSync(join(migrations, name)));
  hash.update(JSON.stringify(statements(scenario).map(([, text]) => text)));
  return hash.digest('hex').slice(0, 12);
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

function withName(url: string, name: string): string {
  const named = new URL(url);
  named.pathname = `/${name}`;
  return named.href;
}
