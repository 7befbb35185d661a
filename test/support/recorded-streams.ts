/**
 * Owns recordings for tests of what is made from them: streams opened through the catalogue and filled through the real
 * chunk writer, frame by frame, in any order and as often as a test likes.
 */

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { randomEpoch } from '#base/uuid.ts';
import type { Frame, FrameSource, StreamHandle } from '#contract/readings.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { createCatalogue } from '#store/catalogue.ts';
import type { Pools } from '#store/pools.ts';
import { connectWriterDatabase } from '#store/postgres-writer.ts';
import { createWriter, type Writer } from '#store/writer.ts';
import { defaultWriterConfig } from '#store/writer-machine.ts';
import { streamDefinition, type Tenant } from '#test/support/tenants.ts';

/** One frame: readings from `firstSeq` on, evenly spaced, with the values of every axis. */
export interface RecordedFrame {
  readonly firstSeq: number;
  readonly firstUs: number;
  readonly periodUs: number;
  /** Arrival minus the time of the first reading. */
  readonly lagUs: number;
  /** `rows[i][axis]`; of int16 streams the packed integers. */
  readonly rows: readonly (readonly number[])[];
}

export interface RecordedStream {
  readonly definition: StreamDefinition;
  readonly handle: StreamHandle;
  /** Resolves when the frames, and losses, are committed. */
  write(frames: readonly RecordedFrame[], losses?: readonly { from: number; to: number }[]): Promise<void>;
  /** Another epoch of the stream, as after a lost device store. */
  nextEpoch(previousStoreLost?: boolean): Promise<RecordedStream>;
  end(): Promise<void>;
}

export interface Recorder {
  open(overrides?: Partial<StreamDefinition>): Promise<RecordedStream>;
  stop(): Promise<void>;
}

/** Of one organisation. Partitions must exist. */
export function createRecorder(pools: Pools, tenant: Tenant): Recorder {
  const catalogue = createCatalogue(pools);
  const writer = createWriter({
    database: connectWriterDatabase({ connectionString: pools.writerUrl, log: silentLog }),
    config: { ...defaultWriterConfig, flushIntervalMs: 1 },
    clock: systemClock,
    random: Math.random,
    log: silentLog,
  });
  const openEpoch = async (
    definition: StreamDefinition,
    previousStoreLost: boolean,
  ): Promise<RecordedStream> => {
    const request = { definition, epoch: randomEpoch(), previousStoreLost };
    const opened = await catalogue.openStream(tenant.device, request);
    if (!opened.ok) throw new Error(opened.error.message);
    const { handle } = opened.value;
    return {
      definition,
      handle,
      write: (frames, losses = []) =>
        flush(writer, handle, { frames: frames.map((frame) => packFrame(handle, frame)), losses }),
      nextEpoch: (lost = false) => openEpoch(definition, lost),
      end: async () => void (await catalogue.endStream(tenant.device, definition.stream)),
    };
  };
  return {
    open: (overrides) => openEpoch(streamDefinition(overrides), false),
    stop: () => writer.stop(),
  };
}

function flush(
  writer: Writer,
  handle: StreamHandle,
  { frames, losses }: { frames: Frame[]; losses: readonly { from: number; to: number }[] },
): Promise<void> {
  let waiting = frames;
  let waitingLosses = losses.map((loss) => ({ ...loss, reason: 'overwritten' }));
  return new Promise((resolve, reject) => {
    const source: FrameSource = {
      handle,
      claim: null,
      pendingReadings: () => waiting.reduce((sum, frame) => sum + frame.count, 0),
      take() {
        const taken = waiting;
        waiting = [];
        return taken;
      },
      takeLosses() {
        const taken = waitingLosses;
        waitingLosses = [];
        return taken;
      },
      settled: () => resolve(),
      rewind: () => reject(new Error('the writer asks again')),
      refused: (message) => reject(new Error(message)),
      unknown: () => reject(new Error('the guard has no such epoch')),
      superseded: () => reject(new Error('another connection writes')),
      outdated: () => reject(new Error('another connection wrote')),
    };
    writer.due(source);
  });
}

function packFrame(handle: StreamHandle, frame: RecordedFrame): Frame {
  const flat = frame.rows.flat();
  const packed = handle.definition.encoding === 'int16' ? Int16Array.from(flat) : Float32Array.from(flat);
  return {
    streamId: handle.definition.stream,
    epoch: handle.epoch,
    firstSeq: frame.firstSeq,
    count: frame.rows.length,
    firstUs: frame.firstUs,
    periodNs: frame.periodUs * 1000,
    deltasUs: null,
    payload: new Uint8Array(packed.buffer),
    liveOnly: false,
    historical: false,
    sentUs: frame.firstUs,
    arrivalUs: frame.firstUs + frame.lagUs,
    offsetUs: 0,
  };
}
