/** docs/sql.md: each query of the page is run as a reader, against a database with hot and sealed readings and roll-ups. */

import { readFile } from 'node:fs/promises';

import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { randomEpoch, uuidv7 } from '#base/uuid.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { epochToInt8 } from '#store/epoch.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { addReader, removeReader } from '#store/readers.ts';
import { createRollupTask } from '#store/rollup-keeper.ts';
import { createSealTask } from '#store/seal-task.ts';
import type { UpkeepTask } from '#store/upkeep.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { storeChunk } from '#test/support/stored-chunks.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

interface Example {
  readonly heading: string;
  readonly sql: string;
}

const page = await readFile('docs/sql.md', 'utf8');
const examples: Example[] = page.split(/^## /m).flatMap((section) =>
  [...section.matchAll(/```sql\n([\s\S]*?)```/g)].map((match, i) => ({
    heading: `${section.slice(0, section.indexOf('\n'))} ${i + 1}`,
    sql: match[1]!,
  })),
);

const CHUNK = 100;
const PERIOD_US = 5_000;

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let writer: pg.Pool;
let reader: pg.Pool;
let tenant: Tenant;
const readerName = `t${uuidv7(systemClock).replaceAll('-', '').slice(0, 30)}`;
/** The open stream and the ended, sealed one. */
let hot: string;
let sealed: string;
/** Device time of the open stream's first reading: five minutes ago. */
let startUs: number;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  await ensurePartitions(writer);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  const stranger = await createTenant(database.ownerUrl, pools, 'B');
  startUs = systemClock.nowUs() - 300_000_000;
  sealed = await storeStream(tenant, [0, 1, 2]);
  await owner.query(`update kymo.stream set ended_at = now() - interval '1 hour' where id = $1`, [sealed]);
  await runAll(createSealTask());
  await storeStream(stranger, [0, 1]);
  // Between the chunks some are missing: 100 to 199 are declared lost, 300 to 399 may still come.
  hot = await storeStream(tenant, [0, 2, 4]);
  await runAll(createRollupTask({ clock: systemClock, policy: { quietS: 0, liveS: 0 } }));
  const { role, password } = await addReader(owner, { name: readerName, orgId: tenant.orgId });
  const url = new URL(database.ownerUrl);
  url.username = role;
  url.password = password;
  reader = openTestPool(url.href);
});

afterAll(async () => {
  await reader.end();
  await removeReader(owner, readerName);
  await pools.close();
  await Promise.all([owner.end(), writer.end()]);
  await database.drop();
});

async function runAll(task: UpkeepTask): Promise<void> {
  while ((await task.step(writer, new AbortController().signal)) === 'more');
}

/** Readings x = seq, y = -seq, z = 1 in chunks of 100 at 200 Hz; the last chunk came 20 s later than the others. */
async function storeStream({ orgId, device }: Tenant, chunks: readonly number[]): Promise<string> {
  const definition = streamDefinition({ label: 'K-1', rateHz: 200 });
  const epoch = randomEpoch();
  await createCatalogue(pools).openStream(device, { definition, epoch });
  for (const chunk of chunks) {
    const firstSeq = chunk * CHUNK;
    const firstUs = startUs + firstSeq * PERIOD_US;
    const lateUs = chunk === chunks.at(-1) ? 20_000_000 : 0;
    const values = Array.from({ length: CHUNK }, (_, i) => [firstSeq + i, -firstSeq - i, 1]).flat();
    await storeChunk(writer, {
      orgId,
      streamId: definition.stream,
      epoch,
      firstSeq,
      firstUs,
      lastUs: firstUs + (CHUNK - 1) * PERIOD_US,
      segments: [{ firstUs, periodNs: PERIOD_US * 1000, arrivalUs: firstUs + 1000 + lateUs, count: CHUNK }],
      deltas: null,
      data: Buffer.from(new Float32Array(values).buffer),
    });
  }
  await writer.query(
    `insert into kymo.loss (org_id, stream_id, epoch, from_seq, to_seq, reason) values ($1, $2, $3, 100, 200, 'overwritten')`,
    [orgId, definition.stream, epochToInt8(epoch)],
  );
  await writer.query(
    `update kymo.stream_epoch set lost = int8multirange(int8range(100, 200)) - committed where stream_id = $1`,
    [definition.stream],
  );
  return definition.stream;
}

/** As Grafana fills its macros and variables in. */
function filledIn(sql: string): string {
  return sql
    .replaceAll('$stream', hot)
    .replaceAll('$axis', 'acc_y')
    .replaceAll('$__timeFrom()', `'${new Date(startUs / 1000 - 60_000).toISOString()}'`)
    .replaceAll('$__timeTo()', `'${new Date(startUs / 1000 + 3_600_000).toISOString()}'`);
}

async function run(heading: string): Promise<Record<string, unknown>[]> {
  const example = examples.find((one) => one.heading === heading);
  if (example === undefined) throw new Error(`the page has no example "${heading}"`);
  return (await reader.query<Record<string, unknown>>(filledIn(example.sql))).rows;
}

test('the page has its examples', () => {
  expect(examples.length).toBeGreaterThanOrEqual(14);
});

test('the page lists what a reader may select, all of it and nothing else', async () => {
  const table = /\| table or view [\s\S]*?\n\n/.exec(page)?.[0] ?? '';
  const listed = [...table.matchAll(/`kymo\.(\w+)`/g)].map((match) => match[1]!);
  const { rows } = await reader.query<{ name: string }>(
    `select c.relname as name from pg_class c
      where c.relnamespace = 'kymo'::regnamespace and c.relkind in ('r', 'p', 'v')
        and has_any_column_privilege(c.oid, 'select')`,
  );
  expect(listed.toSorted()).toEqual(rows.map((row) => row.name).toSorted());
});

test.each(examples)('$heading gives rows', async ({ sql }) => {
  expect((await reader.query(filledIn(sql))).rowCount).toBeGreaterThan(0);
});

test('sessions, gaps, losses and bytes are those of the organisation, and right', async () => {
  expect(await run('Sessions of a week 1')).toMatchObject([
    { label: 'K-1', streams: '1', readings: '300' },
    { label: 'K-1', streams: '1', readings: '300' },
  ]);
  expect(await run('What is missing, and why 1')).toMatchObject([
    { segment: 'left-foot', from_seq: '100', to_seq: '200', state: 'lost', reason: 'overwritten' },
    { segment: 'left-foot', from_seq: '300', to_seq: '400', state: 'pending', reason: null },
  ]);
  expect(await run('What is missing, and why 2')).toEqual([
    { reason: 'overwritten', declarations: '2', readings: '200' },
  ]);
  const bytes = await run('Bytes a stream 1');
  expect(bytes.find((row) => row['stream_id'] === hot)).toMatchObject({
    readings: '300',
    sealed_readings: '0',
    bytes: String(3 * (CHUNK * 12 + 24)),
  });
  expect(bytes.find((row) => row['stream_id'] === sealed)).toMatchObject({ sealed_readings: '300' });
});

test('readings have their times and values, by function and by view', async () => {
  const rows = await run('Readings of a range of time 1');
  expect(rows).toHaveLength(300);
  expect(rows.at(-1)).toMatchObject({ seq: '499', acc_x: 499, acc_z: 1 });
  expect(await run('Readings of a range of time 2')).toHaveLength(300);
  const single = await run('Grafana 4');
  expect(single.map((row) => row['value']).slice(0, 3)).toEqual([-0, -1, -2]);
});

test('buckets of one axis are those of the view, and late ones are found', async () => {
  const buckets = await run('Roll-ups: a second, a minute 1');
  expect(buckets.reduce((sum, row) => sum + Number(row['count']), 0)).toBe(300);
  expect(buckets[0]).toMatchObject({ min: 0 });
  expect(buckets.at(-1)).toMatchObject({ max: 499 });
  const compared = await reader.query(
    `select count(*) as different from kymo.rollup_bucket r
      full join kymo.buckets($1, 'acc_y', '1 second', $2, $3) b on b."time" = r."time"
      where r.stream_id = $1 and r.bucket_us = 1000000
        and (b.count, b.min, b.mean, b.max, b.lag_us) is distinct from (r.count, r.min[2], r.mean[2], r.max[2], r.lag_us)`,
    [hot, new Date(0).toISOString(), new Date(startUs / 1000 + 3_600_000).toISOString()],
  );
  expect(compared.rows).toEqual([{ different: '0' }]);
  const late = await run('Late data 1');
  expect(late.length).toBeGreaterThan(0);
  for (const row of late) expect(Number(row['late_s'])).toBeCloseTo(20, 0);
});

test('a range is half-open, and an unknown axis or a length without roll-ups gives no bucket', async () => {
  const at = (us: number): string => new Date(us / 1000).toISOString();
  const secondUs = Math.ceil(startUs / 1_000_000) * 1_000_000;
  const query = `select "time", count, mean from kymo.buckets($1, $2, $3, $4, $5)`;
  const one = await reader.query(query, [hot, 'acc_x', '1 second', at(secondUs), at(secondUs + 1_000_000)]);
  expect(one.rows).toMatchObject([{ time: new Date(secondUs / 1000) }]);
  const none = await reader.query(query, [hot, 'none', '1 minute', at(0), at(startUs * 2)]);
  expect(none.rows.map((row: { mean: unknown }) => row.mean)).toEqual(none.rows.map(() => null));
  const other = await reader.query(query, [hot, 'acc_x', '7 seconds', at(0), at(startUs * 2)]);
  expect(other.rows).toEqual([]);
});
