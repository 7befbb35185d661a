import Fastify, { type FastifyInstance } from 'fastify';
import { expect, test } from 'vitest';

import { silentLog } from '#base/log.ts';
import { answerForeignPages } from '#api/cross-origin.ts';
import { parseAllowedOrigins } from '#api/origin.ts';
import { answerWithProblems } from '#api/problems.ts';

const listed = 'https://app.example.org';

function serve(allowedOrigins: string): FastifyInstance {
  const app = Fastify();
  answerWithProblems(app, silentLog);
  answerForeignPages(app, { allowed: parseAllowedOrigins(allowedOrigins), isSecure: false });
  app.get('/open', async (_request, reply) => reply.header('vary', 'accept').send({ ok: true }));
  app.get('/stream', { config: { refusesForeignPages: true } }, async () => ({ ok: true }));
  return app;
}

const ask = (app: FastifyInstance, origin: string | null, url = '/open') =>
  app.inject({ url, headers: { host: 'kymo.example', ...(origin === null ? {} : { origin }) } });

test('no page but the own is told anything unless it is listed', async () => {
  for (const app of [serve(''), serve(listed)]) {
    const answer = await ask(app, 'https://evil.example');
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
  }
});

test('a listed page may read the answer, and never with cookies', async () => {
  const { headers } = await ask(serve(listed), listed);
  expect(headers['access-control-allow-origin']).toBe(listed);
  expect(headers['vary']).toBe('accept, origin');
  expect(headers).not.toHaveProperty('access-control-allow-credentials');
});

test('caches keep the answers of origins apart also where none came', async () => {
  expect((await ask(serve(listed), null)).headers['vary']).toBe('accept, origin');
});

test('a stream refuses foreign pages and says what to do', async () => {
  const app = serve(listed);
  const refused = await ask(app, 'https://evil.example', '/stream');
  expect(refused.statusCode).toBe(403);
  expect(refused.json()).toMatchObject({ code: 'forbidden' });
  expect(refused.json<{ detail: string }>().detail).toContain('--allowed-origins');
  for (const origin of [null, listed, 'http://kymo.example'])
    expect((await ask(app, origin, '/stream')).statusCode, String(origin)).toBe(200);
});

test('a preflight is answered for listed pages only', async () => {
  const app = serve(listed);
  const preflight = (origin: string) =>
    app.inject({
      method: 'OPTIONS',
      url: '/open',
      headers: { origin, host: 'kymo.example', 'access-control-request-method': 'POST' },
    });
  const answer = await preflight(listed);
  expect(answer.statusCode).toBe(204);
  expect(answer.headers['access-control-allow-headers']).toContain('idempotency-key');
  expect((await preflight('https://evil.example')).headers).not.toHaveProperty(
    'access-control-allow-methods',
  );
});
