/** Mail on a real PostgreSQL and real SMTP servers: taken, refused, put off, encrypted, and nothing slipped into it. */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

import type pg from 'pg';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { silentLog, type Log } from '#base/log.ts';
import { seededRandom } from '#base/random.ts';
import { uuidv7 } from '#base/uuid.ts';
import { createMailer, type Mailer, type NewMail } from '#jobs/mail/mailer.ts';
import { createSmtp, isMailAddress, type Smtp } from '#jobs/mail/smtp.ts';
import { createMailOutbox, mailStatement } from '#store/mail-outbox.ts';
import { openPools, runAsOrg, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

interface Taken {
  readonly from: string;
  readonly to: readonly string[];
  readonly text: string;
  readonly isSecure: boolean;
}

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let tenant: Tenant;
let servers: SMTPServer[] = [];
let smtps: Smtp[] = [];
let taken: Taken[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
});

afterEach(async () => {
  for (const smtp of smtps) smtp.close();
  for (const server of servers) await new Promise<void>((resolve) => server.close(resolve));
  [servers, smtps, taken] = [[], [], []];
  await owner.query('delete from kymo.mail');
});

afterAll(async () => {
  await pools.close();
  await owner.end();
  await database.drop();
});

/** A server that keeps what it is given; returns its port. */
async function listen(options: SMTPServerOptions = {}): Promise<number> {
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData(stream, session, callback) {
      const pieces: Buffer[] = [];
      stream.on('data', (piece: Buffer) => void pieces.push(piece));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        taken.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          text: Buffer.concat(pieces).toString(),
          isSecure: session.secure,
        });
        callback();
      });
    },
    ...options,
  });
  // What a client that hangs up leaves behind is not what is tested.
  server.on('error', () => undefined);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.server.address() as AddressInfo).port;
}

function mailerOf(url: string, parts: { log?: Log; ca?: string } = {}): Mailer {
  const { log = silentLog, ca } = parts;
  const smtp = createSmtp({ url, from: 'kymo@clinic.example', ...(ca === undefined ? {} : { ca }) });
  smtps.push(smtp);
  return createMailer({
    outbox: createMailOutbox(pools.auth),
    smtp,
    publicUrl: 'https://kymo.example.org/',
    clock: systemClock,
    random: seededRandom(1),
    log,
  });
}

const reset = (change: Partial<NewMail> = {}): NewMail => ({
  kind: 'password-reset',
  to: 'someone@clinic.example',
  orgId: null,
  fields: { until: '2026-11-22 20:00 UTC' },
  path: '#reset=kr_abc-DEF_123',
  expiresAt: new Date(Date.now() + 3_600_000),
  ...change,
});

const waiting = async () =>
  (
    await owner.query<{ attempts: number; wait_s: number }>(
      'select attempts, extract(epoch from next_attempt_at - now())::float8 as wait_s from kymo.mail',
    )
  ).rows;
const makeDue = () => owner.query('update kymo.mail set next_attempt_at = now()');
const refusal = (code: number, text: string): Error => Object.assign(new Error(text), { responseCode: code });

/** Quoted-printable, as text. */
const plain = (text: string): string =>
  text
    .replaceAll(/=\r\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)));

test('a mail comes once, as text and HTML, with the link of this installation, and nothing of it is kept', async () => {
  const mailer = mailerOf(`smtp://127.0.0.1:${await listen()}`);
  await mailer.queue(reset());
  await mailer.sendDue();
  await mailer.sendDue();
  expect(taken).toHaveLength(1);
  const [{ from, to, text }] = taken as [Taken];
  expect([from, to]).toEqual(['kymo@clinic.example', ['someone@clinic.example']]);
  expect(text).toContain('Subject: A new password for Kymo');
  expect(text).toContain('Auto-Submitted: auto-generated');
  expect(plain(text).match(/https:\/\/kymo\.example\.org\/#reset=kr_abc-DEF_123/g)!.length).toBeGreaterThan(
    1,
  );
  expect(text).toContain('text/plain');
  expect(text).toContain('text/html');
  expect(await waiting()).toEqual([]);
  expect(mailer.counters).toMatchObject({ sent: 1, refused: 0, delayed: 0 });
});

test('a greylisting server gets it again later, with the same id', async () => {
  let asked = 0;
  const port = await listen({
    onRcptTo: (_address, _session, callback) =>
      asked++ === 0 ? callback(refusal(451, 'greylisted, come back')) : callback(),
  });
  const mailer = mailerOf(`smtp://127.0.0.1:${port}`);
  await mailer.queue(reset());
  await mailer.sendDue();
  expect(taken).toEqual([]);
  const [row] = await waiting();
  expect(row!.attempts).toBe(1);
  expect(row!.wait_s).toBeGreaterThan(20);
  expect(row!.wait_s).toBeLessThan(40);
  await mailer.sendDue();
  expect(asked).toBe(1);
  await makeDue();
  await mailer.sendDue();
  expect(taken).toHaveLength(1);
  expect(taken[0]!.text).toMatch(/Message-ID: <[0-9a-f-]{36}@clinic\.example>/);
});

test('a mailbox that does not exist is not asked again, and the log has neither address nor link', async () => {
  const lines: string[] = [];
  const note = (text: string, fields?: object): void => void lines.push(`${text} ${JSON.stringify(fields)}`);
  const log = { ...silentLog, warn: note, info: note } as Log;
  const port = await listen({
    onRcptTo: (_address, _session, callback) => callback(refusal(550, 'no someone@clinic.example here')),
  });
  const mailer = mailerOf(`smtp://127.0.0.1:${port}`, { log });
  await mailer.queue(reset());
  await mailer.sendDue();
  expect(await waiting()).toEqual([]);
  expect(mailer.counters.refused).toBe(1);
  expect(lines.join('\n')).toContain('SMTP 550');
  expect(lines.join('\n')).not.toMatch(/clinic\.example|kr_abc/);
});

test('a server that is away, or does not know us, costs nothing but time', async () => {
  const away = mailerOf('smtp://127.0.0.1:1');
  await away.queue(reset());
  await away.sendDue();
  expect((await waiting())[0]!.attempts).toBe(1);
  const port = await listen({
    authOptional: false,
    onAuth: (_auth, _session, callback) => callback(refusal(535, 'who are you')),
  });
  const unknown = mailerOf(`smtp://kymo:wrong@127.0.0.1:${port}`);
  await makeDue();
  await unknown.sendDue();
  expect((await waiting())[0]!.attempts).toBe(2);
});

test('what is too late goes unsent', async () => {
  const mailer = mailerOf(`smtp://127.0.0.1:${await listen()}`);
  await mailer.queue(reset({ expiresAt: new Date(Date.now() - 1_000) }));
  await mailer.sendDue();
  expect(taken).toEqual([]);
  expect(mailer.counters.expired).toBe(1);
  expect(await waiting()).toEqual([]);
});

test('TLS from the first byte, with a certificate that is checked', async () => {
  const { key, cert } = testCertificate();
  const port = await listen({ secure: true, key, cert, disabledCommands: [] });
  const trusting = mailerOf(`smtps://localhost:${port}`, { ca: cert });
  await trusting.queue(reset());
  await trusting.sendDue();
  expect(taken).toHaveLength(1);
  expect(taken[0]!.isSecure).toBe(true);
  const strict = mailerOf(`smtps://localhost:${port}`);
  await strict.queue(reset());
  await strict.sendDue();
  expect(taken).toHaveLength(1);
  expect((await waiting())[0]!.attempts).toBe(1);
});

test.each([
  'someone@clinic.example\r\nBcc: other@evil.example',
  'someone@clinic.example, other@evil.example',
  '<someone@clinic.example>',
  'Someone "x" <other@evil.example>',
  'no address',
  `${'a'.repeat(65)}@clinic.example`,
])('%j is no address, and goes to nobody', async (to) => {
  expect(isMailAddress(to)).toBe(false);
  const mailer = mailerOf(`smtp://127.0.0.1:${await listen()}`);
  await mailer.queue(reset({ to }));
  await mailer.sendDue();
  expect(taken).toEqual([]);
  expect(mailer.counters.refused).toBe(1);
});

test('what stands in fields is text: no header, no markup', async () => {
  const mailer = mailerOf(`smtp://127.0.0.1:${await listen()}`);
  const job = '<img src=x>\r\nBcc: other@evil.example';
  await mailer.queue(reset({ kind: 'job-done', fields: { job, state: 'done' }, path: 'jobs' }));
  await mailer.sendDue();
  const [{ to, text }] = taken as [Taken];
  const head = text.slice(0, text.indexOf('\r\n\r\n'));
  expect(to).toEqual(['someone@clinic.example']);
  expect(head).not.toContain('Bcc');
  const html = plain(text.slice(text.indexOf('text/html')));
  expect(html).toContain('&lt;img src=x&gt;');
  expect(html).not.toContain('<img');
});

test('beside an event: not without it, not for another organisation, and not to be read by the application', async () => {
  const mail = {
    id: uuidv7(systemClock),
    orgId: tenant.orgId,
    kind: 'digest' as const,
    recipient: 'someone@clinic.example',
    fields: { sessions: 1, reports: 1, failed: 0, webhooks: 0, path: '' },
    expiresAt: new Date(Date.now() + 60_000),
  };
  const inOrg = (statements: readonly { text: string }[]) =>
    runAsOrg(pools.app, tenant.orgId, { statements, mode: 'change' });
  await expect(inOrg([mailStatement(mail), { text: 'select 1 / 0' }])).rejects.toThrow('division by zero');
  expect(await waiting()).toEqual([]);
  await inOrg([mailStatement(mail)]);
  expect(await waiting()).toHaveLength(1);
  await expect(inOrg([mailStatement({ ...mail, id: uuidv7(systemClock), orgId: null })])).rejects.toThrow(
    'row-level security',
  );
  await expect(inOrg([{ text: 'select recipient from kymo.mail' }])).rejects.toThrow('permission denied');
});

/** Of localhost, signed by itself. */
function testCertificate(): { key: string; cert: string } {
  const directory = createTemporaryDirectory();
  const program = 'openssl';
  const words =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost';
  const files = [
    '-keyout',
    path.join(directory.path, 'key.pem'),
    '-out',
    path.join(directory.path, 'cert.pem'),
  ];
  execFileSync(program, [...words.split(' '), '-addext', 'subjectAltName=DNS:localhost', ...files], {
    stdio: 'ignore',
  });
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) =>
    readFileSync(path.join(directory.path, name), 'utf8'),
  );
  directory.remove();
  return { key: key!, cert: cert! };
}
