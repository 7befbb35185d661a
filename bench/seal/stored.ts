/**
 * Owns the measurements of sealing in PostgreSQL: what readings take on disk hot and sealed, with indexes and side tables,
 * what sealing them costs, and how long one stream takes to read. Every reading is compared before and after.
 */

import { createHash } from 'node:crypto';

import pg from 'pg';

import { systemClock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { randomEpoch, uuidv7 } from '#base/uuid.ts';
import { createAccounts, createOrganisation } from '#identity/accounts.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { decodeTimes, decodeValues } from '#store/chunk-codec.ts';
import { chunkStatement, unpackChunks } from '#store/chunk-reader.ts';
import { epochToInt8 } from '#store/epoch.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, runAsOrg, type Pools } from '#store/pools.ts';
import { createSealTask } from '#store/seal-task.ts';
import type { BenchDatabase } from '#bench/support/bench-database.ts';
import type { RunScope } from '#bench/support/run-scope.ts';
import { liveChunks } from '#bench/seal/live-chunks.ts';
import type { ReadingSet, SetStream } from '#bench/seal/sets.ts';

export interface StoredFigures {
  readonly readings: number;
  readonly hotBytes: number;
  readonly sealedBytes: number;
  /** This process's and the database's CPU time while sealing. */
  readonly sealCpuS: number;
  readonly sealS: number;
  readonly longestStepMs: number;
}

export interface ReadFigures {
  readonly hot: ReadTimes;
  readonly sealed: ReadTimes;
  readonly readings: number;
}

export interface ReadTimes {
  /** In ascending order. */
  readonly ms: readonly number[];
  /** CPU time of a read here and in the database; other programs on the machine lengthen it less. */
  readonly cpuMs: number;
  readonly databaseCpuMs: number;
}

export interface SealStore {
  /** Stores the set hot, seals it, and leaves nothing. */
  measure(set: ReadingSet): Promise<StoredFigures>;
  /** Reads all of the set's first stream `times` times, hot and sealed, decoded. */
  read(set: ReadingSet, times: number): Promise<ReadFigures>;
}

interface StoredStream {
  readonly orgId: string;
  readonly streamId: string;
  readonly epoch: string;
  readonly definition: SetStream;
}

export async function openSealStore(scope: RunScope, database: BenchDatabase): Promise<SealStore> {
  const pools = await openPools(database.url, () => undefined);
  const writer = new pg.Pool({ connectionString: pools.writerUrl, max: 2 });
  const owner = new pg.Pool({ connectionString: database.url, max: 1 });
  // Closing returns before the sockets have closed, and the database may end them first.
  for (const pool of [writer, owner]) pool.on('error', () => undefined);
  scope.defer('connections', async () => {
    await Promise.all([writer.end(), owner.end()]);
    await pools.close();
  });
  await ensurePartitions(writer);
  const orgId = await createOrganisation(owner, { name: 'bench', clock: systemClock });
  const device = await createAccounts({ appPool: pools.app, clock: systemClock }).createDevice(
    orgId,
    'bench',
  );
  const identity = { orgId, deviceId: device.id };

  async function store(set: ReadingSet): Promise<StoredStream[]> {
    await database.query('truncate kymo.chunk, kymo.sealed_chunk, kymo.stream_sealing');
    const stored: StoredStream[] = [];
    for (const stream of set.streams) stored.push(await storeStream({ pools, writer, identity }, stream));
    await database.query('vacuum analyze');
    return stored;
  }

  async function seal(streams: readonly StoredStream[]): Promise<{ longestStepMs: number }> {
    for (const { streamId } of streams) {
      await createCatalogue(pools).endStream(identity, streamId);
      await database.query("update kymo.stream set ended_at = now() - interval '1 hour' where id = $1", [
        streamId,
      ]);
    }
    const task = createSealTask();
    const never = new AbortController().signal;
    let longestStepMs = 0;
    for (let found = 'more'; found === 'more';) {
      const startedMs = performance.now();
      found = await task.step(writer, never);
      longestStepMs = Math.max(longestStepMs, performance.now() - startedMs);
    }
    if (task.counters.failed + task.counters.lost > 0)
      throw new AppError('internal', 'not all could be sealed');
    await database.query('vacuum analyze');
    return { longestStepMs };
  }

  return {
    async measure(set) {
      const streams = await store(set);
      const before = await digestOf(pools, streams);
      const hotBytes = await sizeOf(database, 'kymo.chunk');
      const cpu = process.cpuUsage();
      const databaseCpuS = database.usage().cpuS;
      const startedMs = performance.now();
      const { longestStepMs } = await seal(streams);
      const sealS = (performance.now() - startedMs) / 1000;
      const used = process.cpuUsage(cpu);
      const sealCpuS = (used.user + used.system) / 1e6 + database.usage().cpuS - databaseCpuS;
      if ((await digestOf(pools, streams)) !== before)
        throw new AppError('internal', `${set.name}: readings differ after sealing`);
      return {
        readings: set.streams.reduce((sum, stream) => sum + stream.n, 0),
        hotBytes,
        sealedBytes: await sizeOf(database, 'kymo.sealed_chunk'),
        sealCpuS,
        sealS,
        longestStepMs,
      };
    },
    async read(set, times) {
      const [stream] = await store({ ...set, streams: set.streams.slice(0, 1) });
      const hot = await readTimes({ pools, database }, stream!, times);
      await seal([stream!]);
      const sealed = await readTimes({ pools, database }, stream!, times);
      return { hot, sealed, readings: stream!.definition.n };
    },
  };
}

async function storeStream(
  store: { pools: Pools; writer: pg.Pool; identity: { orgId: string; deviceId: string } },
  stream: SetStream,
): Promise<StoredStream> {
  const { orgId } = store.identity;
  const streamId = uuidv7(systemClock);
  const epoch = randomEpoch();
  const opened = await createCatalogue(store.pools).openStream(store.identity, {
    epoch,
    definition: {
      stream: streamId,
      session: uuidv7(systemClock),
      segment: 'bench',
      sensor: 'imu',
      axes: Array.from({ length: stream.axisCount }, (_, i) => ({ name: `axis_${i}`, unit: '1' })),
      rateHz: stream.rateHz,
      encoding: stream.encoding,
      ...(stream.encoding === 'int16' ? { scale: Array.from({ length: stream.axisCount }, () => 0.01) } : {}),
      clock: 'device',
    },
  });
  if (!opened.ok) throw new AppError(opened.error.code, opened.error.message);
  const chunks = liveChunks(stream);
  for (let from = 0; from < chunks.length; from += 500) {
    const part = chunks.slice(from, from + 500);
    await store.writer.query(
      `insert into kymo.chunk (org_id, stream_id, epoch, commit_day, retention_class,
          first_seq, first_us, last_us, n, segments, data)
       select $1, $2, $3, (now() at time zone 'utc')::date, 0, b.* from
         unnest($4::int8[], $5::int8[], $6::int8[], $7::int4[], $8::bytea[], $9::bytea[]) b`,
      [
        orgId,
        streamId,
        epochToInt8(epoch),
        part.map((chunk) => chunk.firstSeq),
        part.map((chunk) => chunk.firstUs),
        part.map((chunk) => chunk.lastUs),
        part.map((chunk) => chunk.n),
        part.map((chunk) => chunk.segments),
        part.map((chunk) => chunk.data),
      ],
    );
  }
  await store.writer.query(
    `update kymo.stream_epoch set committed = int8multirange(int8range(0, $3)),
        first_commit_day = (now() at time zone 'utc')::date, last_commit_day = (now() at time zone 'utc')::date
      where stream_id = $1 and epoch = $2`,
    [streamId, epochToInt8(epoch), stream.n],
  );
  return { orgId, streamId, epoch, definition: stream };
}

async function readChunks(pools: Pools, { orgId, streamId, epoch }: StoredStream) {
  const range = { streamId, epoch, fromSeq: 0, toSeq: 2 ** 53 - 1 };
  const statements = [chunkStatement(range, 1_000_000)];
  const [result] = await runAsOrg(pools.app, orgId, { statements, mode: 'snapshot' });
  return unpackChunks(result?.rows ?? []);
}

async function readTimes(
  { pools, database }: { pools: Pools; database: BenchDatabase },
  stream: StoredStream,
  times: number,
): Promise<ReadTimes> {
  const { axisCount, encoding, n } = stream.definition;
  const layout = {
    axisCount,
    encoding,
    scale: encoding === 'int16' ? Array<number>(axisCount).fill(0.01) : null,
  };
  const took: number[] = [];
  const cpu = process.cpuUsage();
  const databaseCpuS = database.usage().cpuS;
  for (let i = 0; i < times; i++) {
    const startedMs = performance.now();
    const chunks = await readChunks(pools, stream);
    let readings = 0;
    for (const chunk of chunks) {
      readings += decodeTimes(chunk).length;
      decodeValues(chunk, layout);
    }
    took.push(performance.now() - startedMs);
    if (readings !== n) throw new AppError('internal', `${readings} readings read instead of ${n}`);
  }
  const used = process.cpuUsage(cpu);
  return {
    ms: took.toSorted((a, b) => a - b),
    cpuMs: (used.user + used.system) / 1000 / times,
    databaseCpuMs: ((database.usage().cpuS - databaseCpuS) * 1000) / times,
  };
}

async function digestOf(pools: Pools, streams: readonly StoredStream[]): Promise<string> {
  const hash = createHash('sha256');
  for (const stream of streams) {
    const chunks = await readChunks(pools, stream);
    for (const chunk of chunks) hash.update(chunk.segments);
    for (const chunk of chunks) hash.update(chunk.data);
  }
  return hash.digest('hex');
}

async function sizeOf(database: BenchDatabase, table: string): Promise<number> {
  const [row] = await database.query<{ bytes: number }>(
    'select sum(pg_total_relation_size(relid))::float8 as bytes from pg_partition_tree($1::regclass) where isleaf',
    [table],
  );
  return row!.bytes;
}
