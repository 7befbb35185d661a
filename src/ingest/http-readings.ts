/**
 * Owns readings that come by HTTP, for curl and programs without a device store. The server numbers them itself, under
 * an epoch of its own, and answers after COMMIT. Without numbers of its own a client that repeats a request after a
 * time-out stores its readings twice: what must be exactly once uses the SDK. Bounds: `MAX_STREAMS` streams, the one
 * longest unused goes first; `STREAM_BYTES` and `STREAM_REQUESTS` of a stream that wait for their commit, so that its
 * buffer never has to drop any.
 */

import { LRUCache } from 'lru-cache';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { contains } from '#base/ranges.ts';
import { randomEpoch, uuidv7 } from '#base/uuid.ts';
import type { DeviceIdentity, Frame } from '#contract/readings.ts';
import type { ReadingsAccepted, ReadingsRequest } from '#contract/rest.ts';
import { frameBytes } from '#protocol/data-codec.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import type { StoreSink } from '#contract/readings.ts';
import type { SpotCredit } from '#ingest/credit.ts';
import type { Gateway } from '#ingest/gateway.ts';
import { bufferLimits, type StreamBuffer } from '#ingest/stream-buffer.ts';

const MAX_STREAMS = 10_000;
/** Half of what the buffer keeps of either. */
const STREAM_BYTES = bufferLimits.ringBytes / 2;
const STREAM_REQUESTS = bufferLimits.ringFrames / 2;
/** A pause this long starts a new session. */
const SESSION_IDLE_MS = 10 * 60_000;
/** Longer than a database restart takes; after it the client hears that nothing was acknowledged. */
const COMMIT_TIMEOUT_MS = 5_000;
/** A database that has just changed may go away once more. */
const DECLARE_AGAIN_MS = 1_000;
/** Explicit times are 32-bit microseconds after the first. */
const MAX_SPAN_US = 2 ** 32 - 1;

interface HttpStream {
  readonly session: string;
  readonly epoch: string;
  readonly buffer: StreamBuffer;
  readonly credit: SpotCredit;
  /** Requests that wait for their commit: from their first reading to their last. */
  readonly waiting: Set<{ from: number; seq: number; done: (error: AppError | null) => void }>;
  nextSeq: number;
  /** Out of the cache: the buffer goes with the last that waits. */
  isForgotten: boolean;
}

export type SubmitReadings = (
  identity: DeviceIdentity,
  request: ReadingsRequest,
) => Promise<ReadingsAccepted>;

export function createHttpReadings(options: {
  gateway: Gateway;
  store: Pick<StoreSink, 'due'>;
  clock: Clock;
}): SubmitReadings {
  const { gateway, store, clock } = options;
  const cacheOptions = {
    max: MAX_STREAMS,
    ttl: SESSION_IDLE_MS,
    updateAgeOnGet: true,
    // Expiry follows the injected clock, read every time. lru-cache takes a start of 0 for "never expires".
    perf: { now: () => clock.monotonicMs() + 1 },
    ttlResolution: 0,
  };
  const sessions = new LRUCache<string, string>(cacheOptions);
  const streams = new LRUCache<string, Promise<HttpStream>>({
    ...cacheOptions,
    dispose: (opening) => void opening.then(forget, () => undefined),
  });

  function streamFor(identity: DeviceIdentity, request: ReadingsRequest): Promise<HttpStream> {
    const axes = axesOf(request);
    const clockKind = request.readings.every((reading) => reading.timeUs !== undefined) ? 'device' : 'none';
    const sensor = request.sensor ?? 'http';
    const key = JSON.stringify([
      identity.deviceId,
      request.segment,
      sensor,
      axes,
      request.rateHz ?? 1,
      clockKind,
    ]);
    const known = streams.get(key);
    if (known !== undefined) return known;
    const openIn = (session: string): Promise<HttpStream> => {
      sessions.set(identity.deviceId, session);
      return open(identity, key, {
        stream: uuidv7(clock),
        session,
        segment: request.segment,
        sensor,
        axes,
        rateHz: request.rateHz ?? 1,
        encoding: 'float32',
        clock: clockKind,
      });
    };
    const opening = openIn(sessions.get(identity.deviceId) ?? uuidv7(clock)).catch((error: unknown) => {
      // The session was erased: the readings belong to a new one.
      if (error instanceof AppError && error.code === 'erased') return openIn(uuidv7(clock));
      throw error;
    });
    streams.set(key, opening);
    opening.catch(() => streams.delete(key));
    return opening;
  }

  async function open(
    identity: DeviceIdentity,
    key: string,
    definition: StreamDefinition,
  ): Promise<HttpStream> {
    const epoch = randomEpoch();
    const answer = await gateway.openBuffer(identity, { definition, epoch });
    if (!answer.ok)
      throw new AppError(
        answer.error.code,
        answer.error.message,
        answer.error.field === undefined ? {} : { field: answer.error.field },
      );
    const { buffer } = answer.value;
    const stream: HttpStream = {
      session: definition.session,
      epoch,
      buffer,
      credit: gateway.createSpotCredit(STREAM_BYTES),
      waiting: new Set(),
      nextSeq: 0,
      isForgotten: false,
    };
    const { waiting } = stream;
    buffer.listener = {
      settled: (_, progress) => {
        for (const waiter of waiting) if (contains(progress.committed, waiter.seq)) waiter.done(null);
      },
      rewind: () => fail('overloaded', 'the server could not keep these readings; send them again'),
      refused: (_, message) => {
        streams.delete(key);
        fail('stream-refused', message);
      },
      unknown: () => {
        streams.delete(key);
        fail('overloaded', 'the database lost this stream; send the readings again');
      },
      // Nobody else knows the epoch, so nobody else writes in it.
      superseded: () => undefined,
      outdated: () => undefined,
      renewed() {
        const to = Math.min(stream.nextSeq, ...[...waiting].map(({ from }) => from));
        if (to > 0) void declareMissing(identity, { definition, epoch }, to);
      },
    };
    const fail = (code: string, message: string): void => {
      for (const waiter of waiting)
        waiter.done(new AppError(code, message, { temporary: code === 'overloaded' }));
    };
    return stream;
  }

  /**
   * Nobody has what was answered and is missing from another database: it is declared, and what is stored wins over that.
   * The stream is opened first, since it may be missing as well; again and again until the database could be asked.
   */
  async function declareMissing(
    identity: DeviceIdentity,
    opened: { definition: StreamDefinition; epoch: string },
    to: number,
  ): Promise<void> {
    try {
      const answer = await gateway.openBuffer(identity, opened);
      if (!answer.ok) return;
      answer.value.buffer.declareLost({ from: 0, to, reason: 'server-restored' });
      store.due(answer.value.buffer);
    } catch {
      clock.after(DECLARE_AGAIN_MS, () => void declareMissing(identity, opened, to));
    }
  }

  return async (identity, request) => {
    const times = timesOf(request);
    checkValues(request);
    const stream = await streamFor(identity, request);
    const { buffer, credit } = stream;
    const count = request.readings.length;
    const frame = frameOf(request, { times, buffer, firstSeq: stream.nextSeq, nowUs: clock.nowUs() });
    if (stream.waiting.size >= STREAM_REQUESTS || !credit.take(frameBytes(frame)))
      throw new AppError('overloaded', 'too many readings of this stream wait to be stored', {
        temporary: true,
      });
    stream.nextSeq += count;
    const committed = committedOf(stream, frame);
    buffer.push(frame, credit);
    store.due(buffer);
    gateway.live.frame(buffer.handle, frame);
    await committed;
    const { session, epoch } = stream;
    return { session, stream: buffer.handle.definition.stream, epoch, firstSeq: frame.firstSeq, count };
  };

  function committedOf(stream: HttpStream, { firstSeq, count }: Frame): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter = {
        from: firstSeq,
        seq: firstSeq + count - 1,
        done(error: AppError | null): void {
          cancel();
          stream.waiting.delete(waiter);
          releaseIfIdle(stream);
          if (error === null) resolve();
          else reject(error);
        },
      };
      const cancel = clock.after(COMMIT_TIMEOUT_MS, () =>
        waiter.done(
          new AppError(
            'store-unavailable',
            'the database did not commit in time; the readings may still be stored later',
            {
              temporary: true,
            },
          ),
        ),
      );
      stream.waiting.add(waiter);
    });
  }
}

function forget(stream: HttpStream): void {
  stream.isForgotten = true;
  releaseIfIdle(stream);
}

/** An idle buffer without a listener is removed by the gateway. */
function releaseIfIdle({ isForgotten, waiting, buffer }: HttpStream): void {
  if (isForgotten && waiting.size === 0) buffer.listener = null;
}

function axesOf(request: ReadingsRequest): { name: string; unit: string }[] {
  const names = Object.keys(request.readings[0]!.values);
  for (const [i, reading] of request.readings.entries()) {
    const own = Object.keys(reading.values);
    if (own.length !== names.length || names.some((name) => !Object.hasOwn(reading.values, name)))
      throw new AppError('invalid-field', 'all readings of a request have the same axes', {
        field: `/readings/${i}/values`,
      });
  }
  const units = request.units ?? {};
  return names.map((name) => ({ name, unit: Object.hasOwn(units, name) ? units[name]! : '1' }));
}

/** What JSON can say and float32 cannot. */
function checkValues({ readings }: ReadingsRequest): void {
  for (const [i, { values }] of readings.entries())
    for (const [name, value] of Object.entries(values))
      if (!Number.isFinite(Math.fround(value)))
        throw new AppError('invalid-field', 'a value is at most 3.4028235e38 in size (float32)', {
          // A JSON pointer (RFC 6901).
          field: `/readings/${i}/values/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`,
        });
}

/** Device times, or null when the request has none. */
function timesOf(request: ReadingsRequest): number[] | null {
  const given = request.readings.flatMap((reading) => (reading.timeUs === undefined ? [] : [reading.timeUs]));
  if (given.length === 0) return null;
  if (given.length !== request.readings.length)
    throw new AppError('invalid-field', 'either all readings have a timeUs or none', { field: '/readings' });
  const first = given[0]!;
  for (const [i, timeUs] of given.entries())
    if (timeUs < (given[i - 1] ?? first) || timeUs - first > MAX_SPAN_US)
      throw new AppError('invalid-field', 'times rise and span at most 71 minutes', {
        field: `/readings/${i}/timeUs`,
      });
  return given;
}

function frameOf(
  request: ReadingsRequest,
  at: { times: number[] | null; buffer: StreamBuffer; firstSeq: number; nowUs: number },
): Frame {
  const { axes, stream } = at.buffer.handle.definition;
  const { readings } = request;
  const payload = new Uint8Array(readings.length * axes.length * 4);
  const view = new DataView(payload.buffer);
  let offset = 0;
  for (const { values } of readings)
    for (const { name } of axes) {
      view.setFloat32(offset, values[name]!, true);
      offset += 4;
    }
  const firstUs = at.times?.[0] ?? at.nowUs;
  return {
    streamId: stream,
    epoch: at.buffer.handle.epoch,
    firstSeq: at.firstSeq,
    count: readings.length,
    firstUs,
    periodNs: Math.min(0xffffffff, Math.round(1e9 / (request.rateHz ?? 1))),
    deltasUs: at.times === null ? null : deltasOf(at.times, firstUs),
    payload,
    liveOnly: false,
    historical: false,
    sentUs: at.nowUs,
    arrivalUs: at.nowUs,
    offsetUs: 0,
  };
}

function deltasOf(times: number[], firstUs: number): Uint8Array {
  const bytes = new Uint8Array(times.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [i, timeUs] of times.entries()) view.setUint32(i * 4, timeUs - firstUs, true);
  return bytes;
}
