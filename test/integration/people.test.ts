/** Owns the proof that people get into a real server: by printed links, the first owner's set-up, and what is open ends. */

import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import type { Account, SignInAnswer } from '#contract/account.ts';
import type { AuditPage } from '#contract/audit.ts';
import { LIVE_SUBPROTOCOL } from '#protocol/version.ts';
import { dataDirectory, removeTemplate } from '#test/support/first-run.ts';
import { runKymo, startKymo, type KymoOptions, type KymoProcess } from '#test/support/kymo-process.ts';
import { joinOver } from '#test/support/people.ts';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

afterAll(removeTemplate);

async function place(): Promise<string> {
  const directory = await dataDirectory();
  endings.push(() => directory.remove());
  return directory.path;
}

async function start(options: Omit<KymoOptions, 'port'>): Promise<KymoProcess> {
  const kymo = await startKymo({ printsKey: false, ...options, port: 0 });
  endings.push(() => kymo.signal('SIGTERM'));
  return kymo;
}

interface Answered {
  readonly status: number;
  readonly body: unknown;
  readonly cookie: string;
}

async function send(
  origin: string,
  way: string,
  asked: { body?: object; headers?: object } = {},
): Promise<Answered> {
  const [method = '', url = ''] = way.split(' ');
  const response = await fetch(new URL(url, origin), {
    method,
    headers: {
      origin,
      ...(asked.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...asked.headers,
    },
    ...(asked.body === undefined ? {} : { body: JSON.stringify(asked.body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    body: text === '' ? null : JSON.parse(text),
    cookie: response.headers.getSetCookie()[0]?.split(';')[0] ?? '',
  };
}

const tokenIn = (address: string): string => new URL(address).hash.replace(/^#\w+=/, '');

async function enter(address: string): Promise<{ headers: { cookie: string }; account: Account }> {
  const { origin } = new URL(address);
  const { status, body, cookie } = await send(origin, 'POST /v1/account/links', {
    body: { token: tokenIn(address) },
  });
  expect(status).toBe(200);
  const answer = body as SignInAnswer;
  if (answer.state !== 'signed-in') throw new Error('a link asks for no code');
  return { headers: { cookie }, account: answer.account };
}

test('the demo prints a link that signs in once, and kymo link prints another', async () => {
  const dataDir = await place();
  const kymo = await start({ command: 'demo', dataDir });
  const { origin } = new URL(kymo.address);
  expect(kymo.address).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#link=kl_[\w-]{43}$/);
  expect(kymo.output()).not.toContain('ka_');
  const { account, headers } = await enter(kymo.address);
  expect(account).toMatchObject({ role: 'owner', person: { name: 'Demo clinician' } });
  const again = await send(origin, 'POST /v1/account/links', { body: { token: tokenIn(kymo.address) } });
  expect(again.status).toBe(401);
  expect((await send(origin, 'GET /v1/sessions', { headers })).status).toBe(200);

  const other = await runKymo(['link', '--data', dataDir]);
  expect((await enter(other)).account.person?.id).toBe(account.person?.id);
  await expect(runKymo(['link', '--data', dataDir, '--email', 'nobody@x.example'])).rejects.toThrow(
    'nobody here',
  );
  // A second start points to the first with a link as well.
  const pointed = await runKymo(['demo', '--data', dataDir]);
  expect(pointed).toMatch(/Kymo runs here already: http:\/\/127\.0\.0\.1:\d+\/#link=kl_/);
});

test('a new server prints the set-up of its owner, who then signs in with a password', async () => {
  const dataDir = await place();
  const kymo = await start({ dataDir });
  const { origin } = new URL(kymo.address);
  expect(kymo.address).toMatch(/\/#setup=kl_[\w-]{43}$/);
  expect((await send(origin, 'GET /v1/account/options')).body).toEqual({ hasMail: false, needsSetUp: true });
  // Another link, by who can read the data directory; the first to be used ends both.
  const other = await runKymo(['link', '--data', dataDir]);
  const owner = { email: 'Owner@clinic.example', name: 'Owner', password: 'a walk in the park' };
  const setUp = (address: string): Promise<Answered> =>
    send(origin, 'POST /v1/account/set-up', { body: { ...owner, token: tokenIn(address) } });
  const made = await setUp(other);
  expect(made.body).toMatchObject({ account: { role: 'owner', person: { email: 'owner@clinic.example' } } });
  expect((await setUp(kymo.address)).status).toBe(401);
  expect((await send(origin, 'GET /v1/account/options')).body).toMatchObject({ needsSetUp: false });
  const { email, password } = owner;
  expect(
    (await send(origin, 'POST /v1/account/sign-in', { body: { email, password: 'wrong' } })).status,
  ).toBe(401);
  const { cookie } = await send(origin, 'POST /v1/account/sign-in', { body: { email, password } });

  // Both are in the audit log of the organisation, by the owner's id.
  const { body } = await send(origin, 'GET /v1/audit', { headers: { cookie } });
  const routes = (body as AuditPage).entries.map(({ route, status }) => `${route} ${status}`);
  expect(routes).toEqual(
    expect.arrayContaining([
      'people set-up 200',
      'people sign-in-failed password 401',
      'people signed-in password 200',
    ]),
  );

  // After a restart there is nothing to set up, and the cookie is still good.
  await kymo.signal('SIGTERM');
  const later = await start({ dataDir });
  expect(later.address).toBe(new URL(later.address).origin);
  const there = new URL(later.address).origin;
  expect((await send(there, 'GET /v1/account', { headers: { cookie } })).status).toBe(200);
});

test('a cookie opens live sockets by a ticket, and signing out closes them', async () => {
  const kymo = await start({ dataDir: await place(), printsKey: true });
  const { origin, host, hash } = new URL(kymo.address);
  const { headers } = await joinOver(origin, { key: hash.replace('#key=', ''), role: 'clinician' });
  const { ticket } = (await send(origin, 'POST /v1/tickets', { headers })).body as { ticket: string };
  const socket = new WebSocket(`ws://${host}/v1/live?ticket=${ticket}`, LIVE_SUBPROTOCOL);
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  expect((await send(origin, 'POST /v1/account/sign-out', { headers })).status).toBe(204);
  expect(await closed).toBe(4500);
  expect((await send(origin, 'POST /v1/tickets', { headers })).status).toBe(401);
});

test('a browser is opened only when asked to, and the link is in no process list', async () => {
  const [dataDir, tools] = [await place(), await place()];
  const said = path.join(tools, 'said');
  const opener = path.join(tools, process.platform === 'darwin' ? 'open' : 'xdg-open');
  await writeFile(opener, `#!/bin/sh\nprintf %s "$1" > '${said}.new' && mv '${said}.new' '${said}'\n`);
  await chmod(opener, 0o755);
  const PATH = process.env['PATH'] ?? '';
  process.env['PATH'] = `${tools}:${PATH}`;
  endings.push(() => (process.env['PATH'] = PATH));
  const quiet = await start({ dataDir });
  await quiet.signal('SIGTERM');
  await expect(stat(said)).rejects.toThrow('ENOENT');
  const kymo = await start({ dataDir, args: ['--open'] });
  await expect.poll(() => readFile(said, 'utf8').catch(() => '')).toMatch(/^file:\/\/.*\/open\.html$/);
  const page = new URL(await readFile(said, 'utf8'));
  expect(await readFile(page, 'utf8')).toContain(`href="${kymo.address}"`);
  expect((await stat(page)).mode & 0o077).toBe(0);
});
