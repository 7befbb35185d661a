/** Webhooks on a real PostgreSQL and a real receiver: what is signed, repeated, refused, switched off and shown. */

import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type pg from 'pg';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { seededRandom } from '#base/random.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { WebhookEndpointPage } from '#contract/webhooks.ts';
import type { Principal } from '#contract/principal.ts';
import { createSealedTexts } from '#identity/sealed-texts.ts';
import { createSecretBox } from '#identity/secret-box.ts';
import { webhookDeliveriesTask } from '#jobs/tasks/webhook-deliveries.ts';
import { createWebhooks, type Webhooks } from '#jobs/webhooks/endpoints.ts';
import { postWebhook, type PostParts } from '#jobs/webhooks/post-webhook.ts';
import type { TaskContext } from '#jobs/task.ts';
import { openPools, runAsOrg, type Pools } from '#store/pools.ts';
import { webhookStatements } from '#store/webhook-events.ts';
import { createWebhookQueries, type WebhookQueries } from '#store/webhook-queries.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { testMasters } from '#test/support/people.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

interface Received {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let tenant: Tenant;
let other: Tenant;
let queries: WebhookQueries;
let webhooks: Webhooks;
let actor: Principal;
let receiver: Server;
let url: string;
let received: Received[] = [];
let answer: (request: IncomingMessage, response: ServerResponse) => void = () => undefined;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  other = await createTenant(database.ownerUrl, pools, 'B');
  queries = createWebhookQueries(pools.app);
  webhooks = createWebhooks({
    queries,
    clock: systemClock,
    rules: { allowPrivate: true },
    secretBytes: randomBytes,
    secrets: sealing,
  });
  actor = principalOf(tenant);
  receiver = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => void pieces.push(piece));
    request.on('end', () => {
      received.push({ headers: request.headers, body: Buffer.concat(pieces).toString() });
      answer(request, response);
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
});

afterEach(async () => {
  received = [];
  await owner.query('delete from kymo.webhook_endpoint');
  await owner.query('delete from kymo.job');
});

afterAll(async () => {
  receiver.closeAllConnections();
  receiver.close();
  await pools.close();
  await owner.end();
  await database.drop();
});

function principalOf({ orgId }: Tenant): Principal {
  return {
    orgId,
    role: 'owner',
    patientId: null,
    permissions: null,
    kind: 'user',
    subject: 'someone',
    grants: null,
    expiresAtUs: Number.POSITIVE_INFINITY,
    revocationId: null,
  };
}

const sealing = createSealedTexts(createSecretBox(testMasters));

const status =
  (code: number, headers: Record<string, string> = {}) =>
  (_request: IncomingMessage, response: ServerResponse): void =>
    void response.writeHead(code, headers).end();

const post: PostParts = {
  rules: { allowPrivate: true },
  resolve: async () => [{ address: '127.0.0.1', family: 4 }],
  clock: systemClock,
  program: 'Kymo 1.0',
};

async function tell(session = uuidv7(systemClock)): Promise<string> {
  const statements = webhookStatements({ type: 'session.ended', data: { session } }, { clock: systemClock });
  await runAsOrg(pools.app, tenant.orgId, { statements, mode: 'change' });
  return session;
}

async function deliver(): Promise<Record<string, unknown>> {
  const task = webhookDeliveriesTask({ ...post, secrets: sealing, queries, random: seededRandom(1) });
  const context = {
    job: { orgId: tenant.orgId },
    input: {},
    report: () => undefined,
    signal: new AbortController().signal,
  };
  const outcome = (await task.run(context as unknown as TaskContext<never>))!;
  if (outcome.statements!.length > 0)
    await runAsOrg(pools.app, tenant.orgId, { statements: outcome.statements!, mode: 'change' });
  return outcome.result!;
}

const logOf = async (id: string) =>
  (await webhooks.deliveries(actor, id, { limit: 50, cursor: null, state: null }))!.deliveries;
const makeDue = () =>
  owner.query(`update kymo.webhook_delivery set next_attempt_at = now() where state = 'pending'`);
const jobs = async () =>
  (await owner.query<{ run_at: Date }>(`select run_at from kymo.job where kind = 'webhook-deliveries'`)).rows;

test('an event is told once, signed so that the receiver can check it, and noted', async () => {
  answer = status(204);
  const { endpoint, secret } = await webhooks.create(actor, { url });
  const session = await tell();
  expect(await jobs()).toHaveLength(1);
  expect(await deliver()).toEqual({ sent: 1, failed: 0 });
  expect(await deliver()).toEqual({ sent: 0, failed: 0 });
  expect(received).toHaveLength(1);
  const { headers, body } = received[0]!;
  expect(new Webhook(secret).verify(body, headers as Record<string, string>)).toMatchObject({
    type: 'session.ended',
    data: { session },
  });
  expect(() => new Webhook(secret).verify(`${body} `, headers as Record<string, string>)).toThrow(
    'signature',
  );
  const [delivery] = await logOf(endpoint.id);
  expect(delivery).toMatchObject({ state: 'delivered', attempts: 1, lastStatus: 204, lastError: null });
  expect(headers['webhook-id']).toBe(delivery!.eventId);
});

test('an event that did not happen is not told, and only what an endpoint wants', async () => {
  await webhooks.create(actor, { url, events: ['job.failed'] });
  await tell();
  const statements = webhookStatements(
    { type: 'job.failed', data: { job: uuidv7(systemClock), kind: 'session-export' } },
    { clock: systemClock },
  );
  const undone = [...statements, { text: 'select 1 / 0' }];
  await expect(runAsOrg(pools.app, tenant.orgId, { statements: undone, mode: 'change' })).rejects.toThrow(
    'division by zero',
  );
  expect(await deliver()).toEqual({ sent: 0, failed: 0 });
  expect(await jobs()).toHaveLength(0);
});

test('what a receiver refuses is sent again later, with the same id, and comes through', async () => {
  answer = status(500);
  const { endpoint } = await webhooks.create(actor, { url });
  await tell();
  expect(await deliver()).toEqual({ sent: 1, failed: 1 });
  const [waiting] = await logOf(endpoint.id);
  expect(waiting).toMatchObject({ state: 'pending', attempts: 1, lastStatus: 500, lastError: 'status 500' });
  const waitMs = Date.parse(waiting!.nextAttemptAt!) - Date.now();
  expect(waitMs).toBeGreaterThan(2_000);
  expect(waitMs).toBeLessThan(6_000);
  expect((await jobs()).length).toBe(2);
  answer = status(200);
  await makeDue();
  await deliver();
  expect(received).toHaveLength(2);
  expect(received[1]!.headers['webhook-id']).toBe(received[0]!.headers['webhook-id']);
  expect((await logOf(endpoint.id))[0]).toMatchObject({ state: 'delivered', attempts: 2 });
});

test('after the last attempt it has failed; asked for, it is told again with the same id', async () => {
  answer = status(503, { 'retry-after': '120' });
  const { endpoint } = await webhooks.create(actor, { url });
  await tell();
  await deliver();
  const waitMs = Date.parse((await logOf(endpoint.id))[0]!.nextAttemptAt!) - Date.now();
  expect(waitMs).toBeGreaterThan(110_000);
  for (let i = 0; i < 8; i++) {
    await makeDue();
    await deliver();
  }
  const [failed] = await logOf(endpoint.id);
  expect(failed).toMatchObject({ state: 'failed', attempts: 9, nextAttemptAt: null });
  answer = status(200);
  await webhooks.redeliver(actor, endpoint.id, failed!.id);
  await deliver();
  const log = await logOf(endpoint.id);
  expect(log.map(({ state }) => state).toSorted()).toEqual(['delivered', 'failed']);
  expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  await expect(webhooks.redeliver(actor, endpoint.id, uuidv7(systemClock))).rejects.toMatchObject({
    code: 'not-found',
  });
});

test('while a secret is rotated both sign, and after its grace only the new one', async () => {
  answer = status(200);
  const made = await webhooks.create(actor, { url });
  const rotated = await webhooks.rotate(actor, made.endpoint.id, 60);
  expect(rotated.secret).not.toBe(made.secret);
  await tell();
  await deliver();
  await owner.query(`update kymo.webhook_endpoint set previous_until = now() - interval '1 second'`);
  await tell();
  await deliver();
  const verify =
    (secret: string, { body, headers }: Received) =>
    () =>
      new Webhook(secret).verify(body, headers as Record<string, string>);
  expect(verify(made.secret, received[0]!)).not.toThrow();
  expect(verify(rotated.secret, received[0]!)).not.toThrow();
  expect(verify(made.secret, received[1]!)).toThrow('signature');
  expect(verify(rotated.secret, received[1]!)).not.toThrow();
});

test('the database has no secret in clear, and seals one of before with its next delivery', async () => {
  answer = status(200);
  const made = await webhooks.create(actor, { url });
  await webhooks.rotate(actor, made.endpoint.id, 60);
  const kept = async (): Promise<string[]> => {
    const { rows } = await owner.query<{ secret: string; previous_secret: string }>(
      'select secret, previous_secret from kymo.webhook_endpoint',
    );
    return [rows[0]!.secret, rows[0]!.previous_secret];
  };
  expect((await kept()).map((text) => text.slice(0, 7))).toEqual(['sealed_', 'sealed_']);
  await owner.query('update kymo.webhook_endpoint set previous_secret = $1', [made.secret]);
  await tell();
  expect(await deliver()).toEqual({ sent: 1, failed: 0 });
  const { body, headers } = received[0]!;
  expect(() => new Webhook(made.secret).verify(body, headers as Record<string, string>)).not.toThrow();
  const [, previous] = await kept();
  expect(previous).not.toContain(made.secret);
  expect(await sealing.open(previous!, made.endpoint.id)).toBe(made.secret);
  // Of another endpoint it opens nothing.
  await expect(sealing.open(previous!, uuidv7(systemClock))).rejects.toMatchObject({ code: 'internal' });
});

test('a delivery whose secret this server cannot read waits, and says why', async () => {
  const { endpoint } = await webhooks.create(actor, { url });
  await owner.query(`update kymo.webhook_endpoint set secret = 'sealed_' || repeat('A', 60)`);
  await tell();
  expect(await deliver()).toEqual({ sent: 1, failed: 1 });
  expect(received).toEqual([]);
  expect((await logOf(endpoint.id))[0]).toMatchObject({
    state: 'pending',
    lastError: expect.stringContaining('master key') as string,
  });
});

test('an endpoint that fails for days is switched off with a reason, and tells no more until it is switched on', async () => {
  answer = status(500);
  const { endpoint } = await webhooks.create(actor, { url });
  await tell();
  await deliver();
  await owner.query(`update kymo.webhook_endpoint set failing_since = now() - interval '6 days'`);
  await makeDue();
  await deliver();
  const page = (await webhooks.list(actor, { limit: 10, cursor: null }))!;
  expect(page.endpoints[0]).toMatchObject({
    isEnabled: false,
    disabledReason: 'every delivery failed for 5 days',
  });
  await makeDue();
  expect(await deliver()).toEqual({ sent: 0, failed: 0 });
  expect((await logOf(endpoint.id))[0]).toMatchObject({ state: 'failed' });
  await tell();
  expect(await logOf(endpoint.id)).toHaveLength(1);
  const { revision } = page.endpoints[0]!;
  const change = { revision, isEnabled: true };
  expect(await webhooks.change(actor, endpoint.id, change)).toMatchObject({
    isEnabled: true,
    disabledReason: null,
    failingSince: null,
  });
  await expect(webhooks.change(actor, endpoint.id, change)).rejects.toMatchObject({ code: 'outdated' });
});

test('410 switches it off at once', async () => {
  answer = status(410);
  await webhooks.create(actor, { url });
  await tell();
  await deliver();
  const page = (await webhooks.list(actor, { limit: 10, cursor: null }))!;
  expect(page.endpoints[0]!.disabledReason).toContain('410');
});

test('redirects are not followed, long answers are cut, and silence ends after its time', async () => {
  const sendable = {
    url,
    eventId: 'x',
    payload: '{}',
    secrets: [`whsec_${Buffer.alloc(32).toString('base64')}`],
  };
  answer = status(302, { location: 'http://127.0.0.1:1/' });
  expect(await postWebhook(sendable, post)).toMatchObject({
    status: 302,
    error: 'status 302: redirects are not followed',
  });
  expect(received).toHaveLength(1);
  answer = (_request, response) => {
    response.writeHead(200);
    const flood = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
    };
    response.on('drain', flood);
    flood();
  };
  expect(await postWebhook(sendable, post)).toMatchObject({ status: 200, error: null });
  answer = () => undefined;
  const fast = { ...systemClock, after: (ms: number, call: () => void) => systemClock.after(ms / 50, call) };
  expect(await postWebhook(sendable, { ...post, clock: fast })).toMatchObject({
    status: null,
    error: 'no answer within 5 s',
  });
});

test('a name that leads elsewhere the second time is asked once, and where it led is checked', async () => {
  answer = status(200);
  const named = url.replace('127.0.0.1', 'rebinding.example');
  const secrets = [`whsec_${Buffer.alloc(32).toString('base64')}`];
  const sendable = { url: named, eventId: 'x', payload: '{}', secrets };
  const answers = [['127.0.0.1'], ['10.0.0.1']];
  let asked = 0;
  const resolve = async () => answers[asked++]!.map((address) => ({ address, family: 4 as const }));
  expect(await postWebhook(sendable, { ...post, resolve })).toMatchObject({ status: 200 });
  expect(asked).toBe(1);
  expect(received[0]!.headers.host).toContain('rebinding.example');
  const strict = {
    ...post,
    rules: { allowPrivate: false },
    resolve: async () => [{ address: '127.0.0.1', family: 4 as const }],
  };
  const outside = { ...sendable, url: 'https://rebinding.example/' };
  expect(await postWebhook(outside, strict)).toMatchObject({
    status: null,
    error: 'the name leads to no address, or to one that is not public',
  });
  expect(received).toHaveLength(1);
});

test('webhooks of another organisation do not exist, and who may not manage is refused', async () => {
  const { endpoint } = await webhooks.create(actor, { url });
  const stranger = principalOf(other);
  expect((await webhooks.list(stranger, { limit: 10, cursor: null }))!.endpoints).toEqual([]);
  await expect(webhooks.test(stranger, endpoint.id)).rejects.toMatchObject({ code: 'not-found' });
  await expect(webhooks.rotate(stranger, endpoint.id)).rejects.toMatchObject({ code: 'not-found' });
  await expect(webhooks.remove(stranger, endpoint.id)).rejects.toMatchObject({ code: 'not-found' });
  await expect(webhooks.create({ ...actor, role: 'clinician' }, { url })).rejects.toMatchObject({
    code: 'forbidden',
  });
});

test('an organisation has so many and no more, and pages hold each once', async () => {
  answer = status(200);
  for (let i = 0; i < 16; i++) await webhooks.create(actor, { url: `${url}/${i}` });
  await expect(webhooks.create(actor, { url })).rejects.toMatchObject({ code: 'limit-exceeded' });
  const seen: string[] = [];
  for (let cursor: string | null = null; ;) {
    const page: WebhookEndpointPage = (await webhooks.list(actor, { limit: 5, cursor }))!;
    seen.push(...page.endpoints.map(({ url: one }) => one));
    if (page.next === null) break;
    cursor = page.next;
  }
  expect(new Set(seen).size).toBe(16);
  expect(seen).toHaveLength(16);
  expect(await webhooks.list(actor, { limit: 5, cursor: 'nonsense' })).toBeNull();
  await tell();
  expect(await deliver()).toEqual({ sent: 16, failed: 0 });
});
