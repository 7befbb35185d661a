/**
 * Extensions in a server process of their own, from a folder outside of the checkout: routes in the chain of all others,
 * a database change that becomes a message, watchers that break, and what a broken extension says at the start.
 */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { createTestDatabase } from '#test/support/database.ts';
import { kymoMain, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';
import { openTestPool } from '#test/support/test-pool.ts';

const endings: (() => unknown)[] = [];
let kymo: KymoProcess;
let owner: pg.Pool;
let origin: string;
let key: string;

const ordersExtension = `
import { AppError, defineChannel, defineExtension, defineRoute, Type } from '#extension';

const orders = defineChannel({
  name: 'orders/{shop}',
  summary: 'Orders as they are written to the table',
  params: { shop: Type.String({ pattern: '^[a-z]+$' }) },
  lossClass: 'event',
  history: { messages: 100, seconds: 3600 },
  audience: 'shared',
  out: { order: Type.Object({ id: Type.Integer(), what: Type.String() }) },
  allow: (_context, operation) => operation !== 'publish',
});

let newest = 0;

export const extension = defineExtension({
  name: 'orders',
  summary: 'Orders of shops',
  channels: [orders],
  watchers: [
    {
      name: 'table',
      summary: 'Publishes new rows',
      async run({ services, listenToDatabase }) {
        const publishNew = async (query) => {
          for (const { id, shop, what } of await query(
            'select id, shop, what from public.orders where id > $1 order by id', [newest])) {
            await services.publish(orders, { orgId: '-', params: { shop } },
              { event: 'order', data: { id, what }, key: String(id) });
            newest = id;
          }
        };
        await listenToDatabase({ channel: 'orders', onGap: publishNew, onNotification: (_payload, query) => publishNew(query) });
      },
    },
    { name: 'broken', summary: 'Throws', run: () => { throw new Error('this watcher always breaks'); } },
  ],
  routes: [
    defineRoute({
      method: 'POST', path: '/shops/:shop', summary: 'Opens a shop', access: 'any',
      params: Type.Object({ shop: Type.String({ maxLength: 8 }) }),
      query: Type.Object({ floors: Type.Optional(Type.Integer()) }, { additionalProperties: false }),
      body: Type.Object({ owner: Type.String() }, { additionalProperties: false }),
      response: Type.Object({ text: Type.String() }),
      handle({ params, query, body, identity }) {
        if (params.shop === 'taken') throw new AppError('conflict', 'there is such a shop');
        if (params.shop === 'wrong') return { text: 7 };
        return { text: [params.shop, query.floors ?? 1, body.owner, identity.kind].join(' ') };
      },
    }),
    defineRoute({
      method: 'GET', path: '/', summary: 'A page', access: 'public', type: 'text/html',
      handle: () => '<!doctype html><title>Shops ä</title>',
    }),
    defineRoute({ method: 'DELETE', path: '/shops', summary: 'Closes all', access: 'admin', handle: () => undefined }),
  ],
});
`;

beforeAll(async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'kymo-extensions-'));
  endings.push(() => rmSync(directory, { recursive: true, force: true }));
  const folder = path.join(directory, 'extensions');
  mkdirSync(path.join(folder, 'orders'), { recursive: true });
  writeFileSync(path.join(folder, 'orders', 'extension.ts'), ordersExtension);
  const guides = path.join(directory, 'my-extensions');
  mkdirSync(guides);
  writeFileSync(path.join(guides, 'rooms.extension.ts'), blockOfGuide('ts', 0));
  const database = await createTestDatabase();
  endings.push(() => database.drop());
  owner = openTestPool(database.ownerUrl);
  endings.push(() => owner.end());
  await owner.query(`
    create table public.orders (id int generated always as identity, shop text, what text);
    grant select on public.orders to kymo_app;
    create function public.tell() returns trigger language plpgsql as
      $$ begin notify orders; return null; end $$;
    create trigger tell after insert on public.orders execute function public.tell();
    insert into public.orders (shop, what) values ('north', 'before the server began');`);
  kymo = await startKymo({
    dataDir: path.join(directory, 'data'),
    port: 0,
    args: ['--database-url', database.ownerUrl, '--extensions', `${folder},${guides}`],
  });
  endings.push(() => kymo.signal('SIGTERM'));
  ({ origin } = new URL(kymo.address));
  key = new URL(kymo.address).hash.replace('#key=', '');
});
afterAll(async () => {
  for (const end of endings.toReversed()) await end();
});

/** The n-th block of a kind in the guide: what a newcomer types. */
function blockOfGuide(kind: string, n: number): string {
  const guide = readFileSync(new URL('../../docs/extensions.md', import.meta.url), 'utf8');
  return [...guide.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter((match) => match[1] === kind)[n]![2]!;
}

async function call(method: string, at: string, init: RequestInit & { asNobody?: boolean } = {}) {
  const { asNobody = false, headers, ...rest } = init;
  const answer = await fetch(`${origin}${at}`, {
    method,
    headers: {
      ...(asNobody ? {} : { authorization: `Bearer ${key}` }),
      ...(headers as Record<string, string>),
    },
    ...rest,
  });
  const text = await answer.text();
  const isJson = /json/.test(answer.headers.get('content-type') ?? '');
  return {
    status: answer.status,
    headers: answer.headers,
    body: (isJson ? JSON.parse(text) : text) as unknown,
  };
}

const post = (at: string, body: unknown): ReturnType<typeof call> =>
  call('POST', at, { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });

test('a route gets what its schemas say, and who asks', async () => {
  expect(await post('/v1/x/orders/shops/north?floors=3', { owner: 'ann' })).toMatchObject({
    status: 200,
    body: { text: 'north 3 ann access' },
  });
  expect(await call('DELETE', '/v1/x/orders/shops')).toMatchObject({ status: 204, body: '' });
});

test('what does not match is refused with its field, and what is not allowed with why', async () => {
  expect(await post('/v1/x/orders/shops/north', { owner: 7 })).toMatchObject({
    status: 400,
    body: { code: 'invalid-field', field: '/owner' },
  });
  expect(await post('/v1/x/orders/shops/much-too-long', { owner: 'ann' })).toMatchObject({
    body: { code: 'invalid-field', field: '/shop' },
  });
  expect(await post('/v1/x/orders/shops/taken', { owner: 'ann' })).toMatchObject({
    status: 409,
    body: { code: 'conflict', detail: 'there is such a shop' },
  });
  expect(await call('POST', '/v1/x/orders/shops/north', { asNobody: true })).toMatchObject({ status: 401 });
});

test('an answer that is not what the route promises is a failure of the server, told without details', async () => {
  const answer = await post('/v1/x/orders/shops/wrong', { owner: 'ann' });
  expect(answer).toMatchObject({ status: 500, body: { code: 'internal' } });
  expect(JSON.stringify(answer.body)).not.toContain('must be string');
  await expect
    .poll(() => kymo.output())
    .toContain('the answer does not match its schema: /text must be string');
});

test('a page may run its own scripts and nothing from elsewhere', async () => {
  const page = await call('GET', '/v1/x/orders', { asNobody: true });
  expect(page).toMatchObject({ status: 200, body: '<!doctype html><title>Shops ä</title>' });
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'; script-src 'self'/);
});

test('routes stand in the OpenAPI document', async () => {
  const { body } = await call('GET', '/openapi.json');
  const { paths } = body as { paths: Record<string, Record<string, Record<string, unknown>>> };
  expect(paths['/v1/x/orders/shops/{shop}']?.['post']).toMatchObject({
    operationId: 'ordersPostShopsShop',
    summary: 'Opens a shop',
    tags: ['orders'],
    requestBody: {
      content: { 'application/json': { schema: { properties: { owner: { type: 'string' } } } } },
    },
  });
});

interface Message {
  readonly type: string;
  readonly offset?: number;
  readonly data?: unknown;
}

test('a row that plain SQL inserts is a message on the channel, for whoever follows it and in its history', async () => {
  const socket = new WebSocket(`${origin.replace('http', 'ws')}/v1/live`, {
    headers: { authorization: `Bearer ${key}` },
  });
  endings.push(() => socket.terminate());
  const heard: Message[] = [];
  socket.on('message', (data: Buffer, isBinary) => {
    if (!isBinary) heard.push(JSON.parse(data.toString()) as Message);
  });
  const messages = (): unknown[] => heard.filter(({ type }) => type === 'message').map(({ data }) => data);
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'subscribe', id: 1, channel: 'orders/north', last: 10 }));
  const before = { id: 1, what: 'before the server began' };
  await expect.poll(messages).toEqual([before]);
  await owner.query(
    "insert into public.orders (shop, what) values ('north', 'shoes'), ('south', 'hats'), ('north', 'gloves')",
  );
  const all = [before, { id: 2, what: 'shoes' }, { id: 4, what: 'gloves' }];
  await expect.poll(messages).toEqual(all);

  // The connection that listens breaks, and a row comes meanwhile.
  await owner.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'kymo watcher'",
  );
  await owner.query("insert into public.orders (shop, what) values ('north', 'socks')");
  all.push({ id: 5, what: 'socks' });
  await expect.poll(messages, { timeout: 10_000 }).toEqual(all);
  const history = await call('GET', '/v1/channels/orders/north/messages');
  expect(history).toMatchObject({
    status: 200,
    body: { messages: all.map((data) => ({ event: 'order', data })) },
  });
});

test("the guide's first channel has ten lines, and its commands do what it says", async () => {
  expect(blockOfGuide('ts', 0).trimEnd().split('\n')).toHaveLength(10);
  // curl ends the stream after two seconds, as the guide has it, which is no success to it.
  const { stdout } = await promisify(execFile)('bash', ['-c', `${blockOfGuide('sh', 1)} true`], {
    env: { ...process.env, KYMO: origin, KEY: key },
  });
  const [published, history, ...events] = stdout.split(/\n|(?<=\})(?=\{)/);
  expect(JSON.parse(published!)).toMatchObject({ position: { offset: 1 } });
  expect(JSON.parse(history!.replace(/retry:.*/, ''))).toMatchObject({
    messages: [{ offset: 1, event: 'said', data: { text: 'hello' } }],
  });
  expect(events.join('\n')).toMatch(/event: message\ndata: .*"text":"hello"/);
});

test('a watcher that always breaks is counted and takes nothing with it', async () => {
  const { body } = await call('GET', '/metrics');
  const measured = (body as string).split('\n').filter((line) => line.startsWith('kymo_watcher'));
  expect(measured.join('\n')).toMatch(/kymo_watcher_failures_total\{watcher="orders\/broken"\} [1-9]/);
  expect(measured.join('\n')).toMatch(/kymo_watcher_disconnects_total [1-9]/);
  expect(await call('GET', '/readyz')).toMatchObject({ status: 200 });
});

const head = "import { defineChannel, defineExtension, defineRoute, Type } from '#extension';\n";

/** By the folder that they stand in: the file, its text, and what is said of it. */
const broken: readonly (readonly [file: string, text: string, expected: string])[] = [
  [
    'route/shop.extension.ts',
    `${head}export const extension = defineExtension({ name: 'shop', summary: 'x', routes: [{ method: 'GET' }] });`,
    'shop.extension.ts: /routes/0/path is a text',
  ],
  ['syntax/shop.extension.ts', 'export const extension = {', 'shop.extension.ts: '],
  ['nothing/shop.extension.ts', 'export const something = 1;', 'shop.extension.ts: it exports no extension'],
  [
    'name/shop/extension.ts',
    `${head}export default defineExtension({ name: 'other', summary: 'x' });`,
    'extension.ts: /name is "other", but its file says "shop"',
  ],
  [
    'plain/shop.extension.mjs',
    `export default { name: 'shop', summary: 'x', watchers: [{ name: 'w', summary: 'x' }] };`,
    'shop.extension.mjs: /watchers/0/run is a function',
  ],
  [
    'channel/shop.extension.ts',
    `${head}defineChannel({ name: 'Shop', summary: 'x', params: {}, lossClass: 'live', out: {}, allow: () => true });`,
    'shop.extension.ts: channel Shop: "Shop" is neither lower-case text nor {parameter}',
  ],
  ['letters/Shop.extension.ts', '', '"Shop" is no name of lower-case letters'],
  ['import/shop.extension.ts', "import '#store/pools.ts';", 'shop.extension.ts: '],
];

test('an extension that is broken is named with its file and field', async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'kymo-broken-'));
  endings.push(() => rmSync(directory, { recursive: true, force: true }));
  for (const [name, text] of broken) {
    mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
    writeFileSync(path.join(directory, name), text);
  }
  const folders = broken.map(([name]) => path.join(directory, name.split('/')[0]!));
  const missing = path.join(directory, 'missing');
  const said = await loadEach([...folders, missing]);
  for (const [i, [name, , expected]] of broken.entries()) expect(said[i], name).toContain(expected);
  expect(said.at(-1)).toContain(`--extensions ${missing} cannot be read`);

  // And so does the program, before it has made anything.
  const data = path.join(directory, 'data');
  const args = ['start', '--data', data, '--port', '0', '--extensions', folders[0]!];
  const { code, errors } = await run([kymoMain, ...args]);
  expect(code).toBe(2);
  expect(errors).toContain(broken[0]![2]);
  expect(existsSync(data)).toBe(false);
});

/** What the loader says of each folder, in a process of its own: here vitest would load the files in its own way. */
async function loadEach(folders: readonly string[]): Promise<readonly string[]> {
  const loader = new URL('../../src/app/extensions/extension-loader.ts', import.meta.url).href;
  const program = `
    import { loadExtensions } from ${JSON.stringify(loader)};
    const said = [];
    for (const folder of ${JSON.stringify(folders)})
      said.push(await loadExtensions([folder]).then(() => 'loaded', (error) => error.message));
    console.error(JSON.stringify(said));`;
  const { errors } = await run(['--input-type=module', '--eval', program]);
  return JSON.parse(errors) as readonly string[];
}

async function run(args: readonly string[]): Promise<{ code: number | null; errors: string }> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString('utf8')));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, errors };
}
