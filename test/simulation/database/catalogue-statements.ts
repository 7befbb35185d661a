/** Owns the statements of store/catalogue.ts and identity/identity.ts over the modelled tables. */

import { formatMultirange } from '#store/multirange.ts';
import { int8ToEpoch } from '#store/epoch.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { change, databaseError, diskFull, see } from '#test/simulation/database/backends.ts';
import { readChunks } from '#test/simulation/database/chunk-records.ts';
import {
  insertRow,
  isErased,
  lockRow,
  none,
  rowsOf,
  streamsOfSession,
  visibleStream,
  type StatementContext,
  type StatementModel,
} from '#test/simulation/database/statement-model.ts';
import { openedEpoch, type EpochRecord, type SessionRecord } from '#test/simulation/database/storage.ts';

/** Any: nothing that runs over the model asks which. */
const COMMIT_DAY = '2026-01-01';

const setOrg: StatementModel = ({ transaction }, values) => {
  transaction.orgId = values[0] as string;
  if (values[1] === true) transaction.durability = 'later';
  return none;
};

const openSession: StatementModel = async (context, values) => {
  const [session, orgId, label, isSynthetic, stream] = values as [string, string, string, boolean, string];
  if (isErased(context, orgId, session, stream)) return none;
  const row: SessionRecord = { orgId, label, isSynthetic, isEnded: false };
  await insertRow(context, { table: context.backends.storage.sessions, key: session }, () => row);
  return none;
};

const openStream: StatementModel = async (context, values) => {
  const { transaction, backends } = context;
  const { streams, sessions } = backends.storage;
  const [stream, orgId, session, deviceId] = values as [string, string, string, string];
  const found = see(transaction, sessions, session);
  if (found === undefined || found.orgId !== transaction.orgId) return none;
  if (streamsOfSession(context, session).length >= (values[11] as number)) return none;
  if (isErased(context, orgId, session, stream)) return none;
  const definition = definitionOf(values, found);
  const row = { definition, orgId, deviceId, sessionId: session, isEnded: false };
  if (!(await insertRow(context, { table: streams, key: stream }, () => row))) return none;
  if (found.isEnded) {
    await lockRow(context, `session/${session}`, 'change');
    change(transaction, { table: sessions, key: session }, (now) => now && { ...now, isEnded: false });
  }
  // The foreign key holds the session's row, and looks whether it is still there.
  await lockRow(context, `session/${session}`, 'share');
  if (see(transaction, sessions, session) === undefined)
    throw Object.assign(databaseError('23503', 'insert on table "stream" violates foreign key constraint'), {
      constraint: 'stream_session_id_fkey',
    });
  return none;
};

function definitionOf(values: readonly unknown[], session: SessionRecord): StreamDefinition {
  const [stream, , sessionId, , segment, sensor, axes, rateHz, encoding, scale, clock] = values;
  return {
    stream: stream as string,
    session: sessionId as string,
    segment: segment as string,
    sensor: sensor as string,
    axes: JSON.parse(axes as string) as StreamDefinition['axes'],
    rateHz: rateHz as number,
    encoding: encoding as StreamDefinition['encoding'],
    ...(scale === null ? {} : { scale: scale as number[] }),
    clock: clock as StreamDefinition['clock'],
    ...(session.isSynthetic ? { synthetic: true } : {}),
    ...(session.label === '' ? {} : { label: session.label }),
  };
}

const openedStream: StatementModel = (context, values) => {
  const { sessions } = context.backends.storage;
  const [id, session, orgId] = values as [string, string, string];
  const own = streamsOfSession(context, session).filter(
    ([, { orgId: of }]) => of === context.transaction.orgId,
  );
  const erased = isErased(context, orgId, session, id);
  const stream = visibleStream(context, id);
  if (stream === undefined) return rowsOf({ id: null, session_streams: own.length, erased });
  const { definition } = stream;
  return rowsOf({
    id,
    org_id: stream.orgId,
    session_id: stream.sessionId,
    device_id: stream.deviceId,
    segment: definition.segment,
    sensor: definition.sensor,
    axes: definition.axes,
    rate_hz: definition.rateHz,
    encoding: definition.encoding,
    scale: definition.scale ?? null,
    clock: definition.clock,
    retention_class: 0,
    synthetic: see(context.transaction, sessions, stream.sessionId)?.isSynthetic ?? null,
    session_streams: own.length,
    erased,
  });
};

let rowIds = 0;

const openEpoch: StatementModel = async (context, values) => {
  const { transaction, backends } = context;
  const { epochs } = backends.storage;
  const [streamId, epochInt8, orgId, previousStoreLost, maxEpochs, session] = values as [
    string,
    bigint,
    string,
    boolean,
    number,
    string,
  ];
  const epoch = int8ToEpoch(epochInt8);
  const key = `${streamId}/${epoch}`;
  // What the statement sees is what was there when it began, whatever it waits for.
  const before: EpochRecord[] = [];
  for (const record of epochs.values())
    if (record.streamId === streamId && record.hasGuard) before.push(record);
  const erased = isErased(context, orgId, session, streamId);
  let found = before.find((record) => record.epoch === epoch);
  if (found === undefined && before.length < maxEpochs && !erased) {
    const place = { table: epochs, key, row: 'guard', has: ({ hasGuard }: EpochRecord) => hasGuard } as const;
    const name = { streamId, epoch, orgId };
    const id = { rowId: rowIds++, openedAtMs: transaction.startedMs };
    if (await insertRow(context, place, (left) => openedEpoch(name, { ...id, left })))
      found = openedEpoch(name, { ...id, left: undefined });
  }
  if (found !== undefined && previousStoreLost) await closeOlder(context, { before, opened: found });
  if (found === undefined && !erased) return none;
  return rowsOf({
    committed: found === undefined ? null : formatMultirange(found.committed),
    lost: found === undefined ? null : formatMultirange(found.lost),
    first_commit_day: found?.hasDay === true ? COMMIT_DAY : null,
    erased,
  });
};

/** Older epochs of a stream get a tail of unknown length, under lock. */
async function closeOlder(
  context: StatementContext,
  { before, opened }: { before: readonly EpochRecord[]; opened: EpochRecord },
): Promise<void> {
  const { transaction, backends } = context;
  const { epochs } = backends.storage;
  const older = before
    .filter((one) => one.epoch !== opened.epoch && one.openedAtMs < opened.openedAtMs && !one.tailLost)
    .toSorted((a, b) => (a.order < b.order ? -1 : 1));
  for (const { streamId, epoch, rowId } of older) {
    const key = `${streamId}/${epoch}`;
    await lockRow(context, `guard/${key}`, 'update');
    const now = epochs.get(key);
    if (now?.hasGuard !== true || now.rowId !== rowId || now.tailLost) continue;
    change(transaction, { table: epochs, key, row: 'guard' }, (row) => row && { ...row, tailLost: true });
  }
}

const erasedQuestion: StatementModel = (context, values) => {
  const [orgId, session, stream] = values as [string, string, string];
  return rowsOf({ erased: isErased(context, orgId, session, stream) });
};

const storedChunks: StatementModel = ({ transaction, backends }, values) => {
  const [streamId, epoch, fromSeq, toSeq, fromUs, toUs, limit, maxReadings] = values as [
    string,
    bigint,
    ...number[],
  ];
  const record = backends.storage.epochs.get(`${streamId}/${int8ToEpoch(epoch)}`);
  if (record === undefined || record.orgId !== transaction.orgId) return none;
  const range = { fromSeq: fromSeq!, toSeq: toSeq!, fromUs: fromUs!, toUs: toUs! };
  return rowsOf(
    ...readChunks(record, range, { limit: limit!, maxReadings: maxReadings! }).map((chunk) => ({
      stream_id: streamId,
      first_seq: chunk.firstSeq,
      first_us: chunk.firstUs,
      last_us: chunk.lastUs,
      n: chunk.n,
      segments: chunk.segments,
      deltas: chunk.deltas,
      data: chunk.data,
      block: null,
    })),
  );
};

/** The key itself stands where the product has its hash. */
const deviceByKey: StatementModel = ({ backends }, values) => {
  for (const { key, identity } of backends.storage.devices.values())
    if (key === values[0]) return rowsOf({ id: identity.deviceId, org_id: identity.orgId });
  return none;
};

const nextGeneration: StatementModel = async (context, values) => {
  const { transaction, backends } = context;
  const { devices } = backends.storage;
  const id = values[0] as string;
  if (!devices.has(id)) return none;
  await lockRow(context, `device/${id}`, 'change');
  if (backends.isDiskFull) throw diskFull();
  change(
    transaction,
    { table: devices, key: id },
    (now) => now && { ...now, generation: Math.max(now.generation + 1, Math.ceil(backends.scheduler.nowMs)) },
  );
  const device = see(transaction, devices, id);
  return rowsOf({ generation: device?.generation, incarnation: backends.storage.incarnation });
};

const lockSessionOfStream: StatementModel = async (context, values) => {
  const stream = ownStream(context, values);
  if (stream !== undefined) await lockRow(context, `session/${stream.sessionId}`, 'update');
  return none;
};

const endStream: StatementModel = async (context, values) => {
  const id = values[0] as string;
  if (ownStream(context, values)?.isEnded !== false) return none;
  await lockRow(context, `stream/${id}`, 'change');
  if (context.backends.isDiskFull) throw diskFull();
  change(
    context.transaction,
    { table: context.backends.storage.streams, key: id },
    (now) => now && { ...now, isEnded: true },
  );
  return none;
};

const endSessionOfStream: StatementModel = (context, values) => {
  const stream = ownStream(context, values);
  if (stream !== undefined) endSession(context, stream.sessionId);
  return none;
};

function ownStream(context: StatementContext, [id, deviceId]: readonly unknown[]) {
  const stream = visibleStream(context, id as string);
  return stream?.deviceId === deviceId ? stream : undefined;
}

/** A session ends with its last stream. Its row is locked. */
export function endSession(context: StatementContext, sessionId: string): void {
  if (streamsOfSession(context, sessionId).some(([, { isEnded }]) => !isEnded)) return;
  const { sessions } = context.backends.storage;
  change(context.transaction, { table: sessions, key: sessionId }, (now) => now && { ...now, isEnded: true });
}

export const catalogueStatements: readonly (readonly [string, StatementModel])[] = [
  ['set-org', setOrg],
  ['open-session', openSession],
  ['open-stream', openStream],
  ['opened-stream', openedStream],
  ['open-epoch', openEpoch],
  ['is-erased', erasedQuestion],
  ['stored-chunks', storedChunks],
  ['device-by-key', deviceByKey],
  ['next-generation', nextGeneration],
  ['incarnation', ({ backends }) => rowsOf({ incarnation: backends.storage.incarnation })],
  ['select 1 from kymo.session where id = (select session_id from kymo.stream', lockSessionOfStream],
  ['update kymo.stream set ended_at = now()', endStream],
  ['update kymo.session s set ended_at = now() where s.id = (select session_id', endSessionOfStream],
];
