/** Owns the statements of store/erasure.ts over the modelled tables. Nothing is ever held by law here. */

import { change, see } from '#test/simulation/database/backends.ts';
import { endSession } from '#test/simulation/database/catalogue-statements.ts';
import {
  insertRow,
  lockRow,
  none,
  rowsOf,
  streamsOfSession,
  visibleStream,
  type StatementContext,
  type StatementModel,
} from '#test/simulation/database/statement-model.ts';
import type { EpochRecord, RowKind } from '#test/simulation/database/storage.ts';

const advisoryLock =
  (mode: 'share' | 'update'): StatementModel =>
  async (context, values) => {
    await lockRow(context, `advisory/erasure/${values[0] as string}`, mode);
    return none;
  };

/** The session of what is to be erased, as its organisation sees it. */
function sessionOf(context: StatementContext, id: string, kind: string): string | null {
  const session = kind === 'session' ? id : visibleStream(context, id)?.sessionId;
  if (session === undefined) return null;
  const found = see(context.transaction, context.backends.storage.sessions, session);
  return found?.orgId === context.transaction.orgId ? session : null;
}

const lockSession =
  (kind: 'session' | 'stream'): StatementModel =>
  async (context, values) => {
    const session = sessionOf(context, values[0] as string, kind);
    if (session !== null) await lockRow(context, `session/${session}`, 'update');
    return none;
  };

const markErased: StatementModel = async (context, values) => {
  const { backends, transaction } = context;
  const [id, kind] = values as [string, string];
  if (sessionOf(context, id, kind) === null || transaction.orgId === null) return none;
  const { orgId } = transaction;
  await insertRow(context, { table: backends.storage.erased, key: id }, () => ({ orgId }));
  return none;
};

const erasedState: StatementModel = (context, values) => {
  const [id, kind, orgId] = values as [string, string, string];
  const streams = kind === 'session' ? streamsOfSession(context, id).map(([stream]) => stream) : [id];
  return rowsOf({
    erased: see(context.transaction, context.backends.storage.erased, id)?.orgId === orgId,
    held: false,
    session: sessionOf(context, id, kind),
    streams: streams.filter((stream) => visibleStream(context, stream) !== undefined),
  });
};

const eraseGuard: StatementModel = async (context, values) => {
  const rows = epochsOf(context, values[0] as string[]).filter(({ hasGuard }) => hasGuard);
  for (const { streamId, epoch, rowId } of rows.toSorted((a, b) => (a.order < b.order ? -1 : 1))) {
    const key = `${streamId}/${epoch}`;
    await lockRow(context, `guard/${key}`, 'update');
    if (context.backends.storage.epochs.get(key)?.rowId === rowId)
      shrink(context, { key, row: 'guard' }, withoutGuard);
  }
  return none;
};

const withoutGuard = (row: EpochRecord): EpochRecord => ({
  ...row,
  hasGuard: false,
  committed: [],
  lost: [],
  tailLost: false,
  isDirty: false,
  hasDay: false,
  generation: 0,
});

/** The writer's tables that hold rows of streams. */
const writersTables: readonly (readonly [
  table: string,
  has: (row: EpochRecord) => boolean,
  without: (row: EpochRecord) => EpochRecord,
])[] = [
  ['stream_epoch', ({ hasGuard }) => hasGuard, withoutGuard],
  ['chunk', ({ chunks }) => chunks.length > 0, (row) => ({ ...row, chunks: [] })],
  ['loss', ({ losses }) => losses.length > 0, (row) => ({ ...row, losses: [] })],
  ['rollup', ({ rollups }) => rollups.size > 0, (row) => ({ ...row, rollups: new Map() })],
  [
    'rollup_progress',
    ({ hasProgress }) => hasProgress,
    (row) => ({ ...row, hasProgress: false, rolled: [] }),
  ],
];

/** Rows that another transaction may be making at the same time. */
const rowsOfTables: Readonly<Record<string, RowKind>> = {
  stream_epoch: 'guard',
  rollup_progress: 'progress',
};

const eraseRows = writersTables.map(([table, has, without]): readonly [string, StatementModel] => [
  `delete from kymo.${table} where ctid`,
  async (context, values) => {
    let rowCount = 0;
    for (const { streamId, epoch } of epochsOf(context, values[0] as string[]).filter(has)) {
      const key = `${streamId}/${epoch}`;
      if (table === 'stream_epoch') await lockRow(context, `guard/${key}`, 'update');
      if (table === 'rollup_progress') await lockRow(context, `progress/${key}`, 'update');
      shrink(context, { key, row: rowsOfTables[table] ?? null }, without);
      rowCount++;
    }
    return { rows: [], rowCount };
  },
]);

function epochsOf({ backends }: StatementContext, streams: readonly string[]): EpochRecord[] {
  return [...backends.storage.epochs.values()].filter(({ streamId }) => streams.includes(streamId));
}

/** Takes something from an epoch, and the epoch itself once nothing is left of it. */
function shrink(
  { backends, transaction }: StatementContext,
  { key, row }: { key: string; row: RowKind | null },
  without: (row: EpochRecord) => EpochRecord,
): void {
  change(transaction, { table: backends.storage.epochs, key, row }, (now) => {
    if (now === undefined) return undefined;
    const rest = without(now);
    return writersTables.some(([, has]) => has(rest)) ? rest : undefined;
  });
}

const removeStream: StatementModel = async (context, values) => {
  const id = values[0] as string;
  if (visibleStream(context, id) === undefined) return none;
  await lockRow(context, `stream/${id}`, 'update');
  change(context.transaction, { table: context.backends.storage.streams, key: id }, () => undefined);
  return none;
};

const endSessionOfErased: StatementModel = async (context, values) => {
  const session = values[0] as string;
  if (sessionOf(context, session, 'session') === null) return none;
  await lockRow(context, `session/${session}`, 'change');
  endSession(context, session);
  return none;
};

const removeSession: StatementModel = async (context, values) => {
  const { backends, transaction } = context;
  const session = sessionOf(context, values[0] as string, 'session');
  if (session === null) return none;
  await lockRow(context, `session/${session}`, 'update');
  for (const [id] of streamsOfSession(context, session)) {
    await lockRow(context, `stream/${id}`, 'update');
    change(transaction, { table: backends.storage.streams, key: id }, () => undefined);
  }
  change(transaction, { table: backends.storage.sessions, key: session }, () => undefined);
  return none;
};

export const erasureStatements: readonly (readonly [string, StatementModel])[] = [
  ['erasure-lock-open', advisoryLock('share')],
  ['erasure-lock-erase', advisoryLock('update')],
  ['select from kymo.session where id = $1::uuid for update', lockSession('session')],
  ['select from kymo.session where id = (select t.session_id', lockSession('stream')],
  ['insert into kymo.erased', markErased],
  ['select exists (select from kymo.erased where', erasedState],
  ['with erased as ( select stream_id, epoch from kymo.stream_epoch', eraseGuard],
  ['select c.relname as name from pg_class c', () => rowsOf(...writersTables.map(([name]) => ({ name })))],
  ...eraseRows,
  ['delete from kymo.stream where id = $1', removeStream],
  // Nobody asks for files in the modelled world.
  ['with made as ( update kymo.job', () => none],
  ['update kymo.session s set ended_at = now() where s.id = $1', endSessionOfErased],
  ['delete from kymo.clock_observation', () => none],
  ['delete from kymo.session where id = $1', removeSession],
];
