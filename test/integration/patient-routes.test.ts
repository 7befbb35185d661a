import type { LightMyRequestResponse as Answer } from 'fastify';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import type { Api } from '#api/api-options.ts';
import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import { createIdentity } from '#identity/identity.ts';
import { openTestClinic, type TestClinic } from '#test/support/clinic.ts';
import { ownPrincipals } from '#test/support/principals.ts';
import { createRecordedAudit, type RecordedAudit } from '#test/support/recorded-audit.ts';
import { createDescribedApi } from '../../scripts/generate.ts';

let clinic: TestClinic;
let api: Api;
let audit: RecordedAudit;

beforeAll(async () => {
  clinic = await openTestClinic();
});
afterAll(() => clinic.close());

beforeEach(async () => {
  audit = createRecordedAudit();
  const identity = createIdentity({ authPool: clinic.pools.auth, clock: systemClock });
  const principals = ownPrincipals(identity);
  api = await createDescribedApi('1', { identity, principals, audit, records: clinic.records });
  return () => api.close();
});

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

function call(method: Method, url: string, body?: object, key = clinic.tenant.adminKey): Promise<Answer> {
  return api.inject({
    method,
    url,
    headers: { authorization: `Bearer ${key}` },
    ...(body === undefined ? {} : { payload: body }),
  });
}

test('the whole record of a patient is written and read by its addresses', async () => {
  const made = await call('POST', '/v1/patients', { code: 'Http-1', identifiers: { name: 'Erika Muster' } });
  expect(made.statusCode).toBe(201);
  const { id } = made.json<{ id: string }>();
  // Ids are taken in either case.
  const at = `/v1/patients/${id.toUpperCase()}`;
  const overview = await call('GET', at);
  expect(overview.headers['content-type']).toBe('application/json; charset=utf-8');
  expect(overview.json()).toMatchObject({ patient: { id, code: 'Http-1' }, sessions: [] });
  expect(overview.body).not.toContain('Erika');
  expect((await call('PATCH', at, { revision: 1, heightM: 1.7 })).json()).toMatchObject({ revision: 2 });
  const outdated = await call('PATCH', at, { revision: 1, heightM: 1.8 });
  expect({ status: outdated.statusCode, ...outdated.json<object>() }).toMatchObject({
    status: 409,
    code: 'outdated',
  });
  expect((await call('GET', `${at}/identifiers`)).json()).toEqual({ name: 'Erika Muster' });
  expect((await call('PATCH', `${at}/identifiers`, { name: null })).json()).toEqual({});
  expect((await call('POST', `${at}/consents`, { purpose: 'care', decision: 'granted' })).statusCode).toBe(
    201,
  );
  expect((await call('GET', `${at}/consents`)).json()).toMatchObject({ granted: ['care'] });
  expect((await call('GET', `${at}/progress?metric=speed`)).json()).toEqual({ sessions: [], next: null });
  const records = [
    ['history', 'entries', { kind: 'other', text: 'x' }],
    ['notes', 'notes', { text: 'x' }],
    ['goals', 'goals', { text: 'x' }],
    [
      'programmes',
      'programmes',
      {
        title: 'x',
        beginsOn: '2026-01-01',
        exercises: [{ id: 'a', name: 'a', sets: null, repetitions: null, durationS: null, timesPerWeek: 1 }],
      },
    ],
  ] as const;
  for (const [path, key, body] of records) {
    const added = await call('POST', `${at}/${path}`, body);
    expect({ path, status: added.statusCode }).toEqual({ path, status: 201 });
    const one = added.json<{ id: string }>();
    const replaced = await call('PUT', `${at}/${path}/${one.id}`, { ...body, revision: 1 });
    expect(replaced.json()).toMatchObject({ id: one.id, revision: 2 });
    const page = (await call('GET', `${at}/${path}?limit=1`)).json<Record<string, unknown>>();
    expect(page).toEqual({ [key]: [replaced.json()], next: null });
    const gone = await call('DELETE', `${at}/${path}/${one.id}${path === 'notes' ? '?revision=2' : ''}`);
    expect({ path, status: gone.statusCode }).toEqual({ path, status: path === 'notes' ? 200 : 204 });
  }
  const programme = (await call('POST', `${at}/programmes`, records[3][2])).json<{ id: string }>();
  const entry = `${at}/programmes/${programme.id}/entries/2026-01-02/a`;
  expect((await call('PUT', entry, { times: 2 })).json()).toMatchObject({ times: 2, day: '2026-01-02' });
  const entries = await call('GET', `${at}/programmes/${programme.id}/entries`);
  expect(entries.json()).toMatchObject({ entries: [{ exercise: 'a' }] });
  expect((await call('DELETE', entry)).statusCode).toBe(204);
  const list = await call('GET', '/v1/patients?code=http&limit=5');
  expect(list.json()).toMatchObject({ patients: [{ id, consents: ['care'] }], next: null });
});

test('who a patient is has an address of its own in the audit log, and a search names whom it showed', async () => {
  const { id } = await clinic.make({ code: 'Audited-1', identifiers: { name: 'Anna Audit' } });
  await call('GET', `/v1/patients/${id}`);
  await call('GET', `/v1/patients/${id}/identifiers`);
  expect(audit.entries.map(({ route, patientId, status }) => ({ route, patientId, status }))).toEqual([
    { route: 'GET /v1/patients/:id', patientId: id, status: 200 },
    { route: 'GET /v1/patients/:id/identifiers', patientId: id, status: 200 },
  ]);
  audit.entries.length = 0;
  await call('GET', '/v1/patients?code=audited');
  expect(audit.entries).toMatchObject([{ route: 'GET /v1/patients', patients: [id] }]);
  audit.entries.length = 0;
  const found = await call('POST', '/v1/search', { text: 'anna audit' });
  expect(found.json()).toMatchObject({ patients: [{ id, by: 'name' }] });
  expect(JSON.stringify(audit.entries)).toContain(id);
  expect(JSON.stringify(audit.entries).toLowerCase()).not.toContain('anna');
});

test('what is malformed is refused before anything is asked of the database', async () => {
  const { id } = await clinic.make();
  const cases: [Method, string, object?][] = [
    ['GET', '/v1/patients/not-an-id'],
    ['GET', '/v1/patients?limit=0'],
    ['GET', '/v1/patients?code=%25'],
    ['GET', '/v1/patients?state=gone'],
    ['GET', '/v1/patients?cursor=x'],
    ['GET', `/v1/patients/${id}/progress?metric=A%20B`],
    ['POST', '/v1/patients', { code: 'no spaces' }],
    ['POST', '/v1/patients', { name: 'Erika' }],
    ['POST', '/v1/patients', { consents: ['care', 'care'] }],
    ['PATCH', `/v1/patients/${id}`, { heightM: 1.7 }],
    ['PATCH', `/v1/patients/${id}/identifiers`, {}],
    ['POST', `/v1/patients/${id}/notes`, { text: '' }],
    ['PUT', `/v1/patients/${id}/notes/${uuidv7(systemClock)}`, { text: 'x' }],
    ['POST', '/v1/search', { text: 'x'.repeat(121) }],
  ];
  for (const [method, url, body] of cases) {
    const answer = await call(method, url, body);
    expect({ url, status: answer.statusCode }).toEqual({ url, status: 400 });
    expect(answer.json()).toMatchObject({ code: 'invalid-field' });
  }
});

test('a key that may read writes nothing, and what is not there is not found', async () => {
  const { id } = await clinic.make();
  const { readKey } = clinic.tenant;
  for (const url of ['/v1/patients', `/v1/patients/${id}/notes`])
    expect((await call('POST', url, { text: 'x' }, readKey)).statusCode).toBe(403);
  const nobody = uuidv7(systemClock);
  for (const path of [
    '',
    '/progress',
    '/identifiers',
    '/consents',
    '/history',
    '/notes',
    '/goals',
    '/programmes',
  ])
    expect((await call('GET', `/v1/patients/${nobody}${path}`)).statusCode).toBe(404);
});
