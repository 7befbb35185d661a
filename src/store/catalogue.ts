/**
 * Owns the opening and ending of sessions and streams. Opening is idempotent: it makes what is absent, and compares
 * what exists with what the device says; a stream's definition never changes. Another organisation's ids look the same
 * as a mismatch without detail. An opening costs two round trips: one as the application, one as the writer.
 */

import { fail, ok, type Result } from '#base/result.ts';
import type { DeviceIdentity, EpochProgress, ReadingChecksum, StreamHandle } from '#contract/readings.ts';
import { crc32 } from '#protocol/crc32.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import type { Appended } from '#protocol/publication.ts';
import { decodeTimes } from '#store/chunk-codec.ts';
import { appendedOf, type AppendedRow } from '#store/channel-log.ts';
import { chunkStatement, unpackChunks } from '#store/chunk-reader.ts';
import { epochToInt8 } from '#store/epoch.ts';
import { erasedSql, erasureLock } from '#store/erasure.ts';
import { parseMultirange } from '#store/multirange.ts';
import { enqueueStatements, type NewJob } from '#store/job-queue.ts';
import { runAsOrg, type Pools, type Statement } from '#store/pools.ts';
import { checkDefinition, compareDefinition, packedBytes, type StreamRow } from '#store/stream-definition.ts';

export interface OpenedStream {
  readonly handle: StreamHandle;
  readonly progress: EpochProgress;
  /** Server day (UTC, `2026-01-31`) of this epoch's first commit; null while nothing is committed. */
  readonly firstCommitDay: string | null;
  /** Whether this opening made the session, or began one that was planned. */
  readonly isNewSession: boolean;
  /** Of a planned session that this began. */
  readonly patientId: string | null;
}

/** A session that just ended: where that stands in its channel, and whose recording it is. */
export interface EndedSession {
  readonly appended: Appended;
  readonly patientId: string | null;
}

export interface OpenOptions {
  /** The device's older epochs of this stream are closed with a tail of unknown length. */
  readonly previousStoreLost?: boolean;
}

/** What is said, and in which durable channel, when a session ends; and what is to be done then. */
export interface SessionEndMessage {
  readonly channel: string;
  readonly payload: Uint8Array;
  readonly job: NewJob;
  /** For webhooks: a `webhookStatements`. */
  readonly event: Statement;
}

/** One (stream, epoch) of the caller's organisation. */
export interface EpochKey {
  readonly streamId: string;
  readonly epoch: string;
}

/** All methods may throw AppError `store-unavailable` or `overloaded`: the same call may succeed later. */
export interface Catalogue {
  /**
   * Errors: `invalid-field` and `stream-mismatch` name the field (a mismatch without one: the ids are not this
   * organisation's); `limit-exceeded`: too many streams in the session, or epochs of the stream; `erased`.
   */
  openStream(
    identity: DeviceIdentity,
    request: { definition: StreamDefinition; epoch: string } & OpenOptions,
  ): Promise<Result<OpenedStream, WireError>>;
  /** Of a committed reading, for the checks on resume; null when it is not stored (any more). */
  checksumOf(identity: DeviceIdentity, key: EpochKey, seq: number): Promise<ReadingChecksum | null>;
  /** Whether the stream or its session was erased: what is still held of it anywhere is to be dropped. */
  isErased(
    identity: DeviceIdentity,
    definition: Pick<StreamDefinition, 'stream' | 'session'>,
  ): Promise<boolean>;
  /**
   * The recording of this stream is over. The session ends with its last stream. Idempotent. When this call ends the
   * session, `told` is appended to its channel and its job enqueued in the same transaction, and the place in the channel
   * returned; else null.
   */
  endStream(
    identity: DeviceIdentity,
    streamId: string,
    told?: SessionEndMessage,
  ): Promise<EndedSession | null>;
}

export const catalogueLimits = {
  /** What one message tells of a session's progress (contract/live-messages.ts), and what its page shows. */
  streamsPerSession: 256,
  /** A device draws a new epoch when its store was lost: a stream with more than these is a device gone wrong. */
  epochsPerStream: 1024,
} as const;

/** An epoch's row that another connection is making at this moment is seen by the second attempt. */
const epochAttempts = 2;

export function createCatalogue(pools: Pick<Pools, 'app' | 'writer'>): Catalogue {
  const openEpoch = async (
    row: StreamRow,
    epoch: string,
    previousStoreLost: boolean,
  ): Promise<EpochRow | 'erased' | null> => {
    for (let attempt = 1; attempt <= epochAttempts; attempt++) {
      const results = await pools.writer.run([
        erasureLock(row.session_id, 'open'),
        openEpochStatement(row, epoch, previousStoreLost),
      ]);
      const found = results[1]?.rows[0] as (EpochRow & { readonly erased: boolean }) | undefined;
      if (found !== undefined) return found.erased ? 'erased' : found;
    }
    return null;
  };

  return {
    async openStream(identity, { definition, epoch, previousStoreLost = false }) {
      const valid = checkDefinition(definition);
      if (!valid.ok) return valid;
      const statements = openStatements(identity, definition);
      // The write-ahead log is one sequence: a chunk's commit, which does wait for the disk, makes the rows of its
      // stream durable too, and nothing was acknowledged before it. So opening need not wait for the disk.
      const opening = { statements, mode: 'change', durability: 'later' } as const;
      const results = await runAsOrg(pools.app, identity.orgId, opening);
      const { row, isSessionFull, erased } = readOpened(results.at(-1)?.rows[0] as OpenedRow | undefined);
      if (erased) return ERASED;
      if (row === null)
        return isSessionFull
          ? exceeded(`a session has at most ${catalogueLimits.streamsPerSession} streams`)
          : fail({ code: 'stream-mismatch', message: 'these ids are in use' });
      const same = compareDefinition(row, identity, definition);
      if (!same.ok) return same;
      const found = await openEpoch(row, epoch, previousStoreLost);
      if (found === 'erased') return ERASED;
      if (found === null) return exceeded(`a stream has at most ${catalogueLimits.epochsPerStream} epochs`);
      const begun = results[1]?.rows[0] as { readonly patient_id: string | null } | undefined;
      const isNewSession = results[0]?.rowCount === 1 || begun !== undefined;
      const patientId = begun?.patient_id ?? null;
      return ok({ ...openedStream(row, found, { identity, definition, epoch }), isNewSession, patientId });
    },
    async checksumOf(identity, key, seq) {
      const [result] = await runAsOrg(pools.app, identity.orgId, {
        statements: [chunkStatement({ ...key, fromSeq: seq, toSeq: seq + 1 }, 1)],
        mode: 'snapshot',
      });
      const [chunk] = unpackChunks(result?.rows ?? []);
      if (chunk === undefined) return null;
      const readingBytes = chunk.data.length / chunk.n;
      const i = seq - chunk.firstSeq;
      const packed = chunk.data.subarray(i * readingBytes, (i + 1) * readingBytes);
      return { crc32: crc32(packed), timeUs: decodeTimes(chunk)[i]! };
    },
    async isErased(identity, { stream, session }) {
      const statement = {
        name: 'is-erased',
        text: `select ${erasedSql('$1', '$2', '$3')} as erased`,
        values: [identity.orgId, session, stream],
      };
      const work = { statements: [statement], mode: 'snapshot' } as const;
      const [result] = await runAsOrg(pools.app, identity.orgId, work);
      return (result!.rows[0] as { erased: boolean }).erased;
    },
    async endStream(identity, streamId, told) {
      const statements = endStatements(identity, streamId, told);
      const results = await runAsOrg(pools.app, identity.orgId, { statements, mode: 'change' });
      return endedOf(results.at(-1)!.rows);
    },
  };
}

/** The stream's row, or nulls; and how many streams its session has. */
type OpenedRow = (StreamRow | { readonly id: null }) & {
  readonly session_streams: number;
  readonly erased: boolean;
};

const ERASED: Result<never, WireError> = fail({
  code: 'erased',
  message: 'the stream or its session was erased',
});

function readOpened(opened: OpenedRow | undefined): {
  row: StreamRow | null;
  isSessionFull: boolean;
  erased: boolean;
} {
  if (opened === undefined) return { row: null, isSessionFull: false, erased: false };
  return {
    erased: opened.erased,
    row: opened.id === null ? null : opened,
    isSessionFull: opened.session_streams >= catalogueLimits.streamsPerSession,
  };
}

function exceeded(message: string): Result<never, WireError> {
  return fail({ code: 'limit-exceeded', message });
}

interface EpochRow {
  readonly committed: string;
  readonly lost: string;
  readonly first_commit_day: string | null;
}

function openedStream(
  row: StreamRow,
  found: EpochRow,
  request: { identity: DeviceIdentity; definition: StreamDefinition; epoch: string },
): Omit<OpenedStream, 'isNewSession' | 'patientId'> {
  const { identity, definition, epoch } = request;
  return {
    handle: {
      key: `${definition.stream}/${epoch}`,
      orgId: identity.orgId,
      deviceId: identity.deviceId,
      epoch,
      definition,
      readingBytes: packedBytes(definition),
      retentionClass: row.retention_class,
    },
    progress: { committed: parseMultirange(found.committed), lost: parseMultirange(found.lost) },
    firstCommitDay: found.first_commit_day,
  };
}

// Each statement sees what was committed before it began, so a session or stream that another connection makes at the
// same moment is waited for by the insert and seen by the next. The stream is made only in a session that this
// organisation can see: the foreign key alone would accept any.
function openStatements(identity: DeviceIdentity, definition: StreamDefinition): Statement[] {
  const { stream, session, segment, sensor, axes, rateHz, encoding, scale, clock } = definition;
  return [
    {
      name: 'open-session',
      text: `insert into kymo.session (id, org_id, label, synthetic)
        select $1, $2, $3, $4 where not ${erasedSql('$2', '$1', '$5')} on conflict do nothing`,
      values: [session, identity.orgId, definition.label ?? '', definition.synthetic ?? false, stream],
    },
    {
      // A new stream begins a planned session, and makes an ended one go on; what was signed off has ended for good. A plan
      // says neither whether a recording is synthetic nor, mostly, its label. A row is returned when this began the session.
      name: 'open-stream',
      text: `with made as (
          insert into kymo.stream
            (id, org_id, session_id, device_id, segment, sensor, axes, rate_hz, encoding, scale, clock, retention_class)
          select $1, $2, s.id, $4, $5, $6, $7, $8, $9, $10, $11,
                 (select o.retention_class from kymo.organisation o where o.id = $2)
            from kymo.session s
           where s.id = $3 and (select count(*) from kymo.stream t where t.session_id = $3) < $12
             and not ${erasedSql('$2', '$3', '$1')}
          on conflict do nothing returning session_id),
        begun as (
          update kymo.session s
             set ended_at = null, is_planned = false,
                 started_at = case when s.is_planned then now() else s.started_at end,
                 synthetic = case when s.is_planned then $13 else s.synthetic end,
                 label = case when s.is_planned and s.label = '' then $14 else s.label end
            from made
           where s.id = made.session_id and (s.is_planned or (s.ended_at is not null and s.sealed_at is null))
          returning s.started_at, s.patient_id)
        select patient_id from begun where started_at = now()`,
      values: [
        stream,
        identity.orgId,
        session,
        identity.deviceId,
        segment,
        sensor,
        JSON.stringify(axes),
        rateHz,
        encoding,
        scale ?? null,
        clock,
        catalogueLimits.streamsPerSession,
        definition.synthetic ?? false,
        definition.label ?? '',
      ],
    },
    {
      name: 'opened-stream',
      text: `select t.id, t.org_id, t.session_id, t.device_id, t.segment, t.sensor, t.axes, t.rate_hz, t.encoding,
          t.scale, t.clock, t.retention_class, s.synthetic,
          (select count(*) from kymo.stream o where o.session_id = $2) as session_streams,
          ${erasedSql('$3', '$2', '$1')} as erased
        from (values (1)) one
        left join kymo.stream t on t.id = $1
        left join kymo.session s on s.id = t.session_id`,
      values: [stream, session, identity.orgId],
    },
  ];
}

// The lock makes the question whether the session was erased and the making of the guard's row one: erasing takes the
// same lock after it has said so. A row that is there is not tried to be made: that would wait for a flush that has
// changed it. Older epochs are locked in the guard's order, so that a flush and this never wait for each other.
function openEpochStatement(row: StreamRow, epoch: string, previousStoreLost: boolean): Statement {
  return {
    name: 'open-epoch',
    text: `with made as (
        insert into kymo.stream_epoch (stream_id, epoch, org_id) select $1, $2, $3
         where (select count(*) from kymo.stream_epoch where stream_id = $1) < $5
           and not exists (select from kymo.stream_epoch where stream_id = $1 and epoch = $2)
           and not ${erasedSql('$3', '$6', '$1')}
        on conflict do nothing returning committed, lost, first_commit_day, opened_at),
      this as (
        select * from made union all
        select committed, lost, first_commit_day, opened_at from kymo.stream_epoch where stream_id = $1 and epoch = $2),
      older as (
        select e.stream_id, e.epoch from kymo.stream_epoch e, this
         where $4 and e.stream_id = $1 and e.epoch <> $2 and e.opened_at < this.opened_at and not e.tail_lost
         order by e.stream_id, e.epoch for update of e),
      closed as (
        update kymo.stream_epoch e set tail_lost = true, is_uncovered = true from older
         where e.stream_id = older.stream_id and e.epoch = older.epoch)
      select this.committed::text, this.lost::text, this.first_commit_day::text, state.erased
        from (select ${erasedSql('$3', '$6', '$1')} as erased) state left join this on true
       where state.erased or this.committed is not null`,
    values: [
      row.id,
      epochToInt8(epoch),
      row.org_id,
      previousStoreLost,
      catalogueLimits.epochsPerStream,
      row.session_id,
    ],
  };
}

// The session's row is locked first, so that of two streams that end at once the second sees the first.
function endStatements(
  identity: DeviceIdentity,
  streamId: string,
  told: SessionEndMessage | undefined,
): Statement[] {
  const values = [streamId, identity.deviceId];
  const ofStream = '(select session_id from kymo.stream where id = $1 and device_id = $2)';
  const endSession = `update kymo.session s set ended_at = now() where s.id = ${ofStream} and s.ended_at is null
    and not exists (select 1 from kymo.stream t where t.session_id = s.id and t.ended_at is null)`;
  return [
    { text: `select 1 from kymo.session where id = ${ofStream} for update`, values },
    {
      text: `update kymo.stream set ended_at = now() where id = $1 and device_id = $2 and ended_at is null`,
      values,
    },
    told === undefined ? { text: endSession, values } : tellingStatement({ text: endSession, values }, told),
  ];
}

/**
 * `ending`, an update of kymo.session as `s`, which tells of it and enqueues its job when it ends one. For a transaction in
 * which this comes last; `endedOf` reads its rows.
 */
export function tellingStatement(
  ending: Required<Omit<Statement, 'name'>>,
  told: SessionEndMessage,
): Statement {
  const [enqueue] = enqueueStatements(told.job);
  const at = (i: number): string => `$${ending.values.length + i}`;
  // Its third value is the patient, whom the session's row knows.
  const [eventId, type, , payload, job, options] = told.event.values ?? [];
  return {
    text: `with ended as (${ending.text} returning s.org_id, s.patient_id)
      select a.*, ended.patient_id from ended
       cross join lateral kymo.append_to_channel(ended.org_id, ${at(1)}, ${at(2)}, null) a
       cross join lateral kymo.enqueue(${at(3)}, ${at(4)}, ${at(5)}::jsonb, ${at(6)}::jsonb) j
       cross join lateral kymo.tell_webhooks(${at(7)}, ${at(8)}, ended.patient_id, ${at(9)}, ${at(10)}, ${at(11)}::jsonb) w`,
    values: [
      ...ending.values,
      told.channel,
      Buffer.from(told.payload),
      ...(enqueue!.values ?? []),
      eventId,
      type,
      payload,
      job,
      options,
    ],
  };
}

/** Null: it ended none. */
export function endedOf(rows: readonly unknown[]): EndedSession | null {
  const found = rows as readonly (AppendedRow & { readonly patient_id: string | null })[];
  return found.length === 0 ? null : { appended: appendedOf(found), patientId: found[0]!.patient_id };
}
