/**
 * Owns the database as the fuzzed gateway sees it: who has which stream, and what of it is committed, with the product's
 * own rules for definitions and flushes. It answers at once, later, with a failure, or with a crash, as a case says, and
 * checks whatever it is handed: it must be this device's, decodable and in range.
 */

import { AppError } from '#base/errors.ts';
import { contains, covers, union, type RangeSet } from '#base/ranges.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { DeviceIdentity, EpochProgress, Frame, FrameSource, StreamHandle } from '#contract/readings.ts';
import type { IngestBackend } from '#ingest/ingest-backend.ts';
import { readingTimeUs, type WireError } from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { planStream, type StreamPlan } from '#store/flush-plan.ts';
import { checkDefinition, compareDefinition, packedBytes, type StreamRow } from '#store/stream-definition.ts';
import type { ReferenceMessage } from '#test/fuzz/gateway/reference-decoder.ts';
import { definitions, devices, erasedSession, foreignStreams, keyOf } from '#test/fuzz/gateway/universe.ts';
import { hold, type Notes } from '#test/fuzz/target.ts';

/** How the next calls are answered. */
export const answerModes = ['now', 'now', 'later', 'unavailable', 'crash', 'odd'] as const;
export type AnswerMode = (typeof answerModes)[number];

export interface EpochModel {
  progress: EpochProgress;
}

export interface BackendModel {
  readonly backend: IngestBackend;
  mode: AnswerMode;
  /** Calls whose answers are held back. */
  readonly pending: (() => void)[];
  readonly epochs: ReadonlyMap<string, EpochModel>;
  readonly revoked: Set<number>;
  readonly erasedStreams: Set<string>;
  /** Counts the databases that there were: each restore and failover is another. */
  incarnation: number;
  /** Commits what the source has, at most so many readings. */
  flush(source: FrameSource, maxReadings: number): void;
}

/** What the connections know that the backend must agree with. */
export interface Witness {
  /** The device of the connection whose message is being handled; null between messages. */
  currentDevice(): DeviceIdentity | null;
  /** The message that these bytes came in, and whose it was; null where frames come in none. */
  messageOf(
    buffer: ArrayBufferLike,
  ): null | { readonly device: DeviceIdentity; readonly message: ReferenceMessage } | undefined;
}

export function createBackendModel(witness: Witness, notes: Notes): BackendModel {
  const streams = new Map<string, StreamRow>();
  const epochs = new Map<string, EpochModel>();
  for (const i of foreignStreams) streams.set(definitions[i]!.stream, rowOf(devices[2]!, definitions[i]!));
  let generation = 0;

  async function answer<T>(value: () => T, odd: () => T): Promise<T> {
    const { mode } = model;
    if (mode === 'later') await new Promise<void>((resolve) => model.pending.push(resolve));
    if (mode === 'unavailable') throw new AppError('store-unavailable', 'inner detail', { temporary: true });
    if (mode === 'crash') throw new Error('inner detail');
    return mode === 'odd' ? odd() : value();
  }

  function isOurs(identity: DeviceIdentity): void {
    const current = witness.currentDevice();
    hold(current === null || identity === current, 'a call is made as the device that asked', {
      identity,
      current,
    });
  }

  function openStream(
    identity: DeviceIdentity,
    definition: StreamDefinition,
    epoch: string,
  ): Result<StreamHandle, WireError> {
    const valid = checkDefinition(definition);
    if (!valid.ok) return valid;
    if (definition.session === erasedSession || model.erasedStreams.has(definition.stream))
      return fail({ code: 'erased', message: 'erased' });
    const row = streams.get(definition.stream) ?? rowOf(identity, definition);
    const same = compareDefinition(row, identity, definition);
    if (!same.ok) return same;
    streams.set(definition.stream, row);
    const key = `${definition.stream}/${epoch}`;
    if (!epochs.has(key)) epochs.set(key, { progress: { committed: [], lost: [] } });
    const readingBytes = packedBytes(definition);
    return ok({ key, ...identity, epoch, definition, retentionClass: 0, readingBytes });
  }

  const model: BackendModel = {
    mode: 'now',
    incarnation: 1,
    pending: [],
    epochs,
    revoked: new Set(),
    erasedStreams: new Set(),
    backend: {
      authenticate: (key) =>
        answer(
          () => devices.find((_, i) => keyOf(i) === key && !model.revoked.has(i)) ?? null,
          () => null,
        ),
      greet: (identity) =>
        answer(
          () => ({ identity, generation: ++generation, incarnation: incarnationOf(model.incarnation) }),
          () => null,
        ),
      incarnation: () =>
        answer(
          () => incarnationOf(model.incarnation),
          () => incarnationOf(0),
        ),
      openStream(identity, { definition, epoch }) {
        isOurs(identity);
        return answer(
          () => {
            const opened = openStream(identity, definition, epoch);
            if (!opened.ok) return opened;
            return ok({ handle: opened.value, progress: epochs.get(opened.value.key)!.progress });
          },
          () => fail({ code: 'limit-exceeded', message: 'too many streams' }),
        );
      },
      checksumOf({ key }, seq) {
        hold(contains(epochs.get(key)!.progress.committed, seq), 'a checksum is asked of what is committed', {
          key,
          seq,
        });
        return answer(
          () => ({ crc32: seq % 2 ** 32, timeUs: seq % 1_000 }),
          () => null,
        );
      },
      isErased: ({ definition }) =>
        answer(
          () => model.erasedStreams.has(definition.stream),
          () => true,
        ),
      endStream: (handle) => {
        hold(epochs.has(handle.key), 'only an opened stream ends');
        return answer(
          () => undefined,
          () => undefined,
        );
      },
      recordClock(identity, { deviceUs, offsetUs, roundTripUs }) {
        isOurs(identity);
        hold(
          [deviceUs, offsetUs].every(isTime) && isTime(roundTripUs) && roundTripUs >= 0,
          'a clock is in range',
        );
      },
    },
    flush(source, maxReadings) {
      const { handle } = source;
      const epoch = epochs.get(handle.key);
      hold(epoch !== undefined, 'the store gets streams that were opened');
      const frames = source.take(maxReadings);
      for (const frame of frames) checkTaken(frame, handle, witness);
      const losses = source.takeLosses();
      for (const { from, to } of losses)
        hold(
          Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && from < to,
          'a loss is a range',
          { from, to },
        );
      const plan = planStream({ handle, progress: epoch.progress, frames, losses });
      checkPlan(plan, epoch.progress, frames);
      notePlan(plan, notes);
      epoch.progress = plan.progress;
      source.settled(plan.progress);
      if (plan.refusedFromSeq !== null) source.rewind(plan.refusedFromSeq);
    },
  };
  return model;
}

function incarnationOf(n: number): string {
  return `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
}

function rowOf({ orgId, deviceId }: DeviceIdentity, definition: StreamDefinition): StreamRow {
  const { stream, session, segment, sensor, axes, rateHz, encoding, scale = null, clock } = definition;
  return {
    id: stream,
    org_id: orgId,
    session_id: session,
    device_id: deviceId,
    segment,
    sensor,
    axes,
    rate_hz: rateHz,
    encoding,
    scale,
    clock,
    retention_class: 0,
    synthetic: definition.synthetic ?? false,
  };
}

function isTime(us: number): boolean {
  return Number.isSafeInteger(us) && Math.abs(us) < limits.timeUsExclusive;
}

/** Whatever reaches the store came in a whole message of the stream's own device, and every number in it is exact. */
function checkTaken(frame: Frame, handle: StreamHandle, witness: Witness): void {
  const { count, payload, deltasUs } = frame;
  hold(
    frame.streamId === handle.definition.stream && frame.epoch === handle.epoch,
    'a frame is of its stream',
  );
  hold(!frame.liveOnly, 'what is live-only is not stored');
  const came = witness.messageOf(payload.buffer);
  hold(came !== undefined, 'a frame came in a message');
  if (came !== null) checkOrigin(frame, handle, came);
  hold(payload.length === count * handle.readingBytes, 'a frame holds whole readings of its stream');
  hold(deltasUs === null || deltasUs.length === count * 4, 'a frame has one time a reading');
  hold(handle.definition.clock === 'device' || deltasUs === null, 'without a clock there are no times');
  for (const i of [0, count - 1])
    hold(Number.isSafeInteger(readingTimeUs(frame, i)), 'the time of a reading is exact', frame.firstUs);
}

/** It is as it was sent, by a device of the stream's own tenant. */
function checkOrigin(
  { firstSeq, count, payload }: Frame,
  handle: StreamHandle,
  came: NonNullable<ReturnType<Witness['messageOf']>>,
): void {
  hold(
    came.device.deviceId === handle.deviceId && came.device.orgId === handle.orgId,
    'a frame is of its tenant',
    handle,
  );
  const sent = came.message.frames.find(({ payloadAt }) => payloadAt === payload.byteOffset);
  hold(
    sent?.firstSeq === BigInt(firstSeq) && sent.count === count && sent.payloadBytes === payload.length,
    'a frame is as it was sent',
    { firstSeq, count, bytes: payload.length },
  );
}

function checkPlan(plan: StreamPlan, before: EpochProgress, frames: readonly Frame[]): void {
  const { committed, lost } = plan.progress;
  for (const set of [committed, lost]) {
    hold(isSet(set), 'ranges ascend and do not touch', set.slice(0, 8));
    hold(set.length <= limits.rangesPerEpoch, 'ranges are bounded');
  }
  hold(
    before.committed.every((range) => covers(committed, range)),
    'what is committed stays so',
  );
  const stored = plan.chunks.reduce((sum, { count }) => sum + count, 0);
  const taken = frames.reduce((sum, { count }) => sum + count, 0);
  hold(stored === plan.storedReadings && stored <= taken, 'chunks hold what is new');
  for (const { firstUs, lastUs, count, frames: parts } of plan.chunks) {
    hold(
      Number.isSafeInteger(firstUs) && Number.isSafeInteger(lastUs) && firstUs <= lastUs,
      'times of a chunk are exact',
    );
    hold(count === parts.reduce((sum, part) => sum + part.count, 0), 'a chunk counts its frames');
  }
}

function isSet(set: RangeSet): boolean {
  return set.every(
    ({ from, to }, i) =>
      from >= 0 && from < to && Number.isSafeInteger(to) && (i === 0 || from > set[i - 1]!.to),
  );
}

function notePlan(plan: StreamPlan, notes: Notes): void {
  if (plan.duplicateReadings > 0) notes.reached('store: duplicates');
  if (plan.declaredReadings > 0) notes.reached('store: declared');
  if (plan.refusedFromSeq !== null) notes.reached('store: too many fragments');
  if (plan.chunks.length > 1) notes.reached(`store: ${Math.min(8, plan.chunks.length)} chunks`);
  const settled = union(plan.progress.committed, plan.progress.lost);
  if (settled.length > 1)
    notes.reached(`store: ${Math.min(64, 2 ** Math.ceil(Math.log2(settled.length)))} fragments`);
}
