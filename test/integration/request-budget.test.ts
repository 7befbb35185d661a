/**
 * Every route does its work in one round trip to the database and few statements, and nothing else that is slow: no files, no
 * processes, no other servers. One valid request is sent to each, as the owner of an organisation. A route that is added is
 * asked with a sample of its schema; when that is not enough, it needs an example here. Whether its statements are good
 * ones is looked at in query-plans.test.ts.
 */

import childProcess from 'node:child_process';
import { lookup } from 'node:dns';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import { readScenario } from '#bench/api/scenario.ts';
import { createAuditLog } from '#clinic/audit-log.ts';
import { openAuditStore, type AuditStore } from '#store/audit-store.ts';
import { openJoinedApi, type JoinedApi } from '#test/support/joined-api.ts';
import { openRequestAccount, type RequestAccount, type RequestCost } from '#test/support/request-budget.ts';
import {
  createRouteExamples,
  nobody,
  type Example,
  type RouteExamples,
  type RouteWorld,
} from '#test/support/route-examples.ts';
import { sampleOf, type JsonSchema } from '#test/support/schema-sample.ts';
import { createTemporaryDirectory, type TemporaryDirectory } from '#test/support/temporary-directory.ts';
import { openTestClinic, type TestClinic } from '#test/support/test-clinic.ts';

/** Beside the naming of the organisation: a page and what stands beside it. */
const MOST_OF_READ = 2;
/** It, what it is told in, and what it was made of. */
const MOST_OF_CHANGE = 4;

interface Budget {
  readonly trips?: number;
  readonly statements?: number;
  /** What it may do beside asking the database: a pattern of all of it. */
  readonly io?: RegExp;
  readonly why: string;
}

/** Routes that need more than one round trip or the usual statements, and why that is right. */
const entering =
  'tokens and passwords are checked before what is costly or changes anything, and again under a lock; it happens once a day';
const proving = 'the password or code is checked between reading and changing';
const keyFile = {
  io: /^(fs\.promises\.stat|FSREQPROMISE)$/,
  why: 'whether the file of the master key is another one since a rotation',
} as const;
const ofVisit = { why: 'the visit is locked, judged, changed and shown in one transaction' } as const;
const erasing = {
  trips: 5,
  statements: 50,
  why: 'says that it is erased, ends what may be stored, removes from every table at once, looks whether all is gone',
} as const;
const budgets: Readonly<Record<string, Budget>> = {
  'POST /v1/account/set-up': { trips: 5, statements: 11, why: entering },
  'POST /v1/account/links': { trips: 4, statements: 8, why: entering },
  'POST /v1/account/sign-in': { trips: 4, statements: 8, why: entering },
  'POST /v1/account/second-factor': { trips: 7, statements: 12, why: entering },
  'POST /v1/account/invitations/accept': { trips: 5, statements: 9, why: entering },
  'POST /v1/account/password/reset': { trips: 5, statements: 7, why: entering },
  'PUT /v1/account/organisation': {
    trips: 4,
    statements: 8,
    why: 'is a new sign-in in place of the old one',
  },
  'PUT /v1/account': { trips: 2, statements: 3, why: 'answers with the account as it is then' },
  'POST /v1/account/totp': { trips: 2, statements: 2, why: proving },
  'POST /v1/account/totp/confirm': { trips: 2, statements: 3, why: proving },
  'POST /v1/account/totp/backup-codes': { trips: 3, statements: 3, why: proving },
  'POST /v1/account/totp/disable': { trips: 2, statements: 2, why: proving },
  'PUT /v1/account/password': { trips: 3, statements: 5, why: proving },
  'PUT /v1/members/{id}': {
    trips: 4,
    statements: 9,
    why: 'sign-ins end before and after it, as another role, and invitations with it',
  },
  'DELETE /v1/members/{id}': {
    trips: 4,
    statements: 9,
    why: 'sign-ins end before and after it, as another role, and invitations with it',
  },
  'POST /v1/patients': { ...keyFile, statements: 5 },
  'GET /v1/patients/{id}/identifiers': keyFile,
  'PATCH /v1/patients/{id}/identifiers': {
    ...keyFile,
    trips: 3,
    statements: 4,
    why: `${keyFile.why}; the wrapped keys are read, what they seal is stored, and opened again for the answer`,
  },
  'PUT /v1/sessions/{id}/patient': { ...ofVisit, statements: 5 },
  'POST /v1/sessions': { ...ofVisit, statements: 6 },
  'PUT /v1/sessions/{id}/plan': { ...ofVisit, statements: 5 },
  'PUT /v1/sessions/{id}/placements': { ...ofVisit, statements: 5 },
  'POST /v1/sessions/{id}/start': { ...ofVisit, statements: 5 },
  'POST /v1/sessions/{id}/end': { ...ofVisit, statements: 6 },
  'PUT /v1/sessions/{id}/body-model': {
    trips: 2,
    statements: 6,
    why: 'the model is checked against the streams before it is stored, and the analysis is told',
  },
  'GET /v1/sessions/{id}': { statements: 4, why: 'one snapshot of session, streams, epochs and hold' },
  'GET /v1/sessions/{id}/body-model': {
    statements: 3,
    why: 'the model, and the streams that a first one is made of',
  },
  'GET /v1/sessions/{id}/motion': {
    trips: 2,
    statements: 5,
    why: 'the model, then what was analysed with it',
  },
  'GET /v1/streams/{id}/envelope': { statements: 5, why: 'one snapshot of roll-ups, rows, epochs and gaps' },
  'GET /v1/streams/{id}/readings': {
    trips: 3,
    statements: 3,
    why: 'where the readings of a time lie is looked up before a bounded piece of them is read',
  },
  'POST /v1/jobs/{id}/cancel': {
    trips: 2,
    statements: 3,
    why: 'who may do it depends on its kind and patient',
  },
  'POST /v1/jobs/{id}/retry': {
    trips: 2,
    statements: 4,
    why: 'who may do it depends on its kind and patient',
  },
  'POST /v1/channels/device/{device}/commands/messages': {
    trips: 2,
    statements: 2,
    why: 'the rule of the channel asks whether the device is there before the message is kept',
  },
  'DELETE /v1/streams/{id}': erasing,
  'DELETE /v1/sessions/{id}': erasing,
};

/** Why a route is not asked. */
const notAsked: readonly (readonly [RegExp, string])[] = [
  [/\/(events|poll)$/, 'holds the answer back until there is something to tell'],
  [/^GET \/v1\/(live|device)$/, 'is a socket'],
  [/^POST \/v1\/readings$/, 'is for devices: the writer of readings commits those of all together'],
  [
    /^GET \/v1\/(streams\/\{id\}\/export|sessions\/\{id\}\/record|jobs\/\{id\}\/file)$/,
    'is a file, read in pieces while it is sent',
  ],
  [/^POST \/v1\/demo\/sign-in$/, 'is there in a demo only'],
];

/** What a valid request is refused with, and why. */
const refused: readonly (readonly [route: RegExp, status: number, why: string])[] = [
  [
    /^POST \/v1\/channels\/(notifications|organisation\/jobs|session\/\{session\}\/(annotations|gait|motion))\/messages$/,
    403,
    'the server alone speaks there',
  ],
  [
    /\/windows\/\{startUs\}\//,
    404,
    'no window of these few readings is closed; what there is was asked for by then',
  ],
];

interface Operation {
  readonly route: string;
  readonly body: JsonSchema | null;
}

interface Asked extends RequestCost {
  readonly route: string;
  readonly status: number;
  readonly text: string;
}

const origin = 'http://kymo.test';

let clinic: TestClinic;
let directory: TemporaryDirectory;
let account: RequestAccount;
let auditStore: AuditStore;
let joined: JoinedApi;
let document: JsonSchema;
let operations: readonly Operation[];
let world: RouteWorld;
let order: RouteExamples;
let examples: ReadonlyMap<string, Example>;

beforeAll(async () => {
  directory = createTemporaryDirectory();
  clinic = await openTestClinic();
  account = openRequestAccount(clinic.pools, clinic.ownerUrl);
  auditStore = openAuditStore(clinic.pools.auditUrl);
  joined = await openJoinedApi({
    pools: account.pools,
    audit: createAuditLog({ store: account.countAudit(auditStore), clock: systemClock }),
    stateDirectory: directory.path,
  });
  document = (await joined.api.inject('/openapi.json')).json<JsonSchema>();
  operations = operationsOf(document);
  const { id, recording } = await clinic.endedSession();
  const live = uuidv7(systemClock);
  await clinic.record(await clinic.newDevice(), live);
  const ids = {
    session: id,
    live,
    stream: recording.stream,
    device: recording.device.deviceId,
    organisation: clinic.tenant.orgId,
    startUs: '0',
    algorithm: 'budget',
    day: '2026-01-01',
    exercise: 'stand',
  };
  world = { clinic, mails: joined.mails, cookie: '', ids, revisions: {}, answerOf };
  order = createRouteExamples(world);
  examples = new Map([...order.first, ...order.last].map((example) => [example.route, example]));
});

afterAll(async () => {
  await joined.close();
  await auditStore.close();
  account.close();
  await clinic.close();
  directory.remove();
});

function operationsOf(described: JsonSchema): Operation[] {
  const paths = described['paths'] as Record<string, Record<string, JsonSchema>>;
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Operation => {
      const content = (operation['requestBody'] as JsonSchema | undefined)?.['content'] as
        | Record<string, { schema: JsonSchema }>
        | undefined;
      return {
        route: `${method.toUpperCase()} ${path}`,
        body: content?.['application/json']?.schema ?? null,
      };
    }),
  );
}

/** `/v1/patients/{id}` names a patient, `{noteId}` and `{note}` a note. */
const idOf = (name: string): string => world.ids[name] ?? world.ids[name.replace(/Id$/, '')] ?? nobody;
function addressOf(route: string): string {
  return route
    .slice(route.indexOf(' ') + 1)
    .replaceAll(
      /([^/]*)\/\{(\w+)\}/g,
      (_, before: string, name: string) =>
        `${before}/${name === 'id' ? idOf(before.replace(/s$/, '')) : idOf(name)}`,
    );
}

async function send(
  route: string,
  { query = '', body, who = world.cookie }: { query?: string; body?: unknown; who?: string } = {},
): Promise<{ status: number; text: string; cookie: string }> {
  const answer = await joined.api.inject({
    method: route.slice(0, route.indexOf(' ')) as 'GET',
    url: `${addressOf(route)}${query === '' ? '' : `?${query}`}`,
    headers: { host: 'kymo.test', origin, ...(who === '' ? {} : { cookie: who }) },
    ...(body === undefined ? {} : { payload: body as object }),
  });
  const set = answer.cookies[0];
  return {
    status: answer.statusCode,
    text: answer.body,
    cookie: set === undefined ? '' : `${set.name}=${set.value}`,
  };
}

/** What a request that is not counted is answered with. */
async function answerOf(route: string, body?: object, who = world.cookie): Promise<object> {
  const { status, text } = await send(route, { body, who });
  if (status >= 300) throw new Error(`${route} was answered ${status}: ${text}`);
  return JSON.parse(text) as object;
}

async function ask({ route, body: schema }: Operation): Promise<Asked> {
  const example = examples.get(route);
  await example?.prepare?.();
  // Who asks is known for some seconds; what is counted is what the route does.
  if (world.cookie !== '') await send('GET /v1/account');
  const sample = schema === null ? undefined : sampleOf(schema, { document, idOf });
  const given = example?.body?.();
  const body = sample === undefined && given === undefined ? undefined : { ...(sample as object), ...given };
  const query = example?.query?.() ?? '';
  const who = example?.isStranger === true ? '' : world.cookie;
  const { answer, cost } = await account.of(() => send(route, { query, body, who }));
  if (answer.status < 300) {
    const isJson = answer.text.startsWith('{');
    example?.keep?.(isJson ? (JSON.parse(answer.text) as object) : {}, answer.cookie);
  }
  return { route, status: answer.status, text: answer.text, ...cost };
}

function unasked({ route }: Operation, error: unknown): Asked {
  return { route, status: 599, text: String(error), trips: 0, statements: [], auditCommits: 0, otherIo: [] };
}

/** What is wrong with how a request was answered; empty when nothing is. */
function faultsOf({ route, status, text, trips, statements, auditCommits, otherIo }: Asked): string[] {
  const budget = budgets[route];
  const most = budget?.statements ?? (route.startsWith('GET ') ? MOST_OF_READ : MOST_OF_CHANGE);
  const faults: string[] = [];
  const refusal = refused.find(([pattern]) => pattern.test(route));
  const isRight = refusal === undefined ? status < 300 : status === refusal[1];
  if (!isRight) faults.push(`was answered ${status}: ${text.slice(0, 200)}`);
  if (trips > (budget?.trips ?? 1)) faults.push(`made ${trips} round trips`);
  if (statements.length > most)
    faults.push(`made ${statements.length} statements: ${statements.map(shorten).join(' | ')}`);
  // Of a change two: before it, and what came of it, for which nobody waits.
  if (auditCommits > (route.startsWith('GET ') ? 1 : 2))
    faults.push(`committed ${auditCommits} times to the audit log`);
  const io = otherIo.filter((one) => budget?.io?.test(one) !== true);
  if (io.length > 0) faults.push(`did other I/O: ${io.join(', ')}`);
  return faults;
}

const shorten = (text: string): string => text.replaceAll(/\s+/g, ' ').slice(0, 80);

/** Costs of every route that is asked, in the order of the lists. */
let all: readonly Asked[] = [];

test('every route stays within its budget: one round trip, few statements, and no other I/O', async () => {
  const asked = operations.filter(({ route }) => !notAsked.some(([pattern]) => pattern.test(route)));
  const places = new Map<string, number>([
    ...order.first.map(({ route }, i) => [route, i - order.first.length] as const),
    ...order.last.map(({ route }, i) => [route, i + 1] as const),
  ]);
  const costs: Asked[] = [];
  for (const operation of asked.toSorted((a, b) => (places.get(a.route) ?? 0) - (places.get(b.route) ?? 0)))
    costs.push(await ask(operation).catch((error: unknown) => unasked(operation, error)));
  all = costs;
  const faults = Object.fromEntries(
    all.map((one) => [one.route, faultsOf(one)] as const).filter(([, found]) => found.length > 0),
  );
  expect(faults).toEqual({});
  expect(all.length).toBeGreaterThan(100);
  const known = new Set(all.map(({ route }) => route));
  // A row about a route that is no more, or that says nothing, is taken out.
  expect([...examples.keys(), ...Object.keys(budgets)].filter((one) => !known.has(one))).toEqual([]);
});

test('a request that starts a job answers after one round trip', () => {
  const job = all.find(({ route }) => route === 'POST /v1/jobs')!;
  expect([job.status, job.trips, job.otherIo]).toEqual([202, 1, []]);
});

test('on the mixed load a request makes two statements or fewer on average', () => {
  let statements = 0;
  for (const { method, path, share } of readScenario().operations) {
    const template = path.replace(/\?.*/, '').replace(/\{(?:patient|session)\}/, '{id}');
    const cost = all.find(({ route }) => route === `${method} ${template}`);
    expect(cost?.status, template).toBeLessThan(300);
    statements += share * cost!.statements.length;
  }
  expect(statements).toBeLessThanOrEqual(2);
});

test('what is slow in a request is seen, however it is done', async () => {
  const file = import.meta.filename;
  const ioOf = async (work: () => unknown): Promise<string> =>
    (await account.of(async () => work())).cost.otherIo.join(' ');
  expect(await ioOf(() => 1)).toBe('');
  expect(await ioOf(() => readFileSync(file))).toContain('fs.readFileSync');
  expect(await ioOf(() => readFile(file))).toContain('FILEHANDLE');
  expect(await ioOf(() => childProcess.spawnSync('true'))).toContain('child_process.spawnSync');
  expect(await ioOf(() => new Promise((done) => childProcess.execFile('true', done)))).toContain(
    'PROCESSWRAP',
  );
  expect(await ioOf(() => new Promise((done) => lookup('localhost', done)))).toContain('GETADDRINFOREQWRAP');
  expect(await ioOf(() => new Promise((done) => connect(9, '127.0.0.1').once('error', done)))).toContain(
    '127.0.0.1:9',
  );
  expect(await ioOf(() => fetch('http://127.0.0.1:2/').catch(() => undefined))).toContain('127.0.0.1:2');
  const twice = await account.of(async () => {
    await account.pools.app.run([{ text: 'select 1' }]);
    await account.pools.auth.run([{ text: 'select 1' }, { text: 'select 2' }]);
  });
  const cost: Asked = { route: 'GET /', status: 200, text: '', ...twice.cost };
  expect(faultsOf(cost)).toEqual(['made 2 round trips', 'made 3 statements: select 1 | select 1 | select 2']);
});
