/**
 * Owns the roll-up keeper of one server process over the modelled database: the product's own steps
 * (#store/rollup-step.ts), and what their statements do to the modelled tables (#store/rollup-statements.ts).
 */

import { subtract, type RangeSet } from '#base/ranges.ts';
import type { RollBounds } from '#store/rollup-plan.ts';
import { rowName } from '#store/rollup-levels.ts';
import type { RollupRow } from '#store/rollup-rows.ts';
import { rollUp, type RollupTables, type RollOutcome } from '#store/rollup-step.ts';
import type { EpochName, LockedProgress } from '#store/rollup-statements.ts';
import {
  change,
  databaseError,
  diskFull,
  see,
  type Backends,
  type BackendSettings,
} from '#test/simulation/database/backends.ts';
import { openChannel, type Channel } from '#test/simulation/database/channel.ts';
import { readChunks } from '#test/simulation/database/chunk-records.ts';
import { insertRow, lockRow, type StatementContext } from '#test/simulation/database/statement-model.ts';
import type { EpochRecord, RowKind } from '#test/simulation/database/storage.ts';
import type { Process } from '#test/simulation/scheduler.ts';

/** As store/rollup-keeper.ts sets them. */
export const keeperSettings: BackendSettings = {
  role: 'kymo_writer',
  connectMs: 5_000,
  lockMs: 2_000,
  statementMs: Infinity,
  idleInTransactionMs: 5_000,
  durability: 'later',
};

/** So few that histories take several steps; the product's bounds are larger by a thousand. */
const bounds: RollBounds = { readings: 500, rows: 16 };

/** One pass over all epochs that are dirty when it begins. */
export async function rollUpAll(backends: Backends, process: Process): Promise<void> {
  const channel = await openChannel(backends, process, keeperSettings);
  try {
    const tables = createModelledTables(backends, channel);
    const names = await channel.request(() => dirtyEpochs(backends));
    const counters = { readings: 0, rows: 0, steps: 0, lateSteps: 0 };
    for (const name of names)
      for (let outcome: RollOutcome = 'more'; outcome === 'more';)
        outcome = await rollUp({ tables, name, bounds, counters });
  } finally {
    channel.destroy();
  }
}

export function dirtyEpochs({ storage }: Backends): EpochName[] {
  const dirty = [...storage.epochs.values()].filter(({ hasGuard, isDirty }) => hasGuard && isDirty);
  return dirty.map(({ streamId, epoch }) => ({ streamId, epoch }));
}

export function createModelledTables(backends: Backends, channel: Channel): RollupTables {
  const { epochs } = backends.storage;
  const send = <T>(work: (context: StatementContext) => T | Promise<T>): Promise<T> =>
    channel.request(() => {
      const { transaction } = channel.backend;
      // Each would be a transaction of its own, which the keeper never wants.
      if (transaction === null) throw databaseError('25P01', 'there is no transaction in progress');
      if (transaction.isAborted) throw databaseError('25P02', 'current transaction is aborted');
      return work({ backends, transaction });
    });
  const putWith = (
    { transaction }: StatementContext,
    place: { key: string; row: RowKind | null },
    apply: (row: EpochRecord) => EpochRecord,
  ): void => {
    if (backends.isDiskFull) throw diskFull();
    change(transaction, { table: epochs, ...place }, (row) => row && apply(row));
  };
  return {
    async begin() {
      await channel.request(() => void backends.begin(channel.backend));
    },
    open: (name) => send((context) => openProgress(context, name)),
    lock: (name) => send((context) => lockProgress(context, name)),
    chunks: ({ fromUs = -Infinity, toUs = Infinity, maxReadings = Infinity, ...range }, limit) =>
      send(() => {
        const record = epochs.get(keyOf(range));
        return record === undefined
          ? []
          : readChunks(record, { ...range, fromUs, toUs }, { limit, maxReadings });
      }),
    rows: (name, keys) =>
      send(({ transaction }) => {
        const rollups = see(transaction, epochs, keyOf(name))?.rollups;
        return keys.flatMap((key) => {
          const row = rollups?.get(rowName(key));
          return row === undefined ? [] : [copyOf(row)];
        });
      }),
    store: (name, _orgId, rows) =>
      send((context) =>
        putWith(context, { key: keyOf(name), row: null }, (row) => {
          const rollups = new Map(row.rollups);
          for (const rollup of rows) rollups.set(rowName(rollup), rollup);
          return { ...row, rollups };
        }),
      ),
    advance: (name, rolled) =>
      send((context) =>
        putWith(context, { key: keyOf(name), row: 'progress' }, (row) => ({ ...row, rolled })),
      ),
    clear: (name, rolled) =>
      send(async (context) => {
        const before = epochs.get(keyOf(name));
        if (before?.hasGuard !== true) return false;
        await lockRow(context, `guard/${keyOf(name)}`, 'change');
        const now = epochs.get(keyOf(name));
        if (now?.hasGuard !== true || now.rowId !== before.rowId) return false;
        putWith(context, { key: keyOf(name), row: 'guard' }, (row) => ({
          ...row,
          isDirty: differ(row.committed, rolled),
        }));
        return true;
      }),
    async commit() {
      await channel.request(() => void backends.commit(channel.backend));
    },
    async rollback() {
      await channel.request(() => backends.rollback(channel.backend));
    },
  };
}

const keyOf = ({ streamId, epoch }: EpochName): string => `${streamId}/${epoch}`;

async function openProgress(context: StatementContext, name: EpochName): Promise<void> {
  const { epochs } = context.backends.storage;
  const key = keyOf(name);
  const before = epochs.get(key);
  if (before?.hasGuard !== true) return;
  const place = { table: epochs, key, row: 'progress', has: (one: EpochRecord) => one.hasProgress } as const;
  await insertRow(context, place, (row) => row && { ...row, hasProgress: true });
}

function lockProgress(context: StatementContext, name: EpochName): LockedProgress | null {
  const { transaction, backends } = context;
  const key = keyOf(name);
  const record = see(transaction, backends.storage.epochs, key);
  const stream = backends.storage.streams.get(name.streamId);
  if (record?.hasProgress !== true || !record.hasGuard || stream === undefined) return null;
  if (!backends.locks.tryAcquire(transaction, `progress/${key}`, 'update')) return null;
  const { axes, encoding, scale, rateHz } = stream.definition;
  return {
    orgId: record.orgId,
    rolled: record.rolled,
    committed: record.committed,
    axisCount: axes.length,
    encoding,
    scale: scale ?? null,
    rateHz,
  };
}

function differ(a: RangeSet, b: RangeSet): boolean {
  return subtract(a, b).length > 0 || subtract(b, a).length > 0;
}

/** The step changes the rows that it reads. */
function copyOf(row: RollupRow): RollupRow {
  return {
    ...row,
    counts: row.counts.slice(),
    lags: row.lags.slice(),
    finites: row.finites.slice(),
    mins: row.mins.slice(),
    maxs: row.maxs.slice(),
    sums: row.sums.slice(),
  };
}
