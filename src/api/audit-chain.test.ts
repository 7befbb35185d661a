import { Readable } from 'node:stream';

import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify from 'fastify';
import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { silentLog } from '#base/log.ts';
import type { Principal } from '#contract/principal.ts';
import { guardRoutes } from '#api/access.ts';
import type { Api } from '#api/api-options.ts';
import { auditRoutes, listedPatients, planOf } from '#api/audit-chain.ts';
import { answerWithProblems } from '#api/problems.ts';
import { createRecordedAudit } from '#test/support/recorded-audit.ts';

const id = '01900000-0000-7000-8000-0000000000c2';
const other = '01900000-0000-7000-8000-0000000000c3';

const clinician: Principal = {
  kind: 'user',
  orgId: '01900000-0000-7000-8000-00000000000a',
  subject: '01900000-0000-7000-8000-0000000000ff',
  role: 'clinician',
  patientId: null,
  permissions: null,
  grants: null,
  expiresAtUs: Number.POSITIVE_INFINITY,
  revocationId: null,
};

function setUp(addRoutes: (api: Api) => void) {
  const audit = createRecordedAudit();
  const api = Fastify({ genReqId: () => id }).withTypeProvider<TypeBoxTypeProvider>() as unknown as Api;
  answerWithProblems(api, silentLog);
  guardRoutes(api, {
    principals: { authenticate: async () => clinician, authenticateSignIn: async () => null },
    origins: { allowed: new Set(), isSecure: false },
    ownerOf: async () => null,
  });
  auditRoutes(api, { audit, log: silentLog });
  addRoutes(api);
  const call = (method: 'GET' | 'POST' | 'DELETE', url: string, payload?: object) =>
    api.inject({
      method,
      url,
      headers: { authorization: 'Bearer key' },
      ...(payload === undefined ? {} : { payload }),
    });
  return { audit, call };
}

const outcomes = (audit: ReturnType<typeof createRecordedAudit>): unknown[] =>
  audit.entries.map(({ route, status }) => `${route} ${status ?? 'begun'}`);

test('a read is recorded once, with who, what and the outcome', async () => {
  const { audit, call } = setUp((api) => {
    const config = { access: 'session.read', subject: 'session' } as const;
    api.get('/v1/sessions/:id/motion', { config }, async () => ({ a: 1 }));
  });
  expect((await call('GET', `/v1/sessions/${id}/motion`)).statusCode).toBe(200);
  expect(audit.entries).toEqual([
    {
      orgId: clinician.orgId,
      actor: { kind: 'user', role: 'clinician', subject: clinician.subject },
      action: 'session.read',
      route: 'GET /v1/sessions/:id/motion',
      requestId: id,
      patientId: null,
      resource: { kind: 'session', id },
      status: 200,
      address: '127.0.0.1',
    },
  ]);
});

test('nobody hides whose recording was read by naming somebody else beside the address', async () => {
  const { audit, call } = setUp((api) => {
    const config = { access: 'session.write', subject: 'session' } as const;
    api.get('/v1/sessions/:id', { config: { ...config, access: 'session.read' } }, async () => ({}));
    api.post('/v1/sessions/:id/start', { config }, async () => ({}));
  });
  await call('GET', `/v1/sessions/${id}?patient=${other}&patientId=${other}&session=${other}`);
  await call('POST', `/v1/sessions/${id}/start`, { patientId: other, input: { patient: other } });
  // Null: the database looks it up, by the session.
  for (const entry of audit.entries)
    expect(entry).toMatchObject({ patientId: null, resource: { kind: 'session', id } });
  expect(audit.entries).toHaveLength(3);
});

test('what cannot be recorded is not shown, also when it is a stream', async () => {
  const body = Readable.from(['secret']);
  const { audit, call } = setUp((api) => {
    api.get('/json', { config: { access: 'patient.read' } }, async (_request, reply) => {
      reply.header('etag', '"1"');
      return { secret: 1 };
    });
    api.get('/stream', { config: { access: 'patient.read' } }, async (_request, reply) => reply.send(body));
  });
  audit.failure = new AppError('store-unavailable', 'the database is away', { temporary: true });
  for (const url of ['/json', '/stream']) {
    const answer = await call('GET', url);
    expect(answer.statusCode).toBe(503);
    expect(answer.headers).toMatchObject({ 'retry-after': expect.any(String) });
    expect(answer.headers['etag']).toBeUndefined();
    expect(answer.body).not.toContain('secret');
  }
  expect(body.destroyed).toBe(true);
});

test('a change is recorded before it is made, and with its outcome', async () => {
  let madeAt = -1;
  const { audit, call } = setUp((api) => {
    const config = { access: 'patient.write', subject: 'patient' } as const;
    api.delete('/v1/patients/:id/notes/:note', { config }, async (_request, reply) => {
      madeAt = audit.entries.length;
      return reply.code(204).send();
    });
  });
  expect((await call('DELETE', `/v1/patients/${id}/notes/${other}`)).statusCode).toBe(204);
  expect(madeAt).toBe(1);
  expect(outcomes(audit)).toEqual([
    'DELETE /v1/patients/:id/notes/:note begun',
    'DELETE /v1/patients/:id/notes/:note 204',
  ]);
  expect(audit.entries[0]).toMatchObject({ patientId: id, resource: { kind: 'notes', id: other } });
});

test('a change that cannot be recorded is not made', async () => {
  let isMade = false;
  const { audit, call } = setUp((api) =>
    api.post('/v1/patients', { config: { access: 'patient.write' } }, async () => {
      isMade = true;
      return {};
    }),
  );
  audit.failure = new AppError('overloaded', 'too many wait', { temporary: true });
  expect((await call('POST', '/v1/patients')).statusCode).toBe(503);
  expect(isMade).toBe(false);
});

test('a change that was made is told even when its outcome is not recorded', async () => {
  const { audit, call } = setUp((api) =>
    api.post('/v1/patients', { config: { access: 'patient.write' } }, async (request, _reply) => {
      request.auditedPatient = other;
      audit.failure = new AppError('store-unavailable', 'away', { temporary: true });
      return { id: other };
    }),
  );
  expect((await call('POST', '/v1/patients')).statusCode).toBe(200);
});

test('who was refused is recorded, and told why when that cannot be', async () => {
  const { audit, call } = setUp((api) => {
    api.get('/v1/audit', { config: { access: 'audit.read' } }, async () => ({}));
    api.get('/v1/patients/:id', { config: { access: 'patient.read', subject: 'patient' } }, async () => {
      throw new AppError('not-found', 'there is none');
    });
  });
  expect((await call('GET', '/v1/audit')).statusCode).toBe(403);
  expect((await call('GET', `/v1/patients/${id}`)).statusCode).toBe(404);
  expect(outcomes(audit)).toEqual(['GET /v1/audit 403', 'GET /v1/patients/:id 404']);
  audit.failure = new Error('away');
  expect((await call('GET', `/v1/patients/${id}`)).statusCode).toBe(404);
});

test('a list says whose data it showed', async () => {
  const { audit, call } = setUp((api) => {
    api.get('/v1/patients', { config: { access: 'patient.read' } }, async () => ({ patients: [{ id }] }));
    api.get('/v1/sessions', { config: { access: 'session.read' } }, async (_request, reply) =>
      reply.type('application/json').send(`{"sessions":[{"id":"x","patientId":"${other}"}]}`),
    );
    api.get('/v1/search', { config: { access: 'patient.read' } }, async (request, _reply) => {
      request.auditedPatients = [id, other];
      return { hits: 2 };
    });
  });
  for (const url of ['/v1/patients', '/v1/sessions', '/v1/search']) await call('GET', url);
  expect(audit.entries.map(({ patients }) => patients)).toEqual([[id], [other], [id, other]]);
});

test('whom it is about is also read from the query, the body and the input of a job', async () => {
  const { audit, call } = setUp((api) => {
    api.get('/v1/sessions', { config: { access: 'session.read' } }, async () => ({ sessions: [] }));
    api.post('/v1/jobs', { config: { access: 'job.run' } }, async () => ({}));
    api.post('/v1/sessions', { config: { access: 'session.write' } }, async () => ({}));
  });
  await call('GET', `/v1/sessions?patient=${id}`);
  await call('POST', '/v1/jobs', { kind: 'session-report', input: { session: other } });
  await call('POST', '/v1/sessions', { patient: id });
  expect(audit.entries.filter(({ status }) => status === 200)).toMatchObject([
    { patientId: id, resource: null },
    { patientId: null, resource: { kind: 'session', id: other } },
    { patientId: id, resource: null },
  ]);
});

test('who signed in is recorded before the cookie leaves, and nobody where nobody did', async () => {
  const { audit, call } = setUp((api) => {
    api.post('/v1/account/sign-in', { config: { access: 'public' } }, async (request, reply) => {
      reply.header('set-cookie', 'a=b');
      request.principal = clinician;
      return {};
    });
    api.post('/v1/account/password/forgot', { config: { access: 'public' } }, async () => ({}));
  });
  await call('POST', '/v1/account/password/forgot');
  await call('POST', '/v1/account/sign-in');
  expect(audit.entries).toMatchObject([{ action: 'account.sign-in', status: 200 }]);
  audit.failure = new AppError('store-unavailable', 'away', { temporary: true });
  const refused = await call('POST', '/v1/account/sign-in');
  expect(refused.statusCode).toBe(503);
  expect(refused.headers['set-cookie']).toBeUndefined();
});

test('a search that is sent by POST is a read', async () => {
  const { audit, call } = setUp((api) => {
    api.post('/v1/search', { config: { access: 'patient.read' } }, async () => ({ patients: [{ id }] }));
  });
  await call('POST', '/v1/search');
  expect(audit.entries).toMatchObject([{ status: 200, patients: [id] }]);
});

test('whose data a page shows is read from its text, each once, at most a hundred', () => {
  expect(listedPatients('{"sessions":[{"patientId":null}]}')).toBeNull();
  expect(listedPatients(`{"jobs":[{"kind":"patient-export","patient":"${id}"}]}`)).toEqual([id]);
  const twice = `{"sessions":[{"patientId":"${id}"},{"patientId":"${id}"}]}`;
  expect(listedPatients(twice)).toEqual([id]);
  const many = Array.from({ length: 300 }, (_, i) => ({ id: `${String(i).padStart(8, '0')}${id.slice(8)}` }));
  expect(listedPatients(JSON.stringify({ patients: many }))).toHaveLength(100);
});

test.each([
  ['GET', 'device.read', '/v1/devices', null],
  ['POST', 'device.manage', '/v1/devices', 'device.manage'],
  ['DELETE', 'key.manage', '/v1/access-keys/:id', 'key.manage'],
  ['GET', 'job.read', '/v1/jobs/:id', 'job.read'],
  ['POST', 'device', '/v1/readings', null],
  ['POST', 'any', '/v1/account/password', 'account.change'],
  ['GET', 'any', '/v1/account', null],
  ['GET', 'public', '/healthz', null],
  ['POST', 'public', '/v1/account/sign-in', 'account.sign-in'],
] as const)('%s by %s of %s is recorded as %s', (method, access, url, action) => {
  expect(planOf({ method, url, access, subject: undefined })?.action ?? null).toBe(action);
});
