/** Owns the modelled one of the two places (twin-place.ts). */

import type { DeviceIdentity } from '#contract/readings.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { erase } from '#store/erasure.ts';
import type { RollBounds } from '#store/rollup-plan.ts';
import { rollUp } from '#store/rollup-step.ts';
import { createBackends, databaseError, type Transaction } from '#test/simulation/database/backends.ts';
import { openChannel } from '#test/simulation/database/channel.ts';
import type { CommitFate } from '#test/simulation/database/database-types.ts';
import { createModelledPools } from '#test/simulation/database/pool-model.ts';
import { createModelledTables, dirtyEpochs, keeperSettings } from '#test/simulation/database/rollup-model.ts';
import { createStorage, type Storage } from '#test/simulation/database/storage.ts';
import {
  actors,
  chunkText,
  rollupText,
  type Actor,
  type Place,
  type Standing,
  type Stored,
  type StoredEpoch,
  type StoredIds,
  type Waiting,
} from '#test/simulation/database/twin-place.ts';
import { createWriterModel, type WriterFaults } from '#test/simulation/database/writer-model.ts';
import { createScheduler, type Process } from '#test/simulation/scheduler.ts';

/** Simulated time between two looks at who waits. */
const LOOK_MS = 2;

export interface ModelledPlace extends Place {
  readonly faults: WriterFaults;
  /**
   * A crash now: drops the newest commits, one by one and only those that may be lost, until `isAsStored`. Returns how many
   * that were; null: it never was so.
   */
  crash(isAsStored: () => Promise<boolean>): Promise<number | null>;
  /** The locks that somebody waits for, once for each who does. */
  rowsWaitedFor(): string[];
  /** Lets time pass. */
  wait(ms: number): Promise<void>;
}

export function createModelledPlace(
  seed: number,
  contents: {
    devices: readonly { identity: DeviceIdentity; generation: number }[];
    incarnation: string;
    bounds: RollBounds;
  },
): ModelledPlace {
  const scheduler = createScheduler(seed);
  const storage = createStorage(contents.incarnation);
  const backends = createBackends(scheduler, { storage, latencyMs: [0.05, 0.1] });
  const faults: WriterFaults = {
    nextCommit: null as CommitFate | null,
    partitionIsMissing: false,
    refusedStream: null,
  };
  for (const { identity, generation } of contents.devices)
    storage.devices.set(identity.deviceId, { key: identity.deviceId, identity, generation });
  const processes = new Map(actors.map((actor) => [actor, scheduler.process(actor)]));
  const processOf = (actor: Actor): Process => processes.get(actor)!;
  const pools = new Map(actors.map((actor) => [actor, createModelledPools(backends, processOf(actor))]));
  const actorOf = (transaction: unknown): Actor => (transaction as Transaction).backend.process.name as Actor;

  function standing(): Standing {
    const waiting: Waiting[] = [];
    const inTransaction: Actor[] = [];
    for (const { transaction } of backends.all()) {
      if (transaction === null) continue;
      inTransaction.push(actorOf(transaction));
      if (transaction.wait === null) continue;
      const blockers = new Set(backends.locks.blockersOf(transaction).map(actorOf));
      waiting.push({ who: actorOf(transaction), for: [...blockers].toSorted() });
    }
    return {
      waiting: waiting.toSorted((a, b) => (a.who < b.who ? -1 : 1)),
      inTransaction: inTransaction.toSorted(),
    };
  }

  return {
    faults,
    writers: {
      'writer A': createWriterModel(backends, faults, processOf('writer A')),
      'writer B': createWriterModel(backends, faults, processOf('writer B')),
    },
    catalogueOf: (actor) => createCatalogue(pools.get(actor)!),
    async generation(deviceId) {
      const [drawn] = await pools
        .get('reader')!
        .auth.run([{ name: 'next-generation', text: '', values: [deviceId] }]);
      return (drawn!.rows[0] as { generation: number; incarnation: string } | undefined) ?? null;
    },
    erase: (orgId, target) => erase(pools.get('eraser')!, orgId, target),
    async roll(actor, name) {
      const channel = await openChannel(backends, processOf(actor), keeperSettings);
      try {
        const counters = { readings: 0, rows: 0, steps: 0, lateSteps: 0 };
        const tables = createModelledTables(backends, channel);
        return await rollUp({ tables, name, bounds: contents.bounds, counters });
      } finally {
        channel.destroy();
      }
    },
    dirtyEpochs: () => Promise.resolve(dirtyEpochs(backends)),
    async look() {
      await scheduler.run(scheduler.nowMs + LOOK_MS);
      return standing();
    },
    rowsWaitedFor() {
      const waits = [...backends.all()].map(({ transaction }) => transaction?.wait?.key);
      return waits.filter((key) => key !== undefined);
    },
    async kill(actor) {
      for (const backend of backends.all())
        if (backend.process.name === actor && (actor.startsWith('writer') || backend.transaction !== null))
          backends.end(
            backend,
            databaseError('57P01', 'terminating connection due to administrator command'),
          );
      await scheduler.run(scheduler.nowMs + LOOK_MS);
    },
    stored: (ids) => Promise.resolve(readStorage(storage, ids)),
    async crash(isAsStored) {
      for (const backend of backends.all()) backends.end(backend, null);
      await scheduler.run(scheduler.nowMs + LOOK_MS);
      const uncertain = storage.uncertain(scheduler.nowMs);
      for (let lost = 0; lost <= uncertain; lost++) {
        if (await isAsStored()) return lost;
        storage.drop(1);
      }
      return null;
    },
    wait: (ms) => scheduler.run(scheduler.nowMs + ms),
  };
}

function readStorage(storage: Storage, ids: StoredIds): Stored {
  const epochs: Record<string, StoredEpoch> = {};
  const sessions: Record<string, boolean> = {};
  for (const [key, row] of storage.epochs) {
    if (!ids.streams.includes(row.streamId)) continue;
    const { committed, lost, tailLost, isDirty, hasDay, generation } = row;
    epochs[key] = {
      guard: row.hasGuard ? { committed, lost, tailLost, isDirty, hasDay, generation } : null,
      chunks: row.chunks.map(chunkText).toSorted(),
      losses: row.losses.map(({ from, to, reason }) => `${from} ${to} ${reason}`).toSorted(),
      rolled: row.hasProgress ? row.rolled : null,
      rollups: [...row.rollups.values()].map(rollupText).toSorted(),
    };
  }
  const streams = Object.fromEntries(
    [...storage.streams]
      .filter(([id]) => ids.streams.includes(id))
      .map(([id, { definition, deviceId, isEnded }]) => [id, { axes: definition.axes, deviceId, isEnded }]),
  );
  for (const id of ids.sessions) {
    const session = storage.sessions.get(id);
    if (session !== undefined) sessions[id] = session.isEnded;
  }
  const erased = [...ids.sessions, ...ids.streams].filter((id) => storage.erased.has(id));
  return { epochs, streams, sessions, erased: erased.toSorted() };
}
