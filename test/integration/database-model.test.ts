/**
 * Holds the model of the database (test/simulation/database) against PostgreSQL: the same operations at both, through the
 * product's own code, with the same answers, errors, waits and tables. Seeds are printed; KYMO_TWIN_SEED=n runs that
 * history alone.
 */

import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { migrate } from '#store/migrate.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools } from '#store/pools.ts';
import { runTwinHistory, type TwinHistory, type TwinReport } from '#test/simulation/database/twin-history.ts';
import {
  commit,
  connect,
  lock,
  makePartitions,
  openStream,
  roll,
  rollback,
  write,
} from '#test/simulation/database/twin-operations.ts';
import { openPostgresPlace, type PostgresPlace } from '#test/simulation/database/twin-postgres.ts';
import { createTestDatabase, testCluster, type TestDatabase } from '#test/support/database.ts';
import { frameOf } from '#test/support/frames.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

/** So small that an epoch takes several steps. */
const bounds = { readings: 100, rows: 3 };
const STEPS = 60;
// Ids follow from the seed, and all histories share a database.
const drawSeed = (): number => Math.floor(Math.random() * 2 ** 32);
const only = process.env['KYMO_TWIN_SEED'];
const seeds = only === undefined ? [1, 2, 3, 4, ...Array.from({ length: 3 }, drawSeed)] : [Number(only)];

interface Setting {
  readonly place: PostgresPlace;
  readonly device: Tenant['device'];
  readonly stranger: Tenant['device'];
}

let database: TestDatabase;
let setting: Setting;
let dayShift = 0;
const endings: (() => unknown)[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  setting = await openSetting(database.ownerUrl);
});

afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

afterAll(async () => {
  await setting.place.close();
  await database.drop();
});

async function openSetting(ownerUrl: string, restart?: () => Promise<void>): Promise<Setting> {
  const pools = await openPools(ownerUrl);
  const writer = openTestPool(pools.writerUrl);
  await ensurePartitions(writer);
  await writer.end();
  const { device } = await createTenant(ownerUrl, pools, 'A');
  const { device: stranger } = await createTenant(ownerUrl, pools, 'B');
  await pools.close();
  const place = await openPostgresPlace(ownerUrl, {
    bounds,
    dayShift: () => dayShift,
    ...(restart === undefined ? {} : { restart }),
  });
  return { place, device, stranger };
}

function run(
  seed: number,
  script: (history: TwinHistory) => Promise<void>,
  { place, device, stranger }: Setting = setting,
): Promise<TwinReport> {
  return runTwinHistory(place, { seed, bounds, device, stranger }, script);
}

async function takeSteps(history: TwinHistory): Promise<void> {
  for (let step = 0; step < STEPS; step++) await history.step();
}

test('drawn operations have the same answers, errors, waits and tables at the model and at PostgreSQL', async () => {
  console.log(`seeds of the twin databases: ${seeds.join(' ')}`);
  const counts: Record<string, number> = {};
  let tooSlow = 0;
  let raced = 0;
  for (const seed of seeds) {
    const report = await run(seed, takeSteps);
    for (const [name, times] of Object.entries(report.counts)) counts[name] = (counts[name] ?? 0) + times;
    if (report.isTooSlow) tooSlow++;
    if (report.isRaced) raced++;
  }
  console.log(
    `at both: ${JSON.stringify(counts)}; ${tooSlow} histories were too slow to compare, ${raced} raced`,
  );
  expect(tooSlow).toBeLessThan(Math.max(1, seeds.length / 2));
  // A model that is wrong about who goes first would race all the time.
  expect(raced).toBeLessThanOrEqual(1);
});

// A machine that stands still for a second has time-outs of its own.
const onceMore = { retry: 1 };

/** Opens all epochs and connects both writers. */
async function prepare({ begin, material }: TwinHistory): Promise<void> {
  for (const handle of material.handles) await begin(openStream(material.device, handle, false));
  await begin(connect('writer A'));
  await begin(connect('writer B'));
}

test('waits end by the same time-outs, in the same order', onceMore, async () => {
  const report = await run(drawSeed(), async (history) => {
    await prepare(history);
    const { begin, material, wait } = history;
    const [one] = material.handles;
    const later = material.handles.find(
      (handle) => handle !== one && handle.definition.stream === one!.definition.stream,
    );
    const work = [{ handle: one!, frames: [frameOf(one!, 0, 100)], losses: [], generation: 1 }];
    await begin(lock('writer A', [one!]));
    await begin(write('writer A', work));
    await begin(commit('writer A'));
    await begin(lock('writer A', [one!]));
    await begin(write('writer A', [{ ...work[0]!, frames: [frameOf(one!, 100, 50)] }]));
    await begin(lock('writer B', [one!]));
    await begin(roll('keeper', one!));
    // It closes the epoch before it, whose row is held.
    await begin(openStream(material.device, later!, true));
    // The pools and the keeper give up after 2 s; writer A, idle in its transaction, is ended after 3; writer B has the row.
    await wait(3_600);
    await begin(rollback('writer B'));
  });
  expect(report.counts).toMatchObject({ 'failed: overloaded': 1, 'failed: 55P03': 1 });
});

test('the same one of two that wait for each other is sent away', onceMore, async () => {
  const report = await run(drawSeed(), async (history) => {
    await prepare(history);
    const { begin, material, wait } = history;
    const [one, , other] = material.handles;
    await begin(lock('writer A', [one!]));
    await begin(lock('writer B', [other!]));
    await begin(lock('writer A', [other!]));
    await begin(lock('writer B', [one!]));
    await wait(1_400);
  });
  expect(report.counts).toMatchObject({ 'failed: blocked': 1 });
});

test('rows are locked in the order of signed epochs, one after the other', onceMore, async () => {
  const report = await run(drawSeed(), async (history) => {
    await prepare(history);
    const { begin, material } = history;
    const [plain, negative] = material.handles;
    await begin(lock('writer A', [negative!]));
    // It waits for the first of its rows, and so does not yet have the second.
    await begin(lock('writer B', [plain!, negative!]));
    await begin(roll('keeper', plain!));
    await begin(commit('writer A'));
    await begin(roll('keeper', plain!));
    await begin(commit('writer B'));
  });
  expect(report.isTooSlow).toBe(false);
});

test(
  'a missing partition and rows that are refused fail alike, and nothing of them is stored',
  onceMore,
  async () => {
    const report = await run(drawSeed(), async (history) => {
      await prepare(history);
      const { begin, material, model } = history;
      const [one, , other] = material.handles;
      const flush = async (): Promise<void> => {
        await begin(lock('writer A', [one!, other!]));
        await begin(
          write(
            'writer A',
            [one!, other!].map((handle) => ({
              handle,
              frames: [frameOf(handle, 0, 60)],
              losses: [],
              generation: 1,
            })),
          ),
        );
      };
      dayShift = 10;
      model.faults.partitionIsMissing = true;
      endings.push(() => (dayShift = 0));
      await flush();
      await begin(commit('writer A'));
      await begin(rollback('writer A'));
      await begin(makePartitions('writer A'));

      const superuser = new URL(testCluster().superuserUrl);
      superuser.pathname = `/${database.name}`;
      const client = new pg.Client({ connectionString: superuser.href });
      await client.connect();
      endings.push(() => client.end());
      await client.query(
        `alter table kymo.chunk add constraint poison check (stream_id <> '${other!.definition.stream}')`,
      );
      model.faults.refusedStream = other!.definition.stream;
      await flush();
      await begin(rollback('writer A'));
      await client.query('alter table kymo.chunk drop constraint poison');
      model.faults.refusedStream = null;
      await flush();
      await begin(commit('writer A'));
    });
    expect(report.counts).toMatchObject({ 'failed: partition': 1, 'failed: data': 1 });
  },
);

test(
  'a crash loses what the model may lose: newest first, and nothing that somebody waited for',
  onceMore,
  async () => {
    const directory = createTemporaryDirectory();
    endings.push(() => directory.remove());
    const settings = {
      // Here a process crashes, not the machine.
      fsync: 'off',
      // What nobody waits for stays in memory for as long as it can.
      wal_writer_delay: '10s',
    };
    const embedded = await startEmbeddedDatabase({ dataDir: directory.path, settings });
    endings.push(() => embedded.stop());
    await migrate(embedded.ownerUrl);
    const own = await openSetting(embedded.ownerUrl, async () => {
      const pid = embedded.postmasterPid()!;
      process.kill(pid, 'SIGQUIT');
      await expect.poll(() => embedded.postmasterPid()).not.toBe(pid);
      await embedded.ensureRunning();
    });
    endings.push(() => own.place.close());
    const report = await run(
      4,
      async (history) => {
        for (let crash = 0; crash < 2; crash++) {
          for (let step = 0; step < 25; step++) await history.step();
          await history.crash();
        }
      },
      own,
    );
    expect(report.counts['commits lost']).toBeGreaterThan(0);
  },
);
