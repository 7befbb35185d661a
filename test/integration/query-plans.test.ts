/**
 * Every statement of every route on many records: what PostgreSQL really did with them, by its own account. No table of many
 * rows is read from end to end, what is read is bounded by the page and not by the organisation, and a longer page asks no more
 * often. A route that is added must be added here, or say why it asks the database nothing.
 */

import { chmodSync } from 'node:fs';
import path from 'node:path';

import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { clinicianKey, fillClinic } from '#bench/api/dataset.ts';
import {
  patientCode,
  patientId,
  readScenario,
  sessionCount,
  sessionId,
  shrink,
} from '#bench/api/scenario.ts';
import { migrate } from '#store/migrate.ts';
import { startKymo } from '#test/support/kymo-process.ts';
import {
  explainRoles,
  explainSettings,
  followPlans,
  nodesOf,
  rowsRead,
  scannedTables,
  type PlanNode,
  type RanStatement,
} from '#test/support/query-plans.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

/** 100,000 sessions. */
const scenario = shrink(readScenario(), 5_000);
/** Of more rows PostgreSQL says that they are many: a scan of fewer costs less than looking into an index. */
const MANY_ROWS = 3_000;
/** A page of 200 sessions with their streams, epochs and patients reads about 1,000. */
const MOST_ROWS = 3_000;
/** Statements of a request beside the naming of the organisation. */
const MOST_STATEMENTS = 2;
/** Of a change: it, what it is told in, and what it was made of. */
const MOST_OF_CHANGE = 4;

const patient = 20;
const ids = {
  patient: patientId(patient),
  session: sessionId(patient, sessionCount(scenario, patient) - 1),
  stream: sessionId(patient, sessionCount(scenario, patient) - 1).replace('0190c000', '01910000'),
  device: '0190d000-0000-7000-8000-000000000000',
  none: '01990000-0000-7000-8000-000000000000',
};

interface Example {
  /** Method and path as the OpenAPI document has them. */
  readonly route: string;
  readonly query?: string;
  readonly body?: object;
  /** More statements than the usual, and why that is right. */
  readonly most?: readonly [statements: number, why: string];
}

/** Of GET routes, those that need more said than their path. */
const reads: readonly Example[] = [
  { route: 'GET /v1/sessions', query: 'limit=100' },
  {
    route: 'GET /v1/sessions/{id}',
    most: [4, 'one snapshot of session, streams, epochs and hold, in one round trip'],
  },
  {
    route: 'GET /v1/sessions/{id}/body-model',
    most: [3, 'the model, and the streams that a first one is made of'],
  },
  { route: 'GET /v1/sessions/{id}/motion', most: [5, 'one snapshot of everything analysed'] },
  { route: 'GET /v1/sessions/{id}/record', most: [8, 'a file of everything about a session'] },
  { route: 'GET /v1/streams/{id}/export', most: [8, 'a file of all readings, read a piece at a time'] },
  { route: 'GET /v1/streams/{id}/envelope', most: [4, 'one snapshot of roll-ups, rows, epochs and gaps'] },
  { route: 'GET /v1/patients', query: 'limit=100' },
  { route: 'GET /v1/patients/{id}/progress', query: 'metric=speed&metric=cadence&limit=200' },
];

const words = 'walks with more confidence than last week';
const programme = {
  title: 'Balance',
  exercises: [
    { id: 'stand', name: 'Stand on one leg', sets: 1, repetitions: 5, durationS: null, timesPerWeek: 7 },
  ],
  beginsOn: '2026-01-01',
};

const annotation = { kind: 'event', fromUs: 60_000_000, toUs: null, text: 'turn' };
const protocol = { name: 'Walk', description: '', tasks: [], segments: [] };
const planned = { patientId: ids.patient, protocolId: null, plannedFor: null, label: 'visit' };
const told = { most: [9, 'the message of a durable channel is made in the same transaction'] } as const;
const ofJobs = { most: [16, 'what the queue keeps of a job, in the same transaction'] } as const;
const ofVisits = { most: [9, 'the visit is read, judged and changed in one transaction'] } as const;

/** Every route that changes something, in an order in which each finds what it changes. */
const changes: readonly Example[] = [
  { route: 'POST /v1/patients', body: { code: 'NEW-1', birthYear: 1960, consents: ['care'] } },
  { route: 'PATCH /v1/patients/{id}', body: { revision: 1, massKg: 71 } },
  {
    route: 'PATCH /v1/patients/{id}/identifiers',
    body: { name: 'Ada Example', recordNumber: 'R-1' },
    most: [10, 'the first one makes the keys of patient and organisation'],
  },
  { route: 'POST /v1/patients/{id}/consents', body: { purpose: 'teaching', decision: 'granted' } },
  { route: 'POST /v1/patients/{id}/notes', body: { text: words, session: ids.session } },
  { route: 'PUT /v1/patients/{id}/notes/{note}', body: { text: words, revision: 1 } },
  { route: 'DELETE /v1/patients/{id}/notes/{note}', query: 'revision=1' },
  { route: 'POST /v1/patients/{id}/goals', body: { text: words } },
  { route: 'PUT /v1/patients/{id}/goals/{goal}', body: { text: words, revision: 1 } },
  { route: 'DELETE /v1/patients/{id}/goals/{goal}', query: 'revision=1' },
  { route: 'POST /v1/patients/{id}/history', body: { kind: 'fall', text: words } },
  { route: 'PUT /v1/patients/{id}/history/{entry}', body: { kind: 'fall', text: words, revision: 1 } },
  { route: 'DELETE /v1/patients/{id}/history/{entry}', query: 'revision=1' },
  { route: 'POST /v1/patients/{id}/programmes', body: programme },
  { route: 'PUT /v1/patients/{id}/programmes/{programme}', body: { ...programme, revision: 1 } },
  { route: 'DELETE /v1/patients/{id}/programmes/{programme}', query: 'revision=1' },
  {
    route: 'PUT /v1/patients/{id}/programmes/{programme}/entries/{day}/{exercise}',
    body: { times: 2 },
  },
  { route: 'DELETE /v1/patients/{id}/programmes/{programme}/entries/{day}/{exercise}' },
  {
    route: 'POST /v1/search',
    body: { text: patientCode(patient).slice(0, 5) },
    most: [4, 'patients by code and by identifier, sessions, notes, in one round trip'],
  },
  { route: 'POST /v1/search', body: { text: 'more confidence' }, most: [4, 'the same by words of notes'] },
  { route: 'POST /v1/access-keys', body: { name: 'key', scope: 'read' } },
  { route: 'DELETE /v1/access-keys/{id}' },
  { route: 'POST /v1/devices', body: { name: 'sensor' } },
  { route: 'PUT /v1/devices/{id}', body: { name: 'sensor 2' } },
  { route: 'POST /v1/devices/{id}/rotate', body: {} },
  { route: 'PUT /v1/retention', body: { defaultClass: 0 } },
  { route: 'POST /v1/revocations', body: { subject: 'nobody' } },
  { route: 'POST /v1/tickets' },
  {
    route: 'POST /v1/tickets/limited',
    body: { subject: 'somebody', channels: [{ channels: 'notifications', operations: ['subscribe'] }] },
  },
  { route: 'PUT /v1/sessions/{id}/hold', body: { reason: 'asked for' } },
  { route: 'DELETE /v1/sessions/{id}/hold' },
  { route: 'POST /v1/sessions/{id}/analyses' },
  {
    route: 'PUT /v1/sessions/{id}/body-model',
    body: { bodyModel: { heightM: 1.7, placements: [] }, revision: 0 },
    most: [6, 'the one before is read first, and the analysis is told'],
  },
  {
    route: 'PUT /v1/sessions/{id}/windows/{startUs}/results/{algorithm}',
    body: { version: 1, revision: 1, result: {} },
  },
  { route: 'POST /v1/sessions/{id}/annotations', body: annotation, ...told },
  {
    route: 'PUT /v1/sessions/{id}/annotations/{annotation}',
    body: { ...annotation, revision: 1 },
    ...told,
  },
  { route: 'DELETE /v1/sessions/{id}/annotations/{annotation}', query: 'revision=1', ...told },
  { route: 'POST /v1/protocols', body: protocol },
  { route: 'PUT /v1/protocols/{id}', body: { ...protocol, revision: 1 } },
  { route: 'DELETE /v1/protocols/{id}' },
  { route: 'POST /v1/sessions', body: planned, ...ofVisits },
  { route: 'PUT /v1/sessions/{id}/plan', body: { ...planned, revision: 1 }, ...ofVisits },
  { route: 'DELETE /v1/sessions/{id}/plan', query: 'revision=1', ...ofVisits },
  { route: 'PUT /v1/sessions/{id}/patient', body: { patientId: ids.patient, revision: 1 }, ...ofVisits },
  {
    route: 'PUT /v1/sessions/{id}/placements',
    body: { revision: 1, placements: [{ deviceId: ids.device, segment: 'lower-back' }] },
    ...ofVisits,
  },
  { route: 'POST /v1/sessions/{id}/start', ...ofVisits },
  { route: 'POST /v1/sessions/{id}/end', body: {}, ...ofVisits },
  { route: 'POST /v1/sessions/{id}/seal', body: { revision: 1 }, ...ofVisits },
  { route: 'POST /v1/jobs', body: { kind: 'session-summary', input: { session: ids.session } }, ...ofJobs },
  { route: 'POST /v1/jobs/{id}/cancel' },
  { route: 'POST /v1/jobs/{id}/retry' },
  { route: 'DELETE /v1/devices/{id}' },
  {
    route: 'DELETE /v1/streams/{id}',
    most: [60, 'erasure takes what is derived along, by table and partition, in transactions of their own'],
  },
  {
    route: 'DELETE /v1/sessions/{id}',
    most: [60, 'erasure takes what is derived along, by table and partition, in transactions of their own'],
  },
];

/** Why a route is not asked here. */
const notAsked: readonly (readonly [RegExp, string])[] = [
  [
    /^\/v1\/(channels|events|poll|live)\b/,
    'carries messages: bus, live and durable channels have tests of their own',
  ],
  [/^\/(healthz|readyz|metrics|.*\.json|v1\/about)$/, 'asks nothing of the records'],
  [/^\/v1\/(device|readings)$/, 'is for devices, which are looked up by their key'],
  [/^\/v1\/(account|members|invitations|links|demo|webhooks)\b/, 'people and webhooks are few'],
];

const endings: (() => unknown)[] = [];
let origin: string;
let plansSince: () => RanStatement[];
let large: ReadonlySet<string>;
let routes: readonly string[];
/** GET routes that take a limit. */
let paged: readonly string[];

beforeAll(async () => {
  const directory = createTemporaryDirectory();
  endings.push(() => directory.remove());
  // Started as root, PostgreSQL runs as another user, who must be able to enter.
  chmodSync(directory.path, 0o711);
  const dataDir = path.join(directory.path, 'database');
  const embedded = await startEmbeddedDatabase({ dataDir, settings: explainSettings });
  endings.push(() => embedded.stop());
  await migrate(embedded.ownerUrl);
  const admin = new pg.Client({ connectionString: embedded.superuserUrl.replace(/\/postgres$/, '/kymo') });
  await admin.connect();
  endings.push(() => admin.end());
  await fillClinic(admin, scenario, () => undefined);
  await admin.query(explainRoles(['kymo_app', 'kymo_auth']));
  const { rows } = await admin.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'kymo'::regnamespace and relkind = 'r' and reltuples > $1`,
    [MANY_ROWS],
  );
  large = new Set(rows.map(({ name }) => name));
  const kymo = await startKymo({
    dataDir: path.join(directory.path, 'server'),
    port: 0,
    args: ['--database-url', embedded.ownerUrl, '--no-cache', '--no-analysis', '--no-jobs'],
  });
  endings.push(() => kymo.signal('SIGTERM'));
  ({ origin } = new URL(kymo.address));
  const { paths } = (await (await ask('GET', '/openapi.json')).json()) as {
    paths: Record<string, Record<string, { readonly parameters?: readonly { readonly name: string }[] }>>;
  };
  paged = Object.entries(paths)
    .filter(([, { get }]) => get?.parameters?.some(({ name }) => name === 'limit') === true)
    .map(([one]) => `GET ${one}`);
  routes = Object.entries(paths).flatMap(([one, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${one}`),
  );
  plansSince = followPlans(path.join(dataDir, 'postgresql.log'));
}, 170_000);
afterAll(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

function ask(method: string, address: string, body?: object): Promise<Response> {
  return fetch(`${origin}${address}`, {
    method,
    headers: {
      authorization: `Bearer ${clinicianKey(0)}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/** The records that a path is about, by its parameters. */
function addressOf(route: string): string {
  const [, address = ''] = route.split(' ');
  const kind = /^\/v1\/(patient|session|stream|device)s\//.exec(address)?.[1] as keyof typeof ids | undefined;
  return address.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    if (name === 'id' && kind !== undefined) return ids[kind];
    if (name === 'startUs') return '0';
    if (name === 'algorithm') return 'lower-back-gait';
    if (name === 'day') return '2026-01-01';
    if (name === 'exercise') return 'stand';
    return ids[name as keyof typeof ids] ?? ids.none;
  });
}

interface Looked {
  readonly status: number;
  readonly answer: string;
  readonly statements: readonly RanStatement[];
}

async function look({ route, query, body }: Example): Promise<Looked> {
  plansSince();
  const [method = ''] = route.split(' ');
  const response = await ask(method, `${addressOf(route)}${query === undefined ? '' : `?${query}`}`, body);
  const answer = await response.text();
  // PostgreSQL's own look-ups of what a new row refers to are part of its statement; roles are looked at when a thread starts.
  const statements = plansSince().filter(
    ({ text: ran }) => !/^\s*(?:select set_config|SELECT 1 FROM ONLY|DELETE FROM ONLY)|pg_roles/.test(ran),
  );
  return { status: response.status, answer, statements };
}

/** What is wrong with how a request was answered; empty when nothing is. */
function faultsOf({ status, answer, statements }: Looked, most: number): string[] {
  const faults =
    status < 300 || status === 404 || status === 409 ? [] : [`answered ${status}: ${answer.slice(0, 300)}`];
  const asked = statements.filter(({ role }) => role === 'kymo_app');
  if (asked.length > most)
    faults.push(
      `asked ${asked.length} times, not ${most}: ${asked.map(({ text }) => shorten(text)).join(' | ')}`,
    );
  for (const { plan, text } of statements) {
    for (const table of scannedTables(plan))
      if (large.has(table)) faults.push(`read all of ${table}: ${shorten(text)}`);
    const rows = rowsRead(plan);
    if (rows > MOST_ROWS) faults.push(`read ${rows} rows (${mostRead(plan)}): ${shorten(text)}`);
  }
  return faults;
}

const mostRead = (plan: PlanNode): string =>
  nodesOf(plan)
    .toSorted((a, b) => rowsRead({ ...b, Plans: [] }) - rowsRead({ ...a, Plans: [] }))
    .slice(0, 3)
    .map(
      (node) =>
        `${node['Node Type']} ${node['Relation Name'] ?? node['Index Name'] ?? ''} ${rowsRead({ ...node, Plans: [] })}`,
    )
    .join(', ');
const shorten = (text: string): string => text.replaceAll(/\s+/g, ' ').slice(0, 160);
const isNotAsked = (route: string): boolean =>
  notAsked.some(([pattern]) => pattern.test(route.slice(route.indexOf(' ') + 1)));

test('no read takes more than its statements, reads a large table from end to end, or more rows than a page is made of', async () => {
  const asked = routes.filter((route) => route.startsWith('GET ') && !isNotAsked(route));
  const faults: Record<string, readonly string[]> = {};
  let answered = 0;
  for (const route of asked) {
    const example = reads.find((one) => one.route === route) ?? { route };
    const most = example.most?.[0] ?? MOST_STATEMENTS;
    let looked = await look(example);
    // What the server does by itself may fall into the same moment once.
    if (faultsOf(looked, most).length > 0) looked = await look(example);
    if (looked.status === 200) answered++;
    const found = faultsOf(looked, most);
    if (found.length > 0) faults[route] = found;
  }
  expect(faults).toEqual({});
  // Not all of nothing.
  expect(answered).toBeGreaterThan(asked.length / 2);
});

test('neither does a change, and every route that changes something is looked at here', async () => {
  const faults: Record<string, readonly string[]> = {};
  for (const example of changes) {
    const found = faultsOf(await look(example), example.most?.[0] ?? MOST_OF_CHANGE);
    if (found.length > 0) faults[example.route] = found;
  }
  expect(faults).toEqual({});
  const known = new Set(changes.map(({ route }) => route));
  expect(
    routes.filter((route) => !route.startsWith('GET ') && !isNotAsked(route) && !known.has(route)),
  ).toEqual([]);
});

test('a longer page asks no more often', async () => {
  const lists = paged.filter((route) => !isNotAsked(route));
  const counts: Record<string, number[]> = {};
  for (const route of lists) {
    // Several times each: what the server does by itself may fall into the same moment.
    const least = async (query: string): Promise<number> => {
      let fewest = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 4; i++) {
        const { status, statements } = await look({ route, query });
        if (status !== 200) return Number.NaN;
        fewest = Math.min(fewest, statements.length);
      }
      return fewest;
    };
    const [short, long] = [await least('limit=1'), await least('limit=100')];
    if (!Number.isNaN(short + long)) counts[route] = [short, long];
  }
  expect(Object.keys(counts)).toContain('GET /v1/patients');
  for (const [route, [short, long]] of Object.entries(counts)) expect([route, long]).toEqual([route, short]);
});
