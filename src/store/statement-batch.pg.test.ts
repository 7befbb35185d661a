import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { sendBatch } from '#store/statement-batch.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';

let database: TestDatabase;
let pool: pg.Pool;
let client: pg.PoolClient;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = openPipelined();
  client = await pool.connect();
  await client.query('create table thing (id integer primary key, at timestamptz, flag boolean)');
  await client.query('create table part (thing integer references thing deferrable initially deferred)');
});
beforeEach(async () => {
  await client.query('truncate thing, part');
});
afterAll(async () => {
  client?.release();
  await pool?.end();
  await database?.drop();
});

/** As the pools of the roles are (store/pools.ts). */
function openPipelined(): pg.Pool {
  const made = new pg.Pool({ connectionString: database.ownerUrl, pipeline: true, max: 1 });
  made.on('error', () => undefined);
  made.on('connect', (one) => one.on('error', () => undefined));
  return made;
}

const insert = (id: number | string) => ({
  name: 'insert',
  text: 'insert into thing (id) values ($1)',
  values: [id],
});
const select = { name: 'select', text: 'select id, id::bigint as big from thing order by id' };
const countOf = async (): Promise<unknown> =>
  (await client.query('select count(*)::integer as n from thing')).rows[0];

test('each statement has its result, with and without rows, named or not, again and again', async () => {
  for (const round of [1, 2, 3]) {
    const results = await sendBatch(client, [
      insert(round),
      select,
      { text: 'select $1::text as text, null as nothing', values: [null] },
      insert(round + 10),
      select,
      { name: 'none', text: 'select id from thing where false' },
    ]);
    expect(results.map(({ rows }) => rows.length)).toEqual([0, 2 * round - 1, 1, 0, 2 * round, 0]);
    expect(results[1]!.rows[0]).toEqual({ id: 1, big: '1' });
    expect(results[2]!.rows).toEqual([{ text: null, nothing: null }]);
    expect(results.map(({ rowCount, command }) => [command, rowCount])).toEqual([
      ['INSERT', 1],
      ['SELECT', 2 * round - 1],
      ['SELECT', 1],
      ['INSERT', 1],
      ['SELECT', 2 * round],
      ['SELECT', 0],
    ]);
  }
});

test('one statement alone has one result', async () => {
  const [result] = await sendBatch(client, [{ text: 'select 1 as one' }]);
  expect(result!.rows).toEqual([{ one: 1 }]);
});

test('values travel as pg writes them', async () => {
  const at = new Date('2026-01-31T12:00:00.123Z');
  const values = [at, [1, 2], { a: 'ä' }, Buffer.from([0, 255]), true, undefined];
  const [result] = await sendBatch(client, [
    {
      text: 'select $1::timestamptz as at, $2::integer[] as list, $3::jsonb as json, $4::bytea as bytes, $5::boolean as flag, $6::text as none',
      values,
    },
  ]);
  expect(result!.rows).toEqual([
    { at, list: [1, 2], json: { a: 'ä' }, bytes: Buffer.from([0, 255]), flag: true, none: null },
  ]);
});

test('of a batch that fails in the middle nothing is done, and what was skipped works afterwards', async () => {
  const late = { name: 'late', text: 'select count(*)::integer as late from thing' };
  await expect(sendBatch(client, [insert(1), insert(1), late])).rejects.toMatchObject({ code: '23505' });
  expect(await countOf()).toEqual({ n: 0 });
  const results = await sendBatch(client, [insert(1), late]);
  expect(results[1]!.rows).toEqual([{ late: 1 }]);
});

test('a statement that PostgreSQL cannot parse fails alone, also under a name that is then used rightly', async () => {
  const wrong = { name: 'mended', text: 'select nonsense from nowhere' };
  await expect(sendBatch(client, [insert(1), wrong, select])).rejects.toMatchObject({ code: '42P01' });
  expect(await countOf()).toEqual({ n: 0 });
  const [result] = await sendBatch(client, [{ name: 'mended', text: 'select 1 as one' }]);
  expect(result!.rows).toEqual([{ one: 1 }]);
});

test('what only the commit finds out fails the batch', async () => {
  const part = { name: 'part', text: 'insert into part values (99)' };
  await expect(sendBatch(client, [insert(1), part])).rejects.toMatchObject({ code: '23503' });
  expect(await countOf()).toEqual({ n: 0 });
  await expect(sendBatch(client, [insert(1), select])).resolves.toHaveLength(2);
});

test('a setting of the transaction ends with the batch', async () => {
  const set = { name: 'set', text: "select set_config('kymo.org', $1, true)", values: ['somebody'] };
  const get = { name: 'get', text: "select current_setting('kymo.org', true) as org" };
  const [, inside] = await sendBatch(client, [set, get]);
  expect(inside!.rows).toEqual([{ org: 'somebody' }]);
  const [after] = await sendBatch(client, [get]);
  expect(after!.rows[0]!.org ?? '').toBe('');
});

test('batches sent one after the other without waiting are each answered with their own', async () => {
  const results = await Promise.all([
    sendBatch(client, [insert(1), select]),
    sendBatch(client, [insert(1)]).catch((error: { code: string }) => error.code),
    sendBatch(client, [insert(2), select]),
    client.query('select 3 as three'),
  ]);
  expect(results[0][1]!.rows).toHaveLength(1);
  expect(results[1]).toBe('23505');
  expect(results[2][1]!.rows).toHaveLength(2);
  expect(results[3].rows).toEqual([{ three: 3 }]);
});

test('who waits while the connection breaks is told', async () => {
  const own = openPipelined();
  const broken = await own.connect();
  broken.on('error', () => undefined);
  const { rows } = await broken.query<{ pid: number }>('select pg_backend_pid() as pid');
  const waiting = sendBatch(broken, [insert(5), { text: 'select pg_sleep(60)' }]);
  await client.query('select pg_terminate_backend($1)', [rows[0]!.pid]);
  await expect(waiting).rejects.toThrow(/terminat|connection/i);
  broken.release(true);
  await own.end();
  expect(await countOf()).toEqual({ n: 0 });
});
