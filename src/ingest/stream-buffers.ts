/**
 * Owns the buffers of all streams that are open in this process, and their opening. A buffer belongs to one (stream,
 * epoch) and one generation of its device: a newer connection gets a new one. Bound: `maxBuffers`; one that is idle and
 * that nobody listens to is removed.
 */

import type { Clock } from '#base/clock.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { DeviceIdentity, EpochProgress, StreamClaim, StreamHandle } from '#contract/readings.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { IngestBackend } from '#ingest/ingest-backend.ts';
import type { Open, OpenAnswer } from '#ingest/gateway-output.ts';
import { supersededOpening, tooManyStreams } from '#ingest/opening-error.ts';
import type { ResumeCheck } from '#ingest/resume-check.ts';
import {
  createStreamBuffer,
  type StreamBuffer,
  type StreamBufferCounters,
  type StreamObserver,
} from '#ingest/stream-buffer.ts';

/** Longer than a flush takes. Beyond, what it writes is noticed at the next flush, and the stream is opened once more. */
const RETIRE_MS = 1_000;

export interface StreamBuffers {
  readonly counters: Readonly<StreamBufferCounters>;
  readonly size: number;
  /** The largest share of one of its bounds that a buffer uses. */
  readonly fullest: number;
  /** Of how many the store has frames that it has not settled. */
  readonly taken: number;
  /** `connection` is null for a path that numbers readings in an epoch of its own. */
  open(
    identity: DeviceIdentity,
    request: Pick<Open, 'definition' | 'epoch' | 'previousStoreLost'>,
    connection: OpeningConnection | null,
  ): Promise<Result<OpenAnswer, WireError>>;
  /** Removes what is idle. */
  sweep(): void;
  /**
   * The database is another one than before. Its generations may have gone back, so those drawn before say nothing of who
   * is newer: whoever has one of now comes first.
   */
  renew(): void;
}

export interface OpeningConnection {
  readonly generation: number;
  /** May refuse the device's store, or give what the device is to compare. */
  readonly check: ResumeCheck;
}

export interface StreamBuffersOptions {
  readonly backend: Pick<IngestBackend, 'openStream'>;
  readonly clock: Clock;
  readonly maxBuffers: number;
  readonly committed: (handle: StreamHandle, progress: EpochProgress) => void;
}

export function createStreamBuffers(options: StreamBuffersOptions): StreamBuffers {
  const { backend, clock, maxBuffers } = options;
  const counters: StreamBufferCounters = { overwrittenFrames: 0, droppedLosses: 0 };
  const buffers = new Map<string, StreamBuffer>();
  const observer: StreamObserver = {
    committed: options.committed,
    dead(handle) {
      // Opened again meanwhile, the stream may have another buffer.
      if (buffers.get(handle.key)?.handle === handle) buffers.delete(handle.key);
    },
  };

  /** What an older connection has left is dropped, and its device sends it again; what is being stored is waited for. */
  async function retireOlder(
    { key }: StreamHandle,
    generation: number,
  ): Promise<'none' | 'retired' | 'newer'> {
    const known = buffers.get(key);
    if (known === undefined || known.claim === null || known.claim.generation === generation) return 'none';
    if (known.claim.generation > generation) return 'newer';
    if (known.isEmpty) return 'none';
    const waited = Promise.withResolvers<void>();
    const cancel = clock.after(RETIRE_MS, () => waited.resolve());
    await Promise.race([known.retire(), waited.promise]);
    cancel();
    return 'retired';
  }

  /** Null: too many. Made only when nothing is awaited any more before it gets its listener: an idle one is removed. */
  function bufferOf(handle: StreamHandle, claim: StreamClaim | null): StreamBuffer | null {
    const known = buffers.get(handle.key);
    const isOwn = known !== undefined && known.claim?.generation === claim?.generation;
    if (known === undefined && buffers.size >= maxBuffers) return null;
    const buffer = isOwn ? known : createStreamBuffer(handle, counters, observer);
    buffer.claim = claim;
    buffers.set(handle.key, buffer);
    return buffer;
  }

  return {
    counters,
    renew() {
      for (const buffer of buffers.values()) {
        if (buffer.claim !== null) buffer.claim = { ...buffer.claim, generation: 0 };
        buffer.listener?.renewed(buffer);
      }
    },
    get size() {
      return buffers.size;
    },
    get fullest() {
      let fullest = 0;
      for (const { fullness } of buffers.values()) fullest = Math.max(fullest, fullness);
      return fullest;
    },
    get taken() {
      let count = 0;
      for (const { isTaken } of buffers.values()) if (isTaken) count++;
      return count;
    },
    async open(identity, { definition, epoch, previousStoreLost = false }, connection) {
      if (buffers.size >= maxBuffers) return fail(tooManyStreams);
      const request = { definition, epoch, previousStoreLost };
      let found = await backend.openStream(identity, request);
      if (!found.ok) return found;
      if (connection !== null) {
        const older = await retireOlder(found.value.handle, connection.generation);
        if (older === 'newer') return fail(supersededOpening);
        // What was on its way into the database when it was asked is there now.
        if (older === 'retired') found = await backend.openStream(identity, request);
        if (!found.ok) return found;
      }
      const { handle, progress } = found.value;
      const checked = (await connection?.check(handle, progress)) ?? ok(null);
      if (!checked.ok) return checked;
      const claim = connection === null ? null : { generation: connection.generation, opened: progress };
      const buffer = bufferOf(handle, claim);
      return buffer === null ? fail(tooManyStreams) : ok({ buffer, progress, newest: checked.value });
    },
    sweep() {
      for (const [key, buffer] of buffers)
        if (buffer.listener === null && buffer.isEmpty) buffers.delete(key);
    },
  };
}
