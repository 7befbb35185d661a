/** The commands of retention, legal holds and erasure, against a real database, as a person calls them. */

import type pg from 'pg';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { eraseCommand } from '#app/erase-command.ts';
import { holdCommand } from '#app/hold-command.ts';
import { retentionCommand } from '#app/retention-command.ts';
import { randomEpoch } from '#base/uuid.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { makePartitions } from '#store/partitions.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let tables: pg.Pool;
let tenant: Tenant;
let settings: string[];

beforeEach(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  tables = openTestPool(pools.writerUrl);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  const directory = createTemporaryDirectory();
  settings = ['--database-url', database.ownerUrl, '--data', directory.path];
  return () => directory.remove();
});

afterEach(async () => {
  await pools.close();
  await tables.end();
  await database.drop();
});

/** Runs a command; returns what it printed. */
async function run(command: { run(args: readonly string[]): Promise<number> }, ...args: string[]) {
  const printed: string[] = [];
  const spy = vi.spyOn(console, 'log').mockImplementation((text: string = '') => void printed.push(text));
  try {
    expect(await command.run([...args, ...settings])).toBe(0);
  } finally {
    spy.mockRestore();
  }
  return printed.join('\n');
}

async function json(command: Parameters<typeof run>[0], ...args: string[]): Promise<unknown> {
  return JSON.parse(await run(command, ...args, '--json'));
}

async function open(): Promise<StreamDefinition> {
  const definition = streamDefinition({ label: 'K-1' });
  await createCatalogue(pools).openStream(tenant.device, { definition, epoch: randomEpoch() });
  return definition;
}

const daysAgo = (days: number): string => new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);

async function makeDay(retentionClass: number, days: number): Promise<void> {
  const client = await tables.connect();
  await client.query('begin');
  await makePartitions(client, [{ retentionClass, day: daysAgo(days) }]);
  await client.query('commit');
  client.release();
}

test('a class is made, its partitions with it, and shown', async () => {
  await run(retentionCommand, 'set', '3', '--name', 'a month', '--raw-days', '30', '--rollup-days', '365');
  const shown = await run(retentionCommand);
  expect(shown).toContain('3      a month               30 days       365 days');
  expect(shown).toContain('The next run of retention drops nothing.');
  expect(
    (await tables.query("select from pg_class where relname like 'chunk\\_c3\\_%' and relkind = 'r'"))
      .rowCount,
  ).toBe(3);
  expect(await json(retentionCommand, 'default', '3')).toEqual({
    organisation: tenant.orgId,
    defaultClass: 3,
  });
  expect(await json(retentionCommand)).toMatchObject({
    classes: [
      { retentionClass: 0, rawDays: null },
      { retentionClass: 3, rawDays: 30, rollupDays: 365 },
    ],
    organisations: [{ id: tenant.orgId, defaultClass: 3 }],
  });
});

test('a rule that drops readings says so first, and wants a yes', async () => {
  await makeDay(0, 20);
  await makeDay(0, 5);
  const dropped = [expect.objectContaining({ retentionClass: 0, day: daysAgo(20) })];
  const args = ['set', '0', '--raw-days', '10'];
  expect(await json(retentionCommand, ...args, '--dry-run')).toMatchObject({ isDryRun: true, dropped });
  await expect(run(retentionCommand, ...args)).rejects.toThrow(`drops readings of 1 days (${daysAgo(20)}`);
  expect(await json(retentionCommand)).toMatchObject({ classes: [{ rawDays: null }] });
  expect(await run(retentionCommand, ...args, '--yes')).toContain(
    `The next run of retention drops:\n  ${daysAgo(20)}`,
  );
  expect(await json(retentionCommand)).toMatchObject({ classes: [{ rawDays: 10 }], dropped });
  // What is dropped already asks for nothing again.
  await run(retentionCommand, 'set', '0', '--name', 'ten days');
});

test.each([
  [['set', '9'], 'CLASS is 0 to 7'],
  [['set', '2', '--raw-days', '5'], 'give it a --name'],
  [['set', '2', '--name', 'for ever'], 'class 0 has the name "for ever" already'],
  [['set', '2', '--name', 'x', '--raw-days', '0'], 'a whole number from 1 to 36500'],
  [['set', '2', '--name', 'x', '--raw-days', 'soon'], 'it takes a number of days, or forever'],
  [['set', '2', '--name', 'x', '--rollup-days', '5'], 'at least as long as the readings'],
  [['set', '2', '--name', 'x', '--raw-days', '5', '--rollup-days', '4'], 'at least as long as the readings'],
  [['default', '6'], 'there is no retention class 6'],
  [['forget'], 'it is kymo retention'],
  [['--bogus'], "Unknown option '--bogus'"],
])('kymo retention %j is refused: %s', async (args, message) => {
  await expect(run(retentionCommand, ...args)).rejects.toThrow(message);
});

test('with several organisations it must be said which one chooses', async () => {
  const other = await createTenant(database.ownerUrl, pools, 'B');
  await expect(run(retentionCommand, 'default', '0')).rejects.toThrow('say which with --org');
  expect(await run(retentionCommand, 'default', '0', '--org', other.orgId)).toContain('New streams of B');
  const unknown = '01900000-0000-7000-8000-000000000000';
  await expect(run(retentionCommand, 'default', '0', '--org', unknown)).rejects.toThrow(
    'there is no organisation',
  );
});

test('a session is held, not erased meanwhile, released, and erased', async () => {
  const { session, stream } = await open();
  const id = session.toUpperCase();
  await expect(run(holdCommand, session, 'on')).rejects.toThrow('say why');
  expect(await run(holdCommand, id, 'on', '--reason', 'court file 7')).toContain('"K-1", begun');
  await expect(run(eraseCommand, session, '--yes')).rejects.toThrow('under a legal hold');
  expect(await json(holdCommand, session, 'off')).toEqual({ session, held: false });
  await expect(run(holdCommand, session, 'off')).rejects.toThrow('under no hold');
  await expect(run(eraseCommand, session)).rejects.toThrow('say --yes');
  await expect(run(eraseCommand, session, '--stream', 'x', '--yes')).rejects.toThrow('has no stream x');
  const { stream: foreign } = await open();
  await expect(run(eraseCommand, session, '--stream', foreign, '--yes')).rejects.toThrow('has no stream');
  expect(await json(eraseCommand, session, '--stream', stream, '--yes')).toEqual({
    stream,
    outcome: 'erased',
  });
  expect(await json(eraseCommand, id, '--yes')).toEqual({ session, outcome: 'erased' });
  expect(await run(eraseCommand, session, '--yes')).toContain('was erased already');
  await expect(run(holdCommand, session, 'on', '--reason', 'late')).rejects.toThrow('there is no session');
});

test('what is no session says so', async () => {
  await expect(run(eraseCommand, 'K-1', '--yes')).rejects.toThrow('is no session id');
  const unknown = '01900000-0000-7000-8000-000000000000';
  await expect(run(eraseCommand, unknown, '--yes')).rejects.toThrow(`there is no session ${unknown}`);
  await expect(run(eraseCommand)).rejects.toThrow('it is kymo erase');
});
