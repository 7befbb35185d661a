/** A database, its back-up and what is restored from it, on a real PostgreSQL. */

import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';

import pg from 'pg';
import { afterEach, expect, test } from 'vitest';

import { ensurePartitions } from '#store/partitions.ts';
import { openPools } from '#store/pools.ts';
import { writeBackup, type BackupReport } from '#store/backup.ts';
import { restoreBackup, verifyBackup, type RestoreReport } from '#store/restore.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { digestTables } from '#test/support/table-digests.ts';
import { createTenant, streamDefinition } from '#test/support/tenants.ts';
import { createCatalogue } from '#store/catalogue.ts';

const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function database(): Promise<TestDatabase> {
  const made = await createTestDatabase();
  endings.push(() => made.drop());
  return made;
}

async function connect(ownerUrl: string, role = 'kymo_owner'): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: ownerUrl });
  client.on('error', () => undefined);
  await client.connect();
  endings.push(() => client.end());
  await client.query(`set role ${role}`);
  return client;
}

const addChunk = `insert into kymo.chunk
  (org_id, stream_id, epoch, first_seq, first_us, last_us, n, commit_day, retention_class, segments, deltas, data)
  select $1, $2, $3, $4::bigint, $4::bigint, $4::bigint + 9, 10, (now() at time zone 'UTC')::date + $5::int, 0, $6, $7, $8`;

/** Two organisations, each with a device, keys, two streams, readings in two partitions, losses and clocks. */
async function fill(ownerUrl: string): Promise<void> {
  const pools = await openPools(ownerUrl);
  const writer = await connect(ownerUrl, 'kymo_writer');
  const owner = await connect(ownerUrl);
  const pool = new pg.Pool({ connectionString: pools.writerUrl });
  await ensurePartitions(pool);
  await pool.end();
  for (const name of ['A', 'B']) {
    const tenant = await createTenant(ownerUrl, pools, name);
    for (const segment of ['left-foot', 'sacrum']) {
      const definition = streamDefinition({ segment, label: `${name} "quoted"\n☃` });
      await createCatalogue(pools).openStream(tenant.device, { definition, epoch: 'ffffffffffffffff' });
      for (let i = 0; i < 20; i++)
        await writer.query(addChunk, [
          tenant.orgId,
          definition.stream,
          -1,
          i * 10,
          i % 2,
          randomBytes(24),
          i % 3 === 0 ? null : randomBytes(40),
          randomBytes(60_000),
        ]);
      await writer.query(
        `update kymo.stream_epoch set committed = '{[0,200)}', lost = '{[200,300),[400,9007199254740991)}'
          where stream_id = $1`,
        [definition.stream],
      );
      await writer.query(
        `insert into kymo.loss values ($1, $2, -1, 200, 300, 'sensor-fault', '2026-01-01 00:00:00.123456+00')`,
        [tenant.orgId, definition.stream],
      );
    }
    await owner.query('insert into kymo.clock_observation values ($1, $2, now(), 1, -2, 3)', [
      tenant.orgId,
      tenant.device.deviceId,
    ]);
  }
  await pools.close();
}

async function backUp(ownerUrl: string): Promise<{ file: Buffer; report: BackupReport }> {
  const chunks: Buffer[] = [];
  const write = async (bytes: Buffer): Promise<void> => void chunks.push(bytes);
  const report = await writeBackup({ ownerUrl, kymo: '1.2.3', write });
  return { file: Buffer.concat(chunks), report };
}

const opener = (file: Buffer) => (): AsyncIterable<Buffer> =>
  Readable.from([file.subarray(0, 5), file.subarray(5, 70_000), file.subarray(70_000)]);

const restore = (file: Buffer, ownerUrl: string): Promise<RestoreReport> =>
  restoreBackup({ ownerUrl, open: opener(file) });

async function incarnationOf(ownerUrl: string): Promise<string> {
  const client = await connect(ownerUrl);
  const { rows } = await client.query<{ incarnation: string }>('select incarnation from kymo.server');
  return rows[0]!.incarnation;
}

test('every row of every table and organisation comes back, under a new incarnation', async () => {
  const [source, target] = [await database(), await database()];
  await fill(source.ownerUrl);
  const before = await digestTables(source.ownerUrl);
  const { file, report } = await backUp(source.ownerUrl);
  expect(before['chunk']!.rows).toBe(80);
  expect(report.fileBytes).toBe(file.length);

  const contents = await verifyBackup(opener(file)());
  expect(Object.fromEntries(contents.tables.map(({ name, rows }) => [name, rows]))).toEqual(
    Object.fromEntries(Object.entries(before).map(([name, { rows }]) => [name, rows])),
  );
  expect(contents.header).toMatchObject({ kymo: '1.2.3', incarnation: await incarnationOf(source.ownerUrl) });

  const restored = await restore(file, target.ownerUrl);
  expect(await digestTables(target.ownerUrl)).toEqual(before);
  expect(restored.incarnation).not.toBe(await incarnationOf(source.ownerUrl));
  expect(await incarnationOf(target.ownerUrl)).toBe(restored.incarnation);
  // The application finds its roles, policies and partitions as migrations made them.
  await (await openPools(target.ownerUrl)).close();
  expect((await backUp(target.ownerUrl)).report.summary).toEqual(report.summary);
});
