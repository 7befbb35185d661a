/**
 * Owns the proof that nobody gets past the rules: every route of the OpenAPI document, every channel and every kind of job
 * is tried as every role, as a patient at somebody else's record, as a foreign organisation, and as nobody. Which
 * permission a route takes stands in the document (generated/openapi.json, where a change is seen in review); what a role
 * may stands in contract/permissions.ts. A route, channel or kind of job without a rule here fails.
 */

import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import {
  actions,
  may,
  memberRoles,
  type Action,
  type Actor,
  type MemberRole,
} from '#contract/permissions.ts';
import { jobKinds } from '#jobs/kinds.ts';
import { openPools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { freePort, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';
import { joinOver } from '#test/support/people.ts';
import { sampleOf, type JsonSchema } from '#test/support/schema-sample.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { createTemporaryDirectory, type TemporaryDirectory } from '#test/support/temporary-directory.ts';
import { openTestPool } from '#test/support/test-pool.ts';

/** Stands in what organisation A calls its own, and may be in no answer to anybody else. */
const MARK = 'zugspitze';

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly access: string;
  readonly subject: string | null;
  readonly body: JsonSchema | null;
}

interface Caller {
  readonly name: string;
  readonly actor: Actor | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** Whose recording or record an address names. */
interface Target {
  readonly patient: string;
  readonly session: string;
  readonly stream: string;
}

let database: TestDatabase;
let directory: TemporaryDirectory;
let server: KymoProcess;
let origin: string;
let a: Tenant;
let document: JsonSchema;
let operations: readonly Operation[];
let own: Target;
let other: Target;
let members: readonly Caller[];
let foreign: Caller;
let device: Caller;
let jobId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  directory = createTemporaryDirectory();
  const pools = await openPools(database.ownerUrl);
  a = await createTenant(database.ownerUrl, pools, `${MARK} clinic`);
  const b = await createTenant(database.ownerUrl, pools, 'B');
  await pools.close();
  server = await startKymo({
    dataDir: directory.path,
    port: await freePort(),
    args: ['--database-url', database.ownerUrl],
  });
  origin = new URL(server.address).origin;
  document = (await (await fetch(`${origin}/openapi.json`)).json()) as JsonSchema;
  operations = operationsOf(document);
  device = { name: 'device', actor: null, headers: bearer(a.deviceKey) };
  own = await makeTarget(1);
  other = await makeTarget(2);
  members = [
    ...(await Promise.all(memberRoles.map((role) => person(a, role)))),
    {
      name: 'key of scope read',
      actor: serviceOf(['organisation.read', 'patient.read', 'session.read', 'job.read']),
      headers: bearer(a.readKey),
    },
    { name: 'key of scope admin', actor: serviceOf(null), headers: bearer(a.adminKey) },
  ];
  foreign = await person(b, 'owner');
  const job = await call(members[0]!, 'POST', '/v1/jobs', {
    kind: 'session-summary',
    input: { session: other.session },
  });
  jobId = (JSON.parse(job.text) as { id: string }).id;
});

afterAll(async () => {
  await server.signal('SIGKILL');
  await database.drop();
  directory.remove();
});

function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` };
}

function serviceOf(permissions: readonly Action[] | null): Actor {
  return { orgId: a.orgId, role: 'service', patientId: null, permissions };
}

async function person({ orgId, adminKey }: Tenant, role: MemberRole): Promise<Caller> {
  const patientId = role === 'patient' ? own.patient : null;
  const { headers } = await joinOver(origin, {
    key: adminKey,
    role,
    ...(patientId === null ? {} : { patientId }),
  });
  return { name: role, actor: { orgId, role, patientId, permissions: null }, headers };
}

/** A patient of organisation A with a recording. */
async function makeTarget(n: number): Promise<Target> {
  const patient = uuidv7(systemClock);
  // Readings that a device sends by HTTP are of one session: each patient wears another one.
  const made = await call({ headers: bearer(a.adminKey) }, 'POST', '/v1/devices', { name: `${MARK} ${n}` });
  const { key } = JSON.parse(made.text) as { key: string };
  const sent = await call({ headers: bearer(key) }, 'POST', '/v1/readings', {
    segment: n === 1 ? 'left-foot' : 'right-foot',
    readings: [{ timeUs: 0, values: { acc_x: 1 } }],
  });
  expect(sent.status).toBe(201);
  const { session, stream } = JSON.parse(sent.text) as { session: string; stream: string };
  const owner = openTestPool(database.ownerUrl);
  await owner.query('insert into kymo.patient (id, org_id, code) values ($1, $2, $3)', [
    patient,
    a.orgId,
    `${MARK}-${n}`,
  ]);
  await owner.query('update kymo.session set label = $2 where id = $1', [session, MARK]);
  await owner.end();
  const visit = await call({ headers: bearer(a.adminKey) }, 'GET', `/v1/sessions/${session}/visit`);
  const { revision } = JSON.parse(visit.text) as { revision: number };
  const bound = await call({ headers: bearer(a.adminKey) }, 'PUT', `/v1/sessions/${session}/patient`, {
    patientId: patient,
    revision,
  });
  expect([bound.status, bound.text.includes(patient)]).toEqual([200, true]);
  return { patient, session, stream };
}

async function call(
  { headers }: Pick<Caller, 'headers'>,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; text: string }> {
  const ended = AbortSignal.timeout(10_000);
  const response = await fetch(`${origin}${path}`, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: ended,
  });
  // Event streams do not end by themselves.
  if (response.headers.get('content-type')?.startsWith('text/event-stream') === true) {
    await response.body?.cancel();
    return { status: response.status, text: '' };
  }
  return { status: response.status, text: await response.text() };
}

function operationsOf(described: JsonSchema): Operation[] {
  const paths = described['paths'] as Record<string, Record<string, JsonSchema>>;
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Operation => {
      const content = (operation['requestBody'] as JsonSchema | undefined)?.['content'] as
        | Record<string, { schema: JsonSchema }>
        | undefined;
      return {
        method: method.toUpperCase(),
        path,
        access: String(operation['x-kymo-access']),
        subject: (operation['x-kymo-subject'] as string | undefined) ?? null,
        body: content?.['application/json']?.schema ?? null,
      };
    }),
  );
}

const name = ({ method, path }: Operation): string => `${method} ${path}`;
const nobody = uuidv7(systemClock);

/** The address with what is named in it, and a body that passes validation. */
function requestOf(operation: Operation, target: Target): { path: string; body?: unknown } {
  const ids: Record<string, string> = {
    patient: target.patient,
    session: target.session,
    stream: target.stream,
    device: a.device.deviceId,
    job: jobId,
  };
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, parameter: string) => {
    if (parameter === 'id') return ids[operation.subject ?? ''] ?? nobody;
    if (parameter === 'startUs') return '0';
    if (parameter === 'algorithm' || parameter === 'kind') return 'motion';
    return ids[parameter.replace(/Id$/, '')] ?? nobody;
  });
  if (operation.body === null) return { path };
  return {
    path,
    body: sampleOf(operation.body, {
      document,
      idOf: (property) => ids[property.replace(/Id$/, '')] ?? nobody,
    }),
  };
}

const sockets = new Set(['/v1/live', '/v1/device']);

function isAction(access: string): access is Action {
  return (actions as readonly string[]).includes(access);
}

test('every route says which permission it takes', () => {
  expect(own.session).not.toBe(other.session);
  const ways = new Set<string>([...actions, 'public', 'person', 'device', 'any', 'stream']);
  expect(operations.length).toBeGreaterThan(100);
  expect(operations.filter(({ access }) => !ways.has(access)).map(name)).toEqual([]);
});

test('what anybody may ask for is listed here', () => {
  const open = operations.filter(({ access, path }) => access === 'public' && !sockets.has(path)).map(name);
  expect(open.toSorted()).toMatchInlineSnapshot(`
    [
      "GET /asyncapi.json",
      "GET /healthz",
      "GET /metrics",
      "GET /openapi-3.2.json",
      "GET /openapi.json",
      "GET /readyz",
      "GET /v1/about",
      "GET /v1/account/options",
      "POST /v1/account/invitations/accept",
      "POST /v1/account/invitations/look",
      "POST /v1/account/links",
      "POST /v1/account/password/forgot",
      "POST /v1/account/password/reset",
      "POST /v1/account/second-factor",
      "POST /v1/account/set-up",
      "POST /v1/account/sign-in",
      "POST /v1/demo/sign-in",
    ]
  `);
});

test('nobody gets an answer without saying who they are', async () => {
  for (const operation of operations.filter(
    ({ access, path }) => access !== 'public' && !sockets.has(path),
  )) {
    const { path, body } = requestOf(operation, other);
    const { status, text } = await call({ headers: {} }, operation.method, path, body);
    expect([name(operation), status, text.includes(MARK)]).toEqual([name(operation), 401, false]);
  }
});

test('a foreign organisation finds nothing of this one, whatever it asks for', async () => {
  const guarded = operations.filter(({ access }) => access !== 'public' && access !== 'device');
  for (const operation of guarded.filter(({ path }) => !/account/.test(path))) {
    const { path, body } = requestOf(operation, other);
    // A poll of the organisation's own channels waits for its messages.
    if (operation.path.endsWith('/poll') && path === operation.path) continue;
    const { status, text } = await call(foreign, operation.method, path, body);
    const about = name(operation);
    expect([about, text.includes(MARK), text.includes(other.patient)]).toEqual([about, false, false]);
    expect([about, status]).not.toEqual([about, 500]);
    const namesOurs =
      path.includes(other.patient) ||
      path.includes(other.session) ||
      path.includes(other.stream) ||
      path.includes(jobId) ||
      path.includes(a.device.deviceId);
    const isRefused = [400, 403, 404, 409].includes(status);
    expect([about, !namesOurs || isRefused, status]).toEqual([about, true, status]);
  }
});

test('a device does nothing that is for people', async () => {
  for (const operation of operations.filter(({ access }) => isAction(access))) {
    const { path, body } = requestOf(operation, other);
    const { status } = await call(device, operation.method, path, body);
    expect([name(operation), status]).toEqual([name(operation), 403]);
  }
});

test('each role does what its row says and nothing else', async () => {
  for (const caller of members)
    for (const operation of operations.filter(({ access }) => isAction(access))) {
      const { path, body } = requestOf(operation, { patient: nobody, session: nobody, stream: nobody });
      const asked = path.replaceAll(jobId, nobody).replaceAll(a.device.deviceId, nobody);
      const isAllowed = may(caller.actor!, operation.access as Action);
      const about = `${caller.name}: ${name(operation)}`;
      const { status } = await call(caller, operation.method, asked, isAllowed ? undefined : body);
      const isLetIn = ![401, 403, 500].includes(status);
      // What a patient is let in to is tried below, with records of its own.
      const isRight = isAllowed ? isLetIn || caller.actor!.role === 'patient' : status === 403;
      expect([about, status, isRight]).toEqual([about, status, true]);
    }
});

test('a patient’s account reaches its own records and recordings, and no other’s', async () => {
  const patient = members.find(({ actor }) => actor?.role === 'patient')!;
  for (const operation of operations.filter(
    ({ access }) => isAction(access) && may(patient.actor!, access),
  )) {
    const about = name(operation);
    const mine = requestOf(operation, own);
    const theirs = requestOf(operation, other);
    const foreignAnswer = await call(patient, operation.method, theirs.path, theirs.body);
    expect([
      about,
      foreignAnswer.text.includes(`${MARK}-2`),
      foreignAnswer.text.includes(other.patient),
    ]).toEqual([about, false, false]);
    if (mine.path === theirs.path) continue;
    expect([about, foreignAnswer.status]).toEqual([about, 404]);
    // 404 is for what a session may not have yet, such as figures.
    const { status } = await call(patient, operation.method, mine.path, mine.body);
    expect([about, [401, 403, 500].includes(status), status]).toEqual([about, false, status]);
  }
});

/** Who of A reads a channel; `own`: patients too, of their own recordings. */
const channelReaders: Readonly<Record<string, 'members' | 'own'>> = {
  'device/{device}/commands': 'members',
  notifications: 'members',
  'organisation/jobs': 'members',
  'session/{session}/annotations': 'own',
  'session/{session}/chat': 'members',
  'session/{session}/gait': 'own',
  'session/{session}/motion': 'own',
  'session/{session}/readings': 'own',
};

test('every channel is for whom its row here says', async () => {
  const streams = operations.filter(({ path }) => /^\/v1\/channels\/.*\/events$/.test(path));
  const names = streams.map(({ path }) => path.slice('/v1/channels/'.length, -'/events'.length));
  expect(names.toSorted()).toEqual(Object.keys(channelReaders).toSorted());
  const patient = members.find(({ actor }) => actor?.role === 'patient')!;
  for (const [i, operation] of streams.entries()) {
    const { path } = requestOf(operation, other);
    const statusOf = async (caller: Caller, at = path): Promise<number> =>
      (await call(caller, 'GET', at)).status;
    expect([names[i], await statusOf(members[0]!)]).toEqual([names[i], 200]);
    const refusals = [403, 404];
    const fromOutside = path === operation.path ? 403 : await statusOf(foreign);
    expect(refusals, names[i]).toContain(fromOutside);
    expect(refusals, names[i]).toContain(await statusOf(patient));
    const ofOwn = await statusOf(patient, requestOf(operation, own).path);
    expect(channelReaders[names[i]!] === 'own' ? [200] : refusals, names[i]).toContain(ofOwn);
  }
});

/** Which permission each kind of job takes, beside `job.run`. */
const permissionOfJob: Readonly<Record<string, Action>> = {
  'session-export': 'session.read',
  'session-report': 'session.read',
  'session-summary': 'session.read',
  'patient-export': 'patient.export',
  'patient-erasure': 'patient.erase',
};

test('every kind of job is for whom its row here says, and never about another organisation', async () => {
  expect(Object.keys(jobKinds).toSorted()).toEqual(Object.keys(permissionOfJob).toSorted());
  for (const [kind, action] of Object.entries(permissionOfJob)) {
    const input = kind.startsWith('patient')
      ? { patient: nobody }
      : { session: nobody, ...(kind === 'session-export' ? { format: 'csv' } : {}) };
    for (const caller of members) {
      const isAllowed = may(caller.actor!, 'job.run') && may(caller.actor!, action);
      const { status } = await call(caller, 'POST', '/v1/jobs', { kind, input });
      expect([kind, caller.name, status]).toEqual([kind, caller.name, isAllowed ? 404 : 403]);
    }
    const ours = kind.startsWith('patient')
      ? { patient: other.patient }
      : { ...input, session: other.session };
    expect([kind, (await call(foreign, 'POST', '/v1/jobs', { kind, input: ours })).status]).toEqual([
      kind,
      404,
    ]);
  }
});
