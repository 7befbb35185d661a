import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { randomEpoch } from '#base/uuid.ts';
import { publicationLimits } from '#protocol/publication.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { appendStatement, createChannelLog, type ChannelLog } from '#store/channel-log.ts';
import { erase } from '#store/erasure.ts';
import { openPools, runAsOrg, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let tenant: Tenant;
let other: Tenant;
let log: ChannelLog;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  other = await createTenant(database.ownerUrl, pools, 'B');
  log = createChannelLog(pools.app);
});

afterAll(async () => {
  await pools.close();
  await owner.end();
  await database.drop();
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const message = (text: string, key: string | null = null) => ({ payload: bytes(text), key });
const at = (name: string): string => `${tenant.orgId}/${name}`;

async function textsOf(address: string): Promise<[number, string][]> {
  const { publications } = await log.page(address, { after: 0, limit: 256 });
  return publications.map(({ offset, payload }) => [offset, new TextDecoder().decode(payload)]);
}

test('offsets count from one, and pages come from either end', async () => {
  const empty = await log.page(at('pages'), { newest: true, limit: 10 });
  expect(empty).toMatchObject({ newest: 0, oldest: 1, publications: [] });
  expect(empty.epoch).toMatch(/^[0-9a-f]{16}$/);
  const answers = await log.append(
    at('pages'),
    Array.from({ length: 20 }, (_, i) => message(`m${i + 1}`)),
  );
  expect(answers.map(({ position }) => position)).toEqual(
    Array.from({ length: 20 }, (_, i) => ({ epoch: empty.epoch, offset: i + 1 })),
  );
  const offsets = async (query: Parameters<ChannelLog['page']>[1]): Promise<number[]> =>
    (await log.page(at('pages'), query)).publications.map(({ offset }) => offset);
  expect(await offsets({ after: 17, limit: 2 })).toEqual([18, 19]);
  expect(await offsets({ newest: true, limit: 3 })).toEqual([18, 19, 20]);
  expect(await offsets({ before: 4, limit: 2 })).toEqual([2, 3]);
  expect(await offsets({ after: 20, limit: 2 })).toEqual([]);
  const times = (await log.page(at('pages'), { after: 0, limit: 256 })).publications.map(
    ({ timeUs }) => timeUs,
  );
  expect(times.toSorted((a, b) => a - b)).toEqual(times);
  expect(Math.abs(times[0]! - systemClock.nowUs())).toBeLessThan(60_000_000);
});

test('a key is used once in a channel, also within one transaction, and other channels have their own', async () => {
  const first = await log.append(at('keys'), [message('a', 'k'), message('b'), message('a again', 'k')]);
  expect(first.map(({ position, isDuplicate }) => [position.offset, isDuplicate])).toEqual([
    [1, false],
    [2, false],
    [1, true],
  ]);
  expect(first.map(({ isNewest }) => isNewest)).toEqual([true, true, false]);
  expect(await log.append(at('keys'), [message('later', 'k')])).toMatchObject([
    { position: { offset: 1 }, timeUs: first[0]!.timeUs, isDuplicate: true },
  ]);
  expect(await log.append(at('other-keys'), [message('a', 'k')])).toMatchObject([{ isDuplicate: false }]);
  expect(await textsOf(at('keys'))).toEqual([
    [1, 'a'],
    [2, 'b'],
  ]);
});

test('offsets have no holes and stand in the order of commits, whatever is rolled back meanwhile', async () => {
  const publish = async (i: number): Promise<void> => {
    const statements = [appendStatement(tenant.orgId, 'race', message(`m${i}`))];
    if (i % 3 === 0) statements.push({ text: 'select 1 / 0' });
    await runAsOrg(pools.app, tenant.orgId, { statements, mode: 'change' }).catch((error: unknown) => {
      if (i % 3 !== 0) throw error;
    });
  };
  // Who reads while others publish never sees an offset before its predecessor.
  let isDone = false;
  const reader = (async () => {
    for (;;) {
      const offsets = (await textsOf(at('race'))).map(([offset]) => offset);
      expect(offsets).toEqual(Array.from({ length: offsets.length }, (_, i) => i + 1));
      if (isDone) return offsets.length;
    }
  })();
  await Promise.all(Array.from({ length: 60 }, (_, i) => publish(i)));
  isDone = true;
  expect(await reader).toBe(40);
});

test('a message is there exactly when what caused it is, and holds the next one up until then', async () => {
  const client = new pg.Client({ connectionString: database.ownerUrl });
  await client.connect();
  try {
    await client.query('set role kymo_app');
    await client.query('begin');
    await client.query(`select set_config('kymo.org', $1, true)`, [tenant.orgId]);
    await client.query(`select kymo.append_to_channel($1, 'cause', 'undone', null)`, [tenant.orgId]);
    let isThere = false;
    const next = log.append(at('cause'), [message('stays')]).then((answer) => {
      isThere = true;
      return answer;
    });
    const waiting = `select from pg_stat_activity
      where datname = current_database() and usename = 'kymo_app' and wait_event_type = 'Lock'`;
    await expect.poll(async () => (await owner.query(waiting)).rowCount).toBeGreaterThan(0);
    expect(isThere).toBe(false);
    await client.query('rollback');
    expect(await next).toMatchObject([{ position: { offset: 1 } }]);
    expect(await textsOf(at('cause'))).toEqual([[1, 'stays']]);
  } finally {
    await client.end();
  }
});

test('nobody reads or writes the channels of another organisation', async () => {
  await log.append(at('mine'), [message('secret')]);
  const stolen = await runAsOrg(pools.app, other.orgId, {
    mode: 'snapshot',
    statements: [
      { text: 'select payload from kymo.channel_message' },
      { text: 'select name from kymo.channel' },
    ],
  });
  expect(stolen.map(({ rows }) => rows)).toEqual([[], []]);
  await expect(
    runAsOrg(pools.app, other.orgId, {
      mode: 'change',
      statements: [appendStatement(tenant.orgId, 'mine', message('forged'))],
    }),
  ).rejects.toThrow('row-level security');
  expect((await log.append(`${other.orgId}/mine`, [message('own')]))[0]!.position.offset).toBe(1);
  expect(await textsOf(at('mine'))).toEqual([[1, 'secret']]);
});

test('what is too large is refused by the table as well', async () => {
  const append = (payload: Buffer): Promise<unknown> =>
    runAsOrg(pools.app, tenant.orgId, {
      mode: 'change',
      statements: [
        { text: 'select kymo.append_to_channel($1, $2, $3, null)', values: [tenant.orgId, 'large', payload] },
      ],
    });
  await append(Buffer.alloc(publicationLimits.payloadBytes));
  await expect(append(Buffer.alloc(publicationLimits.payloadBytes + 1))).rejects.toThrow('check');
});

test('a new incarnation is a new epoch, and the offsets go on', async () => {
  const [before] = await log.append(at('epochs'), [message('a'), message('b')]);
  await owner.query('select kymo.renew_incarnation(s.incarnation) from kymo.server s');
  const page = await log.page(at('epochs'), { newest: true, limit: 1 });
  expect(page.epoch).not.toBe(before!.position.epoch);
  expect(page.newest).toBe(2);
  expect(await log.append(at('epochs'), [message('c')])).toMatchObject([
    { position: { epoch: page.epoch, offset: 3 } },
  ]);
});

test('erasing a session takes its channels, and nothing is published to them any more', async () => {
  const definition = streamDefinition();
  const opened = await createCatalogue(pools).openStream(tenant.device, { definition, epoch: randomEpoch() });
  expect(opened.ok).toBe(true);
  const chat = at(`session/${definition.session}/chat`);
  await log.append(chat, [message('hello')]);
  await log.append(at('session-less'), [message('stays')]);
  const count = async (): Promise<unknown> => {
    const { rows } = await owner.query(
      `select (select count(*)::int from kymo.channel where session_id = $1) as channels,
        (select count(*)::int from kymo.channel_message m where not exists (
          select from kymo.channel c where c.id = m.channel_id)) as orphans`,
      [definition.session],
    );
    return rows[0];
  };
  expect(await count()).toEqual({ channels: 1, orphans: 0 });
  expect(await erase(pools, tenant.orgId, { kind: 'session', id: definition.session })).toBe('erased');
  expect(await count()).toEqual({ channels: 0, orphans: 0 });
  await expect(log.append(chat, [message('too late')])).rejects.toMatchObject({ code: 'not-found' });
  expect((await log.page(chat, { newest: true, limit: 10 })).publications).toEqual([]);
  expect(await textsOf(at('session-less'))).toEqual([[1, 'stays']]);
});

test('a page and a key are found by index, however long the history is', async () => {
  await owner.query(
    `with c as (insert into kymo.channel (org_id, name, newest) values ($1, 'long', 30000) returning id)
      insert into kymo.channel_message (channel_id, channel_offset, org_id, time_us, key, payload)
      select c.id, n, $1, n, 'k' || n, 'x' from c, generate_series(1, 30000) n`,
    [tenant.orgId],
  );
  await owner.query('analyze kymo.channel_message');
  const scanned = async (): Promise<number> => {
    await owner.query('select pg_stat_force_next_flush()');
    const { rows } = await owner.query<{ read: string }>(
      `select seq_tup_read as read from pg_stat_user_tables where relname = 'channel_message'`,
    );
    return Number(rows[0]!.read);
  };
  const before = await scanned();
  await log.page(at('long'), { newest: true, limit: 100 });
  await log.page(at('long'), { after: 15_000, limit: 100 });
  expect(await log.append(at('long'), [message('y', 'k77')])).toMatchObject([
    { position: { offset: 77 }, isDuplicate: true },
  ]);
  // What other tests of this file read counts as well, late: no more than a few rows.
  expect((await scanned()) - before).toBeLessThan(30_000);
});
