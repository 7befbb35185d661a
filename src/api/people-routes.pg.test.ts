import { Registry } from 'prom-client';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import type { Api } from '#api/api-options.ts';
import { createApi } from '#api/api.ts';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { uuidv7 } from '#base/uuid.ts';
import type {
  Account,
  BackupCodes,
  InvitationCreated,
  InvitationPage,
  MemberList,
  SignInAnswer,
  SignInList,
  TotpEnrolment,
} from '#contract/account.ts';
import type { Problem } from '#contract/rest.ts';
import { createAuditRecords } from '#clinic/audit-records.ts';
import { createAccounts } from '#identity/accounts.ts';
import type { IdentityMail } from '#identity/entrances.ts';
import { createIdentity, type Identity } from '#identity/identity.ts';
import type { IdentityEvent } from '#identity/identity-events.ts';
import type { People } from '#identity/people.ts';
import { createLinks } from '#identity/links.ts';
import type { Revocation } from '#identity/revocations.ts';
import { codeOfStep, stepAt } from '#identity/totp.ts';
import { createEnvelopeQueries } from '#store/envelope-queries.ts';
import { createExportQueries } from '#store/export-queries.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createReadingQueries } from '#store/reading-queries.ts';
import { createRetentionControls } from '#store/retention-controls.ts';
import { createSessionQueries } from '#store/session-queries.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { recordsApi } from '#test/support/records-api.ts';
import { jobApi } from '#test/support/job-api.ts';
import { createRecordedAudit } from '#test/support/recorded-audit.ts';
import { motionApi } from '#test/support/motion-api.ts';
import { createPerson, openPeople, peopleApi, signIn, type TestPerson } from '#test/support/people.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';
import { createTestVisits } from '#test/support/visit-services.ts';

const ORIGIN = 'http://localhost';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let tenant: Tenant;
let foreign: Tenant;
let api: Api;
let identity: Identity;
let people: People;
let events: IdentityEvent[];
let mails: IdentityMail[];
let revoked: Revocation[];

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  foreign = await createTenant(database.ownerUrl, pools, 'Elsewhere');
});

beforeEach(async () => {
  tenant = await createTenant(database.ownerUrl, pools, 'Here');
  revoked = [];
  ({ people, events, mails } = openPeople(pools));
  api = await makeApi();
  return () => api.close();
});

afterAll(async () => {
  await pools.close();
  await owner.end();
  await database.drop();
});

function makeApi(isSecure = false): Promise<Api> {
  identity = createIdentity({ authPool: pools.auth, clock: systemClock });
  return createApi({
    about: { version: '1.2.3', demo: false },
    identity,
    ...peopleApi(people, identity),
    onRevoked: (one) => revoked.push(one),
    accounts: createAccounts({ appPool: pools.app, clock: systemClock }),
    audit: createRecordedAudit(),
    auditRecords: createAuditRecords(pools.app),
    sessions: createSessionQueries(pools.app),
    visits: createTestVisits(pools.app),
    ...recordsApi(pools.app),
    retention: createRetentionControls(pools, (_, work) => work()),
    readings: createReadingQueries(pools.app),
    envelopes: createEnvelopeQueries(pools.app),
    exports: createExportQueries(pools.app),
    ...motionApi(pools.app),
    ...jobApi(pools.app),
    submitReadings: () => Promise.reject(new Error('nothing is sent here')),
    onDeviceRevoked: () => undefined,
    live: null,
    demoKey: null,
    checkReadiness: async () => ({}),
    metrics: new Registry(),
    webDirectory: null,
    tls: null,
    trustedProxy: null,
    origins: { allowed: new Set(['https://listed.example']), isSecure },
    log: silentLog,
    clock: systemClock,
  });
}

interface Asked {
  readonly cookie?: string;
  readonly key?: string;
  readonly body?: object;
  readonly headers?: Record<string, string>;
  readonly remoteAddress?: string;
}

interface Answered {
  readonly status: number;
  readonly body: unknown;
  readonly setCookie: string | undefined;
}

/** As our own page asks: with its cookie and its origin. */
async function call(
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  url: string,
  asked: Asked = {},
): Promise<Answered> {
  const answer = await api.inject({
    method,
    url,
    remoteAddress: asked.remoteAddress ?? '127.0.0.1',
    headers: {
      host: 'localhost',
      ...(asked.key === undefined
        ? { origin: ORIGIN, ...(asked.cookie === undefined ? {} : { cookie: asked.cookie }) }
        : { authorization: `Bearer ${asked.key}` }),
      ...asked.headers,
    },
    ...(asked.body === undefined ? {} : { payload: asked.body }),
  });
  return {
    status: answer.statusCode,
    body: answer.body === '' ? null : answer.json<unknown>(),
    setCookie: answer.headers['set-cookie'] as string | undefined,
  };
}

const cookieOf = ({ setCookie }: Answered): string => setCookie!.split(';')[0]!;
const post = (url: string, body: object, asked: Asked = {}): Promise<Answered> =>
  call('POST', url, { ...asked, body });

function secretOf({ secret }: TotpEnrolment): Buffer {
  const bits = Array.from(secret, (c) =>
    'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0'),
  );
  return Buffer.from(
    bits
      .join('')
      .match(/.{8}/g)!
      .map((byte) => Number.parseInt(byte, 2)),
  );
}

/** Turns the second factor on; gives the codes of it, each once. */
async function enrol(person: TestPerson): Promise<{ next: () => string; codes: string[] }> {
  const cookie = await signIn(pools, person);
  const { body } = await post('/v1/account/totp', { password: person.password }, { cookie });
  const secret = secretOf(body as TotpEnrolment);
  let step = stepAt(systemClock.nowUs()) - 1;
  const next = (): string => codeOfStep(secret, step++);
  const confirmed = await post('/v1/account/totp/confirm', { code: next() }, { cookie });
  expect(confirmed.status).toBe(200);
  return { next, codes: (confirmed.body as BackupCodes).codes };
}

async function createPatient(orgId: string): Promise<string> {
  const id = uuidv7(systemClock);
  await owner.query('insert into kymo.patient (id, org_id, code) values ($1, $2, $3)', [
    id,
    orgId,
    `P-${id.slice(-8)}`,
  ]);
  return id;
}

test('a password signs in with a cookie, and the cookie says who is there', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' });
  const entered = await post('/v1/account/sign-in', {
    email: person.email.toUpperCase(),
    password: person.password,
  });
  expect(entered).toMatchObject({ status: 200, body: { state: 'signed-in' } });
  expect(entered.setCookie).toMatch(
    /^kymo\.session=ks_[\w-]{43}; Path=\/; Expires=[^;]+; HttpOnly; SameSite=Lax$/,
  );
  const account = await call('GET', '/v1/account', { cookie: cookieOf(entered) });
  expect(account.body).toMatchObject({
    person: { id: person.id, email: person.email, hasPassword: true, hasTotp: false },
    organisation: { id: tenant.orgId, name: 'Here' },
    role: 'clinician',
    patientId: null,
  });
  expect((account.body as Account).permissions).toContain('session.write');
  expect((account.body as Account).permissions).not.toContain('organisation.manage');
  expect(events).toEqual([
    {
      kind: 'signed-in',
      orgId: tenant.orgId,
      personId: person.id,
      role: 'clinician',
      address: '127.0.0.1',
      detail: 'password',
    },
  ]);
});

test('a key asks who it is too', async () => {
  const { body } = await call('GET', '/v1/account', { key: tenant.readKey });
  expect(body).toMatchObject({
    person: null,
    organisation: { id: tenant.orgId },
    organisations: [],
    role: 'service',
    permissions: ['organisation.read', 'patient.read', 'session.read', 'job.read'],
    expiresAt: null,
  });
  expect((await call('GET', '/v1/account')).status).toBe(401);
});

test('behind TLS the cookie is for this host and for TLS alone', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'assistant' });
  await api.close();
  api = await makeApi(true);
  const { email, password } = person;
  const entered = await post(
    '/v1/account/sign-in',
    { email, password },
    { headers: { origin: 'https://localhost' } },
  );
  expect(entered.setCookie).toMatch(/^__Host-kymo\.session=ks_.*; HttpOnly; SameSite=Lax; Secure$/);
});

test('a wrong password and an unknown address are answered alike, in words and in time', async () => {
  const { email } = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const time = async (address: string): Promise<{ answered: Answered; ms: number }> => {
    const startMs = performance.now();
    const answered = await post('/v1/account/sign-in', { email: address, password: 'not the password' });
    return { answered, ms: performance.now() - startMs };
  };
  await time('warm@up.example');
  const wrong = await time(email);
  const unknown = await time('nobody@clinic.example');
  expect(wrong.answered.status).toBe(401);
  const told = ({ body }: Answered): object => ({ ...(body as Problem), requestId: '' });
  expect(told(unknown.answered)).toEqual(told(wrong.answered));
  // Without the work for nobody's password it would be less than a tenth.
  expect(unknown.ms).toBeGreaterThan(wrong.ms / 4);
  expect(events).toMatchObject([
    { kind: 'sign-in-failed', orgId: null, personId: null },
    // Of somebody who exists the organisation hears.
    { kind: 'sign-in-failed', orgId: tenant.orgId, role: 'owner', detail: 'password' },
    { kind: 'sign-in-failed', orgId: null, personId: null },
  ]);
});

test('an address that no database can hold is a wrong one like any other', async () => {
  const asked = await post('/v1/account/sign-in', { email: 'a\u0000b@clinic.example', password: 'x' });
  expect(asked.status).toBe(401);
});

test('guessing ends after ten wrong passwords, for whoever exists or not, and for that network alone', async () => {
  const { email, password } = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  for (const address of [email, 'nobody@else.example']) {
    for (let i = 0; i < 10; i++)
      expect((await post('/v1/account/sign-in', { email: address, password: `guess ${i}` })).status).toBe(
        401,
      );
    // Also the right one is not looked at any more.
    expect((await post('/v1/account/sign-in', { email: address, password })).status).toBe(429);
  }
  const elsewhere = await post('/v1/account/sign-in', { email, password }, { remoteAddress: '192.0.2.7' });
  expect(elsewhere.status).toBe(200);
});

test('guesses at the same time do not slip past the limit', async () => {
  const { email } = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, i) => post('/v1/account/sign-in', { email, password: `guess ${i}` })),
  );
  expect(answers.filter(({ status }) => status === 401)).toHaveLength(10);
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(20);
});

test('a request with a cookie that changes something must come from our own page', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const cookie = await signIn(pools, person);
  const body = { email: 'x@y.example', role: 'owner' };
  const from = async (headers: Record<string, string>): Promise<number> =>
    (
      await api.inject({
        method: 'POST',
        url: '/v1/invitations',
        headers: { cookie, ...headers },
        payload: body,
      })
    ).statusCode;
  expect(await from({})).toBe(403);
  expect(await from({ origin: 'https://evil.example' })).toBe(403);
  expect(await from({ origin: 'null' })).toBe(403);
  // Listed pages use keys and tokens; the cookie is our own page's.
  expect(await from({ origin: 'https://listed.example' })).toBe(403);
  expect(await from({ origin: ORIGIN })).toBe(201);
  const read = (headers: Record<string, string>): Promise<{ statusCode: number }> =>
    api.inject({ method: 'GET', url: '/v1/members', headers: { cookie, ...headers } });
  expect((await read({})).statusCode).toBe(200);
  expect((await read({ origin: 'https://evil.example' })).statusCode).toBe(403);
});

test('foreign pages sign nobody in', async () => {
  const { email, password } = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const answer = await post(
    '/v1/account/sign-in',
    { email, password },
    { headers: { origin: 'https://evil.example' } },
  );
  expect(answer).toMatchObject({ status: 403, setCookie: undefined });
});

test('a cookie that was there before is worth nothing after signing in', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const planted = await signIn(pools, person);
  const { email, password } = person;
  const entered = await post('/v1/account/sign-in', { email, password }, { cookie: planted });
  expect(cookieOf(entered)).not.toBe(planted);
  expect((await call('GET', '/v1/account', { cookie: planted })).status).toBe(401);
  // Nor does one that was made up become one.
  const made = `kymo.session=ks_${'A'.repeat(43)}`;
  const again = await post('/v1/account/sign-in', { email, password }, { cookie: made });
  expect(cookieOf(again)).not.toBe(made);
  expect((await call('GET', '/v1/account', { cookie: made })).status).toBe(401);
});

test('signing out ends the cookie at once, and tells what is open of it', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const cookie = await signIn(pools, person);
  expect((await call('GET', '/v1/account', { cookie })).status).toBe(200);
  const out = await call('POST', '/v1/account/sign-out', { cookie });
  expect(out).toMatchObject({
    status: 204,
    setCookie: 'kymo.session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax',
  });
  expect((await call('GET', '/v1/account', { cookie })).status).toBe(401);
  expect(revoked).toEqual([{ orgId: tenant.orgId, keyId: expect.any(String) as string }]);
});

test('a known cookie costs no query, and a sign-in ends by its times', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const cookie = await signIn(pools, person);
  const seen = async (): Promise<number> => (await call('GET', '/v1/openapi-nothing', { cookie })).status;
  expect(await seen()).toBe(404);
  const ask = async (): Promise<number> => (await call('GET', '/v1/account/sign-ins', { cookie })).status;
  await Promise.all(Array.from({ length: 20 }, ask));
  expect(people.counters.signIns.lookups).toBe(1);
  for (const change of [
    `set last_seen_at = now() - interval '13 hours'`,
    `set last_seen_at = now(), expires_at = now() - interval '1 second'`,
  ]) {
    await owner.query(`update kymo.sign_in ${change} where person_id = $1`, [person.id]);
    ({ people, events, mails } = openPeople(pools));
    await api.close();
    api = await makeApi();
    expect(await ask()).toBe(401);
  }
});

test('sign-ins are listed, and one is ended by its person alone', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' });
  const other = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const [here, there, others] = [
    await signIn(pools, person),
    await signIn(pools, person),
    await signIn(pools, other),
  ];
  const { signIns } = (await call('GET', '/v1/account/sign-ins', { cookie: here })).body as SignInList;
  expect(signIns.map(({ isCurrent }) => isCurrent)).toEqual([false, true]);
  const url = `/v1/account/sign-ins/${signIns[0]!.id}`;
  expect((await call('DELETE', url, { cookie: others })).status).toBe(404);
  expect((await call('GET', '/v1/account', { cookie: there })).status).toBe(200);
  expect((await call('DELETE', url, { cookie: here })).status).toBe(204);
  expect((await call('GET', '/v1/account', { cookie: there })).status).toBe(401);
});

test('another password ends all other sign-ins, and needs the one before', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' });
  const [here, there] = [await signIn(pools, person), await signIn(pools, person)];
  const change = (body: object): Promise<Answered> =>
    call('PUT', '/v1/account/password', { cookie: here, body });
  expect((await change({ password: 'another password' })).status).toBe(400);
  expect((await change({ current: 'wrong', password: 'another password' })).status).toBe(403);
  expect((await change({ current: person.password, password: 'short' })).status).toBe(400);
  expect((await change({ current: person.password, password: 'another password' })).status).toBe(204);
  expect((await call('GET', '/v1/account', { cookie: here })).status).toBe(200);
  expect((await call('GET', '/v1/account', { cookie: there })).status).toBe(401);
  const { email } = person;
  expect((await post('/v1/account/sign-in', { email, password: person.password })).status).toBe(401);
  expect((await post('/v1/account/sign-in', { email, password: 'another password' })).status).toBe(200);
});

test('a second factor is asked for, and each code is good once', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' });
  const { email, password } = person;
  const totp = await enrol(person);
  const begin = async (): Promise<string> => {
    const { body, setCookie } = await post('/v1/account/sign-in', { email, password });
    expect(setCookie).toBe(undefined);
    const answer = body as SignInAnswer;
    return answer.state === 'second-factor' ? answer.challenge : '';
  };
  const challenge = await begin();
  const code = totp.next();
  const entered = await post('/v1/account/second-factor', { challenge, code });
  expect(entered.status).toBe(200);
  const { body } = await call('GET', '/v1/account', { cookie: cookieOf(entered) });
  expect(body).toMatchObject({ person: { hasTotp: true, backupCodesLeft: 10 } });
  // The same code again, with another challenge, and another code with the same challenge.
  expect((await post('/v1/account/second-factor', { challenge: await begin(), code })).status).toBe(401);
  expect((await post('/v1/account/second-factor', { challenge, code: totp.next() })).status).toBe(401);
  const backup = totp.codes[3]!.toUpperCase().replaceAll('-', ' ');
  expect((await post('/v1/account/second-factor', { challenge: await begin(), code: backup })).status).toBe(
    200,
  );
  expect((await post('/v1/account/second-factor', { challenge: await begin(), code: backup })).status).toBe(
    401,
  );
});

test('of two who show one code at the same time, one gets in', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' });
  const { email, password } = person;
  const totp = await enrol(person);
  const challenges = await Promise.all(
    [1, 2].map(async () => {
      const { body } = await post('/v1/account/sign-in', { email, password });
      return (body as { challenge: string }).challenge;
    }),
  );
  const code = totp.next();
  const answers = await Promise.all(
    challenges.map((challenge) => post('/v1/account/second-factor', { challenge, code })),
  );
  expect(answers.map(({ status }) => status).toSorted((x, y) => x - y)).toEqual([200, 401]);
});

test('codes are not guessed: five to a challenge, ten to a person', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' });
  const { email, password } = person;
  await enrol(person);
  const statuses: number[] = [];
  for (let round = 0; round < 3; round++) {
    const { body } = await post('/v1/account/sign-in', { email, password });
    const { challenge } = body as { challenge: string };
    for (let i = 0; i < 6; i++)
      statuses.push((await post('/v1/account/second-factor', { challenge, code: '000000' })).status);
  }
  expect(statuses.slice(0, 12)).toEqual(Array(12).fill(401));
  expect(statuses.slice(12, 17)).toEqual(Array(5).fill(429));
});

test('the second factor is turned off with the password, and not enrolled twice', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' });
  await enrol(person);
  const cookie = await signIn(pools, person);
  const { password } = person;
  expect((await post('/v1/account/totp', { password }, { cookie })).status).toBe(409);
  expect((await post('/v1/account/totp/disable', { password: 'wrong' }, { cookie })).status).toBe(403);
  const renewed = await post('/v1/account/totp/backup-codes', { password }, { cookie });
  expect((renewed.body as BackupCodes).codes).toHaveLength(10);
  expect((await post('/v1/account/totp/disable', { password }, { cookie })).status).toBe(204);
  const entered = await post('/v1/account/sign-in', { email: person.email, password });
  expect(entered.body).toMatchObject({ state: 'signed-in' });
  const { rows } = await owner.query('select from kymo.two_factor where person_id = $1', [person.id]);
  expect(rows).toEqual([]);
});

test('a reset goes to who has an account, is used once, and ends every sign-in', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' });
  const cookie = await signIn(pools, person);
  const forgot = (email: string): Promise<Answered> => post('/v1/account/password/forgot', { email });
  expect(await forgot(person.email)).toEqual(await forgot('nobody@clinic.example'));
  await people.entrances.settled();
  expect(mails).toMatchObject([{ kind: 'password-reset', to: person.email }]);
  const token = mails[0]!.fragment.replace('reset=', '');
  const reset = (password: string): Promise<Answered> =>
    post('/v1/account/password/reset', { token, password });
  expect((await reset('a new password')).status).toBe(204);
  expect((await reset('a newer password')).status).toBe(401);
  expect((await call('GET', '/v1/account', { cookie })).status).toBe(401);
  const { email } = person;
  expect((await post('/v1/account/sign-in', { email, password: 'a new password' })).status).toBe(200);
});

test('a password that is set ends other resets and second steps that are under way', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' });
  for (let i = 0; i < 2; i++) {
    await post('/v1/account/password/forgot', { email: person.email });
    await people.entrances.settled();
  }
  await owner.query(
    `insert into kymo.verification (id, kind, token_hash, person_id, expires_at)
      values (gen_random_uuid(), 'second-factor', sha256(gen_random_uuid()::text::bytea), $1, now() + interval '5 minutes')`,
    [person.id],
  );
  const [older, newer] = mails.map(({ fragment }) => fragment.replace('reset=', ''));
  const reset = async (token: string | undefined): Promise<number> =>
    (await post('/v1/account/password/reset', { token, password: 'a new password' })).status;
  expect(await reset(newer)).toBe(204);
  expect(await reset(older)).toBe(401);
  const left = await owner.query('select kind from kymo.verification where person_id = $1', [person.id]);
  expect(left.rows).toEqual([]);
});

test('a set-up link that nobody used makes no second owner once there is one', async () => {
  await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const token = `kl_${'B'.repeat(43)}`;
  await owner.query(
    `insert into kymo.verification (id, kind, token_hash, org_id, expires_at)
      values (gen_random_uuid(), 'set-up', sha256($1::text::bytea), $2, now() + interval '1 day')`,
    [token, tenant.orgId],
  );
  const body = { token, email: 'second@clinic.example', name: 'Second', password: 'a new password' };
  expect((await post('/v1/account/set-up', body)).status).toBe(401);
});

test('whoever has no token keeps nobody from signing in: nothing is hashed for it', async () => {
  const { email, password } = await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' });
  const token = `kl_${'A'.repeat(43)}`;
  const tried = Array.from({ length: 100 }, (_, i) =>
    i % 2 === 0
      ? post('/v1/account/password/reset', { token, password: 'a new password' })
      : post('/v1/account/set-up', { token, email: 'x@y.example', name: 'X', password: 'a new password' }),
  );
  const entered = await post('/v1/account/sign-in', { email, password });
  expect(entered.status).toBe(200);
  expect(new Set((await Promise.all(tried)).map(({ status }) => status))).toEqual(new Set([401]));
});

test('a link signs in once, before it ends, and on the machine of the server', async () => {
  const { email } = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const links = createLinks({ authPool: pools.auth, clock: systemClock });
  const make = async (): Promise<string> =>
    (await links.make(tenant.orgId, { email: null, isLoopback: true }))!.token;
  const token = await make();
  // Elsewhere it is not even used up.
  expect((await post('/v1/account/links', { token }, { remoteAddress: '192.0.2.7' })).status).toBe(401);
  for (const headers of [
    { 'x-forwarded-for': '127.0.0.1' },
    { host: 'rebound.example', origin: 'http://rebound.example' },
  ])
    expect((await post('/v1/account/links', { token }, { headers })).status).toBe(401);
  const entered = await post('/v1/account/links', { token });
  expect(entered.body).toMatchObject({ state: 'signed-in', account: { person: { email } } });
  expect((await post('/v1/account/links', { token })).status).toBe(401);
  const late = await make();
  await owner.query(`update kymo.verification set expires_at = now() - interval '1 second'`);
  expect((await post('/v1/account/links', { token: late })).status).toBe(401);
});

test('links lead to members alone, and an older one is not worth more', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'assistant' });
  const links = createLinks({ authPool: pools.auth, clock: systemClock });
  const make = (email: string) => links.make(tenant.orgId, { email, isLoopback: false });
  expect(await make('nobody@clinic.example')).toBe(null);
  const theirs = await createPerson(pools, { orgId: foreign.orgId, role: 'owner' });
  expect(await make(theirs.email)).toBe(null);
  const { token } = (await make(person.email.toUpperCase()))!;
  // Not bound to the machine, it is good elsewhere too; five newer ones push it out.
  for (let i = 0; i < 5; i++) await make(person.email);
  expect((await post('/v1/account/links', { token }, { remoteAddress: '192.0.2.7' })).status).toBe(401);
  const newest = (await make(person.email))!;
  const entered = await post('/v1/account/links', { token: newest.token }, { remoteAddress: '192.0.2.7' });
  expect(entered.body).toMatchObject({ state: 'signed-in', account: { role: 'assistant' } });
});

test('the demo’s clinician enters by links alone', async () => {
  const links = createLinks({ authPool: pools.auth, clock: systemClock });
  const { token } = await links.makeDemo(tenant.orgId);
  const again = await links.makeDemo(tenant.orgId);
  expect(
    (await post('/v1/account/links', { token: again.token }, { remoteAddress: '192.0.2.7' })).status,
  ).toBe(401);
  const entered = await post('/v1/account/links', { token });
  expect(entered.body).toMatchObject({
    account: { organisation: { id: tenant.orgId }, role: 'owner', person: { hasPassword: false } },
  });
  const { email } = (entered.body as { account: { person: { email: string } } }).account.person;
  expect((await post('/v1/account/sign-in', { email, password: 'anything at all' })).status).toBe(401);
});

test('an invitation makes an account with its role, once', async () => {
  const boss = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const cookie = await signIn(pools, boss);
  const email = `new-${boss.id}@clinic.example`;
  const made = await post('/v1/invitations', { email, role: 'assistant' }, { cookie });
  const { token, invitation, isMailed } = made.body as InvitationCreated;
  expect({ isMailed, mails }).toMatchObject({
    isMailed: true,
    mails: [{ kind: 'invitation', to: email, fragment: `invitation=${token}` }],
  });
  const look = await post('/v1/account/invitations/look', { token });
  expect(look.body).toMatchObject({ organisation: 'Here', email, role: 'assistant', hasAccount: false });
  const accept = (body: object): Promise<Answered> =>
    post('/v1/account/invitations/accept', { token, ...body });
  expect((await accept({ password: 'good enough password' })).status).toBe(400);
  expect((await accept({ name: 'New', password: 'short' })).status).toBe(400);
  const answers = await Promise.all(
    [1, 2].map(() => accept({ name: 'New', password: 'good enough password' })),
  );
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  const entered = answers.find(({ status }) => status === 200)!;
  expect(entered.body).toMatchObject({ account: { role: 'assistant', person: { email, name: 'New' } } });
  expect((await accept({ name: 'New', password: 'good enough password' })).status).toBe(401);
  const { invitations } = (await call('GET', '/v1/invitations', { cookie })).body as InvitationPage;
  expect(invitations).toMatchObject([{ id: invitation.id, state: 'accepted' }]);
  expect((await call('DELETE', `/v1/invitations/${invitation.id}`, { cookie })).status).toBe(404);
  // A member is not invited again.
  expect((await post('/v1/invitations', { email, role: 'owner' }, { cookie })).status).toBe(409);
});

test('whoever has an account joins with its password and its second factor, and switches between organisations', async () => {
  const person = await createPerson(pools, { orgId: foreign.orgId, role: 'clinician' });
  const totp = await enrol(person);
  const made = await post(
    '/v1/invitations',
    { email: person.email, role: 'assistant' },
    { key: tenant.adminKey },
  );
  const { token } = made.body as InvitationCreated;
  const accept = (password: string): Promise<Answered> =>
    post('/v1/account/invitations/accept', { token, password });
  expect((await accept('not the password')).status).toBe(401);
  const { body } = await accept(person.password);
  const { challenge } = body as { challenge: string };
  const entered = await post('/v1/account/second-factor', { challenge, code: totp.next() });
  const cookie = cookieOf(entered);
  expect(entered.body).toMatchObject({ account: { organisation: { id: tenant.orgId }, role: 'assistant' } });
  const switched = await call('PUT', '/v1/account/organisation', {
    cookie,
    body: { organisationId: foreign.orgId },
  });
  expect(switched.body).toMatchObject({
    account: { organisation: { id: foreign.orgId }, role: 'clinician' },
  });
  expect((await call('GET', '/v1/account', { cookie })).status).toBe(401);
  const stranger = await createTenant(database.ownerUrl, pools, 'Stranger');
  const refused = await call('PUT', '/v1/account/organisation', {
    cookie: cookieOf(switched),
    body: { organisationId: stranger.orgId },
  });
  expect(refused.status).toBe(403);
});

test('an invitation that was revoked or has ended lets nobody in', async () => {
  const invite = async (): Promise<InvitationCreated> =>
    (
      await post(
        '/v1/invitations',
        { email: `${uuidv7(systemClock)}@x.example`, role: 'owner' },
        { key: tenant.adminKey },
      )
    ).body as InvitationCreated;
  const [gone, late] = [await invite(), await invite()];
  expect(
    (await call('DELETE', `/v1/invitations/${gone.invitation.id}`, { key: foreign.adminKey })).status,
  ).toBe(404);
  expect(
    (await call('DELETE', `/v1/invitations/${gone.invitation.id}`, { key: tenant.adminKey })).status,
  ).toBe(204);
  await owner.query(`update kymo.invitation set expires_at = now() - interval '1 s' where id = $1`, [
    late.invitation.id,
  ]);
  for (const { token } of [gone, late]) {
    expect((await post('/v1/account/invitations/look', { token })).status).toBe(404);
    const body = { token, name: 'X', password: 'good enough password' };
    expect((await post('/v1/account/invitations/accept', body)).status).toBe(401);
  }
});

test('whoever is removed, made less or revoked lets nobody in by an invitation from before', async () => {
  const boss = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const cookie = await signIn(pools, boss);
  const byPerson = async (): Promise<{ id: string; token: string }> => {
    const one = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
    return { id: one.id, token: await invitedBy({ cookie: await signIn(pools, one) }) };
  };
  const invitedBy = async (asked: Asked): Promise<string> => {
    const email = `${uuidv7(systemClock)}@x.example`;
    return ((await post('/v1/invitations', { email, role: 'owner' }, asked)).body as InvitationCreated).token;
  };
  const look = async (token: string): Promise<number> =>
    (await post('/v1/account/invitations/look', { token })).status;
  const [removed, demoted] = [await byPerson(), await byPerson()];
  const { id: keyId, key } = (
    await post('/v1/access-keys', { name: 'k', scope: 'admin' }, { key: tenant.adminKey })
  ).body as { id: string; key: string };
  const byKey = await invitedBy({ key });
  const stays = await invitedBy({ cookie });
  for (const token of [removed.token, demoted.token, byKey, stays]) expect(await look(token)).toBe(200);
  expect((await call('DELETE', `/v1/members/${removed.id}`, { cookie })).status).toBe(204);
  const less = { cookie, body: { role: 'assistant' } };
  expect((await call('PUT', `/v1/members/${demoted.id}`, less)).status).toBe(204);
  expect((await call('DELETE', `/v1/access-keys/${keyId}`, { cookie })).status).toBe(204);
  for (const token of [removed.token, demoted.token, byKey]) expect(await look(token)).toBe(404);
  expect(await look(stays)).toBe(200);
});

test('a ticket for somebody else does not outlive the key that vouched', async () => {
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  const { key } = (
    await post('/v1/access-keys', { name: 'k', scope: 'server', expiresAt }, { key: tenant.adminKey })
  ).body as { key: string };
  const channels = [{ channels: 'room/*', operations: ['subscribe'] }];
  const asked = await post('/v1/tickets/limited', { subject: 'ann', channels, seconds: 3_600 }, { key });
  const holder = await identity.redeemLiveTicket((asked.body as { ticket: string }).ticket);
  expect(holder).toMatchObject({ subject: 'user:ann', expiresAtUs: Date.parse(expiresAt) * 1000 });
});

test('nobody gives themselves or others more than they may', async () => {
  const [boss, clinician, assistant] = [
    await createPerson(pools, { orgId: tenant.orgId, role: 'owner' }),
    await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' }),
    await createPerson(pools, { orgId: tenant.orgId, role: 'assistant' }),
  ];
  for (const person of [clinician, assistant]) {
    const cookie = await signIn(pools, person);
    expect((await post('/v1/invitations', { email: 'a@b.example', role: 'owner' }, { cookie })).status).toBe(
      403,
    );
    const self = await call('PUT', `/v1/members/${person.id}`, { cookie, body: { role: 'owner' } });
    expect(self.status).toBe(403);
    expect((await call('DELETE', `/v1/members/${boss.id}`, { cookie })).status).toBe(403);
  }
  // A key that may manage people, and nothing else, is not the way to become an owner.
  const narrow = await createAccounts({ appPool: pools.app, clock: systemClock }).createAccessKey(
    tenant.orgId,
    {
      name: 'people',
      scope: 'custom',
      permissions: ['organisation.manage', 'organisation.read'],
    },
  );
  const { key } = narrow;
  expect((await post('/v1/invitations', { email: 'a@b.example', role: 'owner' }, { key })).status).toBe(403);
  expect((await call('PUT', `/v1/members/${clinician.id}`, { key, body: { role: 'owner' } })).status).toBe(
    403,
  );
  expect((await call('DELETE', `/v1/members/${boss.id}`, { key })).status).toBe(403);
});

test('an organisation keeps an owner, also when two leave at the same time', async () => {
  const [one, two] = [
    await createPerson(pools, { orgId: tenant.orgId, role: 'owner' }),
    await createPerson(pools, { orgId: tenant.orgId, role: 'owner' }),
  ];
  const remove = (person: TestPerson): Promise<Answered> =>
    call('DELETE', `/v1/members/${person.id}`, { key: tenant.adminKey });
  const answers = await Promise.all([remove(one), remove(two)]);
  expect(answers.map(({ status }) => status).toSorted((x, y) => x - y)).toEqual([204, 409]);
  const last = answers[0].status === 409 ? one : two;
  expect((await remove(last)).status).toBe(409);
  const demoted = await call('PUT', `/v1/members/${last.id}`, {
    key: tenant.adminKey,
    body: { role: 'clinician' },
  });
  expect(demoted.status).toBe(409);
});

test('another role ends the sign-ins here, and removal leaves nothing of the account', async () => {
  const boss = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' });
  const cookie = await signIn(pools, person);
  const bossCookie = await signIn(pools, boss);
  expect((await call('GET', '/v1/account', { cookie })).status).toBe(200);
  const url = `/v1/members/${person.id}`;
  expect((await call('PUT', url, { cookie: bossCookie, body: { role: 'assistant' } })).status).toBe(204);
  expect((await call('GET', '/v1/account', { cookie })).status).toBe(401);
  const again = await signIn(pools, person);
  expect((await call('GET', '/v1/account', { cookie: again })).body).toMatchObject({ role: 'assistant' });
  expect((await call('DELETE', url, { cookie: bossCookie })).status).toBe(204);
  expect((await call('GET', '/v1/account', { cookie: again })).status).toBe(401);
  expect((await owner.query('select from kymo.person where id = $1', [person.id])).rowCount).toBe(0);
  const { members } = (await call('GET', '/v1/members', { cookie: bossCookie })).body as MemberList;
  expect(members.map(({ id }) => id)).toEqual([boss.id]);
});

test('members of another organisation are neither seen nor touched', async () => {
  const theirs = await createPerson(pools, { orgId: foreign.orgId, role: 'owner' });
  const boss = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const cookie = await signIn(pools, boss);
  const { members } = (await call('GET', '/v1/members', { cookie })).body as MemberList;
  expect(members.map(({ id }) => id)).toEqual([boss.id]);
  expect((await call('DELETE', `/v1/members/${theirs.id}`, { cookie })).status).toBe(404);
  const changed = await call('PUT', `/v1/members/${theirs.id}`, { cookie, body: { role: 'assistant' } });
  expect(changed.status).toBe(404);
});

test('a patient’s account names a patient of this organisation, and sees nobody', async () => {
  const [ours, theirs] = [await createPatient(tenant.orgId), await createPatient(foreign.orgId)];
  const invite = (body: object): Promise<Answered> =>
    post('/v1/invitations', { email: `${uuidv7(systemClock)}@x.example`, ...body }, { key: tenant.adminKey });
  expect((await invite({ role: 'patient' })).status).toBe(400);
  expect((await invite({ role: 'clinician', patientId: ours })).status).toBe(400);
  expect((await invite({ role: 'patient', patientId: theirs })).status).toBe(400);
  expect((await invite({ role: 'patient', patientId: ours })).status).toBe(201);
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'patient', patientId: ours });
  const cookie = await signIn(pools, person);
  expect((await call('GET', '/v1/account', { cookie })).body).toMatchObject({
    role: 'patient',
    patientId: ours,
  });
  expect((await call('GET', '/v1/members', { cookie })).status).toBe(403);
  // Names of patients are identifiers: only whoever manages accounts has them listed.
  const colleague = await createPerson(pools, { orgId: tenant.orgId, role: 'assistant' });
  const listedTo = async (by: object): Promise<string[]> =>
    ((await call('GET', '/v1/members', by)).body as MemberList).members.map(({ id }) => id);
  expect(await listedTo({ cookie: await signIn(pools, colleague) })).toEqual([colleague.id]);
  expect(await listedTo({ key: tenant.adminKey })).toContain(person.id);
  // The account goes with the patient.
  await owner.query('delete from kymo.patient where id = $1', [ours]);
  expect((await owner.query('select from kymo.person where id = $1', [person.id])).rowCount).toBe(0);
});

test('keys have no account of their own', async () => {
  for (const [method, url] of [
    ['POST', '/v1/account/sign-out'],
    ['GET', '/v1/account/sign-ins'],
  ] as const)
    expect((await call(method, url, { key: tenant.adminKey })).status).toBe(403);
});

test('a key lists what it may, no more than its maker, and does only that', async () => {
  const make = (body: object, key = tenant.adminKey): Promise<Answered> =>
    post('/v1/access-keys', { name: 'narrow', ...body }, { key });
  expect((await make({ scope: 'custom' })).status).toBe(400);
  expect((await make({ scope: 'read', permissions: ['session.read'] })).status).toBe(400);
  expect((await make({ scope: 'custom', permissions: ['everything'] })).status).toBe(400);
  const permissions = ['key.manage', 'session.read'];
  const { key } = (await make({ scope: 'custom', permissions })).body as { key: string };
  expect((await call('GET', '/v1/account', { key })).body).toMatchObject({ permissions });
  expect((await call('GET', '/v1/devices', { key })).status).toBe(403);
  expect((await make({ scope: 'admin' }, key)).status).toBe(403);
  expect((await make({ scope: 'custom', permissions: ['patient.read'] }, key)).status).toBe(403);
  expect((await make({ scope: 'custom', permissions: ['session.read'] }, key)).status).toBe(201);
  const { keys } = (await call('GET', '/v1/access-keys', { key })).body as { keys: object[] };
  expect(keys.slice(0, 2)).toMatchObject([
    { scope: 'custom', permissions: ['session.read'] },
    { scope: 'custom', permissions },
  ]);
});

test('the key of a device is exchanged, and the old one goes on for its time', async () => {
  const { deviceId } = tenant.device;
  const url = `/v1/devices/${deviceId}`;
  const asked = { key: tenant.adminKey };
  const isGood = async (key: string): Promise<boolean> =>
    (await createIdentity({ authPool: pools.auth, clock: systemClock }).authenticateDevice(key)) !== null;
  const rotate = async (body: object): Promise<string> =>
    ((await post(`${url}/rotate`, body, asked)).body as { key: string }).key;
  const second = await rotate({});
  expect([await isGood(tenant.deviceKey), await isGood(second)]).toEqual([true, true]);
  // One before the last is good for nothing, and nothing is with no grace.
  const third = await rotate({ graceSeconds: 600 });
  expect(await Promise.all([tenant.deviceKey, second, third].map(isGood))).toEqual([false, true, true]);
  await owner.query(`update kymo.device set previous_key_until = now() - interval '1 s' where id = $1`, [
    deviceId,
  ]);
  expect([await isGood(second), await isGood(third)]).toEqual([false, true]);
  expect(revoked).toEqual([]);
  const fourth = await rotate({ graceSeconds: 0 });
  // What the old one has open on other instances ends too.
  expect(revoked).toEqual([{ orgId: tenant.orgId, exchangedId: deviceId }]);
  expect([await isGood(third), await isGood(fourth)]).toEqual([false, true]);
  expect((await call('PUT', url, { ...asked, body: { name: 'left shoe' } })).status).toBe(204);
  const { devices } = (await call('GET', '/v1/devices', asked)).body as { devices: object[] };
  expect(devices).toMatchObject([
    { name: 'left shoe', rotatedAt: expect.any(String) as string, previousKeyUntil: null },
  ]);
  const foreigner = await post(`${url}/rotate`, {}, { key: foreign.adminKey });
  expect(foreigner.status).toBe(404);
});

test('a person of one organisation reads nothing of another with the cookie', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'owner' });
  const cookie = await signIn(pools, person);
  const theirs = await createPatient(foreign.orgId);
  const invitation = await post(
    '/v1/invitations',
    { email: 'x@y.example', role: 'owner' },
    { key: foreign.adminKey },
  );
  const { id } = (invitation.body as InvitationCreated).invitation;
  expect((await call('DELETE', `/v1/invitations/${id}`, { cookie })).status).toBe(404);
  expect((await call('GET', '/v1/invitations', { cookie })).body).toMatchObject({ invitations: [] });
  expect((await call('DELETE', `/v1/devices/${foreign.device.deviceId}`, { cookie })).status).toBe(404);
  const asPatient = await post(
    '/v1/invitations',
    { email: 'p@y.example', role: 'patient', patientId: theirs },
    { cookie },
  );
  expect(asPatient.status).toBe(400);
});
