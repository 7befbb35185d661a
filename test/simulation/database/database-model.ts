/**
 * Owns the model of the database: what PostgreSQL does to the transactions of Kymo's writer, catalogue, identity, erasure
 * and roll-up keeper, on simulated time, and everything that can go wrong with it. The product's own code runs over it; the
 * model has the tables, the locks, the log of commits and the connections. What it promises is compared with PostgreSQL by
 * test/integration/database-model.test.ts.
 */

import { integerBelow } from '#base/random.ts';
import { ok } from '#base/result.ts';
import type { IngestBackend } from '#ingest/ingest-backend.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { erase } from '#store/erasure.ts';
import { createBackends, databaseError, type Backends } from '#test/simulation/database/backends.ts';
import type {
  DatabaseFaults,
  DatabaseModel,
  DatabaseOptions,
  ServerDatabase,
} from '#test/simulation/database/database-types.ts';
import { createModelledPools } from '#test/simulation/database/pool-model.ts';
import { rollUpAll } from '#test/simulation/database/rollup-model.ts';
import { createStorage, type Storage } from '#test/simulation/database/storage.ts';
import { createWriterModel, type WriterFaults } from '#test/simulation/database/writer-model.ts';
import type { Process, Scheduler } from '#test/simulation/scheduler.ts';

const defaultOptions: DatabaseOptions = { latencyMs: [0.2, 1], promotionMs: [100, 2_000] };

/** Between two attempts at an erasure. */
const ERASE_AGAIN_MS = 250;

export function createDatabaseModel(
  scheduler: Scheduler,
  options: Partial<DatabaseOptions> = {},
): DatabaseModel {
  const { latencyMs, promotionMs } = { ...defaultOptions, ...options };
  const storage = createStorage(drawIncarnation(scheduler));
  const backends = createBackends(scheduler, { storage, latencyMs });
  const writerFaults: WriterFaults = { nextCommit: null, partitionIsMissing: false, refusedStream: null };
  const erased = liveKeys(storage.erased);
  return {
    connect: (process) => connect(backends, writerFaults, process),
    get onCommit() {
      return backends.onCommit;
    },
    set onCommit(heard) {
      backends.onCommit = heard;
    },
    tables: { epochs: storage.epochs, streams: storage.streams, erased },
    faults: createFaults(backends, writerFaults, promotionMs),
    get incarnation() {
      return storage.incarnation;
    },
    counters: backends.counters,
  };
}

function connect(backends: Backends, writerFaults: WriterFaults, process: Process): ServerDatabase {
  return {
    writer: createWriterModel(backends, writerFaults, process),
    backend: createModelledBackend(backends, process),
    rollUp: () => rollUpAll(backends, process),
  };
}

/** As src/app/backend.ts; only keys are remembered more simply, and clocks are not recorded. */
function createModelledBackend(backends: Backends, process: Process): IngestBackend {
  const pools = createModelledPools(backends, process);
  const catalogue = createCatalogue(pools);
  const known = new Map<string, { deviceId: string; orgId: string }>();
  return {
    async authenticate(key) {
      const remembered = known.get(key);
      if (remembered !== undefined) return remembered;
      const [found] = await pools.auth.run([{ name: 'device-by-key', text: '', values: [key] }]);
      const row = found?.rows[0] as { id: string; org_id: string } | undefined;
      if (row === undefined) return null;
      const identity = { deviceId: row.id, orgId: row.org_id };
      known.set(key, identity);
      return identity;
    },
    async greet(identity) {
      const [drawn] = await pools.auth.run([
        { name: 'next-generation', text: '', values: [identity.deviceId] },
      ]);
      const row = drawn?.rows[0] as { generation: number; incarnation: string } | undefined;
      return row === undefined ? null : { identity, ...row };
    },
    async incarnation() {
      const [asked] = await pools.auth.run([{ name: 'incarnation', text: '' }]);
      return (asked!.rows[0] as { incarnation: string }).incarnation;
    },
    async openStream(identity, request) {
      const opened = await catalogue.openStream(identity, request);
      return opened.ok ? ok({ handle: opened.value.handle, progress: opened.value.progress }) : opened;
    },
    checksumOf: ({ orgId, deviceId, definition, epoch }, seq) =>
      catalogue.checksumOf({ orgId, deviceId }, { streamId: definition.stream, epoch }, seq),
    isErased: ({ orgId, deviceId, definition }) => catalogue.isErased({ orgId, deviceId }, definition),
    async endStream({ orgId, deviceId, definition }, recordingEnded) {
      if (recordingEnded) await catalogue.endStream({ orgId, deviceId }, definition.stream);
    },
    recordClock: () => undefined,
  };
}

function createFaults(
  backends: Backends,
  writerFaults: WriterFaults,
  promotionMs: readonly [number, number],
): DatabaseFaults {
  const { scheduler, storage, counters } = backends;

  function endAll(downMs: number): void {
    backends.upAtMs = Math.max(backends.upAtMs, scheduler.nowMs + downMs);
    for (const backend of backends.all()) backends.end(backend, null);
  }

  /** Some of the commits that nobody waited for; returns how many. */
  function loseUncertain(): number {
    return storage.drop(integerBelow(scheduler.random, storage.uncertain(scheduler.nowMs) + 1));
  }

  /** All connections die, and another server answers in a while. */
  function replace(): void {
    const [minMs, maxMs] = promotionMs;
    endAll(minMs + scheduler.random.next() * (maxMs - minMs));
    storage.incarnation = drawIncarnation(scheduler);
  }

  const eraser = scheduler.process('eraser');
  const pools = createModelledPools(backends, eraser);
  return {
    addDevice(key, identity) {
      storage.devices.set(identity.deviceId, { key, identity, generation: 0 });
    },
    crash(downMs) {
      counters.crashes++;
      endAll(downMs);
      counters.lostCommits += loseUncertain();
    },
    nextCommit(fate) {
      writerFaults.nextCommit = fate;
    },
    killBackends() {
      for (const backend of backends.all()) {
        if (backend.settings.role !== 'kymo_writer' || backend.transaction === null) continue;
        counters.killedBackends++;
        backends.end(backend, databaseError('57P01', 'terminating connection due to administrator command'));
      }
    },
    setDiskFull(isFull) {
      backends.isDiskFull = isFull;
    },
    missPartition() {
      writerFaults.partitionIsMissing = true;
    },
    refuseStream(streamId) {
      writerFaults.refusedStream = streamId;
    },
    setLatency: backends.setLatency,
    freeze: backends.freeze,
    backUp: storage.backUp,
    restore() {
      if (storage.restore()) replace();
    },
    failover(losesMs) {
      replace();
      // Who waits for nobody's disk waits for no standby either.
      counters.lostCommits += loseUncertain() + (losesMs > 0 ? storage.rewind(scheduler.nowMs - losesMs) : 0);
    },
    async erase(id) {
      for (;;) {
        const target = targetOf(storage, id);
        if (target === null) return;
        try {
          await erase(pools, target.orgId, { kind: target.kind, id });
          return;
        } catch {
          await new Promise<void>((resolve) => scheduler.after(ERASE_AGAIN_MS, eraser, resolve));
        }
      }
    },
  };
}

/** Null: there is no such thing, or nothing is left of it. */
function targetOf(storage: Storage, id: string): { kind: 'session' | 'stream'; orgId: string } | null {
  const session = storage.sessions.get(id);
  if (session !== undefined) return { kind: 'session', orgId: session.orgId };
  const stream = storage.streams.get(id);
  return stream === undefined ? null : { kind: 'stream', orgId: stream.orgId };
}

function drawIncarnation({ random }: Scheduler): string {
  const hex = Array.from({ length: 32 }, () => Math.floor(random.next() * 16).toString(16)).join('');
  return [8, 12, 16, 20, 32].map((end, i) => hex.slice([0, 8, 12, 16, 20][i], end)).join('-');
}

/** The keys of a map, as a set that changes with it. */
function liveKeys(map: ReadonlyMap<string, unknown>): ReadonlySet<string> {
  return {
    get size() {
      return map.size;
    },
    has: (key) => map.has(key),
    forEach: (visit) => map.forEach((_, key) => visit(key, key, liveKeys(map))),
    keys: () => map.keys(),
    values: () => map.keys(),
    *entries() {
      for (const key of map.keys()) yield [key, key];
    },
    [Symbol.iterator]: () => map.keys(),
  } as ReadonlySet<string>;
}
