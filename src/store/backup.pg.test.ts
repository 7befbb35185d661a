/** A database, its back-up and what is restored from it, on a real PostgreSQL. */

import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';

import pg from 'pg';
import { afterEach, expect, test } from 'vitest';

import { messageOf } from '#base/errors.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { createBackupWriter } from '#store/backup-format.ts';
import { knownMigrations, migrateWithin } from '#store/migrate.ts';
import { openPools } from '#store/pools.ts';
import { createChannelLog } from '#store/channel-log.ts';
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
      const definition = streamDefinition({ segment, label: `${name} "quoted" \\ ☃` });
      const opened = await createCatalogue(pools).openStream(tenant.device, {
        definition,
        epoch: 'ffffffffffffffff',
      });
      expect(opened.ok).toBe(true);
      await createChannelLog(pools.app).append(`${tenant.orgId}/session/${definition.session}/chat`, [
        { payload: randomBytes(100), key: null },
        { payload: Buffer.from('☃'), key: 'key' },
      ]);
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
  const channels = await channelsOf(source.ownerUrl);
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
  expect((await backUp(target.ownerUrl)).report.summary).toEqual(report.summary);
  // The application finds its roles, policies and partitions as migrations made them.
  const pools = await openPools(target.ownerUrl);
  const restoredChannels = await channelsOf(target.ownerUrl);
  expect(restoredChannels.map(({ name, newest }) => ({ name, newest }))).toEqual(
    channels.map(({ name, newest }) => ({ name, newest })),
  );
  for (const [i, { org_id: orgId, name, epoch }] of restoredChannels.entries()) {
    // The offsets go on, and nobody takes them for those that came after the back-up.
    expect(epoch).not.toBe(channels[i]!.epoch);
    const [appended] = await createChannelLog(pools.app).append(`${orgId}/${name}`, [
      { payload: Buffer.from('later'), key: null },
    ]);
    expect(appended!.position).toEqual({ epoch, offset: 3 });
  }
  await pools.close();
});

interface ChannelRow {
  readonly org_id: string;
  readonly name: string;
  readonly newest: string;
  readonly epoch: string;
}

async function channelsOf(ownerUrl: string): Promise<ChannelRow[]> {
  const { rows } = await (
    await connect(ownerUrl)
  ).query<ChannelRow>(
    'select org_id, name, newest, kymo.channel_epoch(org_id, name) as epoch from kymo.channel order by org_id, name',
  );
  expect(rows).toHaveLength(4);
  return rows;
}

/** Why `work` failed, and whether the target is as it was. */
async function refusal(
  target: TestDatabase,
  work: () => Promise<unknown>,
): Promise<{ why: string; isUntouched: boolean }> {
  const before = await digestTables(target.ownerUrl);
  const why = await work().then(() => 'accepted', messageOf);
  return { why, isUntouched: JSON.stringify(await digestTables(target.ownerUrl)) === JSON.stringify(before) };
}

const refused = (message: RegExp): unknown => ({ why: expect.stringMatching(message), isUntouched: true });

test('a target with any row of anyone is refused, and so is one that a server uses', async () => {
  const [source, target] = [await database(), await database()];
  await fill(source.ownerUrl);
  const { file } = await backUp(source.ownerUrl);
  expect(await refusal(source, () => restore(file, source.ownerUrl))).toEqual(
    refused(/database has data \(in kymo\."\w+"\)/),
  );

  const pools = await openPools(target.ownerUrl);
  await pools.app.run([{ text: 'select 1' }]);
  expect(await refusal(target, () => restore(file, target.ownerUrl))).toEqual(
    refused(/a Kymo server uses this database/),
  );
  await pools.close();
  await restore(file, target.ownerUrl);
});

test('a damaged file writes nothing, nor does one that changes while it is read', async () => {
  const [source, target] = [await database(), await database()];
  await fill(source.ownerUrl);
  const { file } = await backUp(source.ownerUrl);
  const changed = Buffer.from(file);
  changed[file.length >> 1]! ^= 1;
  expect(await refusal(target, () => restore(changed, target.ownerUrl))).toEqual(
    refused(/back-up is damaged/),
  );
  expect(await refusal(target, () => restore(file.subarray(0, -1), target.ownerUrl))).toEqual(
    refused(/ends too early/),
  );

  let opened = 0;
  const open = (): AsyncIterable<Buffer> => opener(opened++ === 0 ? file : changed)();
  const reopened = await refusal(target, () => restoreBackup({ ownerUrl: target.ownerUrl, open }));
  expect(reopened).toEqual(refused(/back-up is damaged/));
  expect(opened).toBe(2);
  // What stopped in the middle is in nobody's way.
  await restore(file, target.ownerUrl);
  expect(await digestTables(target.ownerUrl)).toEqual(await digestTables(source.ownerUrl));
});

test('a back-up of a newer schema names the version that is needed', async () => {
  const target = await database();
  const chunks: Buffer[] = [];
  const writer = createBackupWriter(async (bytes) => void chunks.push(bytes));
  await writer.header({
    kymo: '7.8.9',
    migrations: [...(await knownMigrations()), '9999-of-the-future'],
    incarnation: '0197a1b2-0000-4000-8000-000000000000',
    snapshotAt: '2026-01-31T23:59:59.123Z',
    postgres: '18.1',
    partitions: [],
    sequences: [],
  });
  await writer.finish();
  expect(await refusal(target, () => restore(Buffer.concat(chunks), target.ownerUrl))).toEqual(
    refused(/schema 9999-of-the-future.*restore it with Kymo 7\.8\.9/),
  );
});

test('a back-up of an older schema is restored as it was and then migrated', async () => {
  const [source, target] = [await database(), await database()];
  const owner = await connect(source.ownerUrl);
  const [first, ...later] = await knownMigrations();
  await owner.query('begin');
  await owner.query('drop schema kymo cascade; drop table kymo_migration, kymo_migration_lock');
  await migrateWithin(owner, first!);
  await owner.query('commit');
  await owner.query(
    `insert into kymo.organisation values (gen_random_uuid(), 'old', '2020-01-01 00:00:00Z')`,
  );
  const { file, report } = await backUp(source.ownerUrl);
  expect(report.header.migrations).toEqual([first]);

  expect((await restore(file, target.ownerUrl)).migrated).toEqual(later);
  const restored = await (
    await connect(target.ownerUrl)
  ).query('select name, created_at from kymo.organisation');
  expect(restored.rows).toEqual([{ name: 'old', created_at: new Date('2020-01-01T00:00:00Z') }]);
  await (await openPools(target.ownerUrl)).close();
});

test('a back-up is refused where row security would leave rows out', async () => {
  const source = await database();
  await fill(source.ownerUrl);
  await (await connect(source.ownerUrl)).query('alter table kymo.session force row level security');
  await expect(backUp(source.ownerUrl)).rejects.toThrow(
    /must have all rows of all tables: .*row-level security/,
  );
});

test('flushes and the making of partitions go on while a back-up waits for its file, which has none of them', async () => {
  const [source, target] = [await database(), await database()];
  await fill(source.ownerUrl);
  const before = await digestTables(source.ownerUrl);
  const chunks: Buffer[] = [];
  const started = Promise.withResolvers<void>();
  const mayGoOn = Promise.withResolvers<void>();
  const done = writeBackup({
    ownerUrl: source.ownerUrl,
    kymo: '1.2.3',
    async write(bytes) {
      chunks.push(bytes);
      if (chunks.length < 4) return;
      started.resolve();
      await mayGoOn.promise;
    },
  });
  await started.promise;
  const writer = await connect(source.ownerUrl, 'kymo_writer');
  await writer.query(`set lock_timeout = '1s'`);
  const { rows } = await writer.query<{ org_id: string; stream_id: string }>(
    'select org_id, stream_id from kymo.stream_epoch limit 1',
  );
  const { org_id: orgId, stream_id: stream } = rows[0]!;
  await writer.query('begin');
  await writer.query(`update kymo.stream_epoch set committed = '{[0,210)}' where stream_id = $1`, [stream]);
  await writer.query(addChunk, [orgId, stream, -1, 200, 0, Buffer.alloc(24), null, Buffer.alloc(120)]);
  await writer.query('commit');
  await writer.query(`create table kymo.chunk_c0_20990101 (like kymo.chunk_c0 including all)`);
  await writer.query(
    `alter table kymo.chunk_c0 attach partition kymo.chunk_c0_20990101 for values from ('2099-01-01') to ('2099-01-02')`,
  );
  mayGoOn.resolve();
  await done;
  await restore(Buffer.concat(chunks), target.ownerUrl);
  expect(await digestTables(target.ownerUrl)).toEqual(before);
});

test('a file that cannot be written ends the back-up and its transaction', async () => {
  const source = await database();
  await fill(source.ownerUrl);
  let written = 0;
  const write = async (bytes: Buffer): Promise<void> => {
    written += bytes.length;
    if (written > 2_000_000) throw new Error('no space left');
  };
  await expect(writeBackup({ ownerUrl: source.ownerUrl, kymo: '1.2.3', write })).rejects.toThrow(
    'no space left',
  );
  const client = await connect(source.ownerUrl);
  const others = `select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
     and backend_type = 'client backend' and state <> 'idle'`;
  await expect.poll(async () => (await client.query(others)).rowCount).toBe(0);
});

test('a day that retention has detached and not dropped yet is in its place', async () => {
  const [source, target] = [await database(), await database()];
  await fill(source.ownerUrl);
  const before = await digestTables(source.ownerUrl);
  const writer = await connect(source.ownerUrl, 'kymo_writer');
  const { rows } = await writer.query<{ name: string }>(
    `select tableoid::regclass::text as name from kymo.chunk group by 1 order by 1 limit 1`,
  );
  await writer.query(`alter table kymo.chunk_c0 detach partition ${rows[0]!.name}`);
  expect((await digestTables(source.ownerUrl))['chunk']!.rows).toBe(40);
  const { file } = await backUp(source.ownerUrl);
  await restore(file, target.ownerUrl);
  expect(await digestTables(target.ownerUrl)).toEqual(before);
});

test('tables that go and come while a back-up begins make it begin again', async () => {
  const source = await database();
  await fill(source.ownerUrl);
  const writer = await connect(source.ownerUrl, 'kymo_writer');
  // Holds the back-up up while it lists the tables or locks them, in which time a day is dropped.
  await writer.query('begin');
  const { rows } = await writer.query<{ name: string }>(
    `select tableoid::regclass::text as name from kymo.chunk group by 1 order by 1 limit 1`,
  );
  await writer.query(`drop table ${rows[0]!.name}`);
  const done = backUp(source.ownerUrl);
  const waiting = `select from pg_locks l join pg_database d on d.oid = l.database
    where not l.granted and d.datname = current_database()`;
  await expect.poll(async () => (await writer.query(waiting)).rowCount, { timeout: 10_000 }).toBe(1);
  await writer.query('commit');
  const { header, summary } = (await done).report;
  expect(header.partitions.map(({ name }) => `kymo.${name}`)).not.toContain(rows[0]!.name);
  expect(summary.rows).toBe(
    Object.values(await digestTables(source.ownerUrl)).reduce((sum, t) => sum + t.rows, 0),
  );
});
