/**
 * Owns the process of one device that was offline: it records hours of readings into its file store without a server,
 * then connects and sends them all, with the device SDK as any device would. Driven by commands on standard input.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';

import { assert } from '#base/assert.ts';
import { messageOf } from '#base/errors.ts';
import { onCommand, say } from '#bench/support/control-channel.ts';
import {
  AXES,
  BENCH_AXES,
  sampleTimeUs,
  streamSeed,
  writeReadings,
} from '#bench/support/synthetic-reading.ts';
import { openDevice } from '#sdk/device-client.ts';
import type { Device } from '#sdk/device-runtime.ts';
import { fileStore } from '#sdk/file-store.ts';

export interface OfflinePlan {
  readonly type: 'plan';
  readonly storeDir: string;
  readonly maxBytes: number;
  readonly readings: number;
  readonly rateHz: number;
  readonly readingsPerFrame: number;
  readonly seed: number;
  /** Counts the streams of the run; decides the content. */
  readonly stream: number;
  readonly startUs: number;
}

export interface Recorded {
  readonly type: 'recorded';
  readonly streamId: string;
  readonly recordMs: number;
}

export interface ConnectCommand {
  readonly type: 'connect';
  readonly url: string;
  readonly key: string;
}

export interface Replayed {
  readonly type: 'replayed';
  /** From the first connection to the last acknowledgement. */
  readonly replayMs: number;
  readonly cpuS: number;
}

/** Nobody listens here: the discard port, on loopback. */
const NOWHERE = 'http://127.0.0.1:9';
const PUSHES_PER_TURN = 500;
const HOUR_MS = 3_600_000;

async function record(plan: OfflinePlan): Promise<Recorded> {
  const startedMs = performance.now();
  const store = fileStore(plan.storeDir, { maxBytes: plan.maxBytes });
  const device = await openDevice({ url: NOWHERE, key: 'offline', store });
  const stream = device.stream({
    segment: 'left-foot',
    sensor: 'imu',
    axes: [...BENCH_AXES],
    rateHz: plan.rateHz,
    synthetic: true,
    label: 'bench replay',
  });
  const words = new Uint32Array(plan.readingsPerFrame * AXES);
  const values = new Float32Array(words.buffer);
  const seed = streamSeed(plan.seed, plan.stream);
  let pushes = 0;
  for (let seq = 0; seq < plan.readings; seq += plan.readingsPerFrame) {
    const count = Math.min(plan.readingsPerFrame, plan.readings - seq);
    writeReadings(words, 0, { seed, firstSeq: seq, count });
    stream.push(values.subarray(0, count * AXES), sampleTimeUs(plan.startUs, plan.rateHz, seq));
    if (++pushes % PUSHES_PER_TURN === 0) await nextTurn();
  }
  await stream.end();
  await device.close({ drainMs: 0 });
  return { type: 'recorded', streamId: stream.definition.stream, recordMs: performance.now() - startedMs };
}

async function replay(plan: OfflinePlan, { url, key }: ConnectCommand): Promise<Replayed> {
  const store = fileStore(plan.storeDir, { maxBytes: plan.maxBytes });
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  const device: Device = await openDevice({ url, key, store });
  const isDrained = await device.drained({ timeoutMs: HOUR_MS });
  assert(isDrained, 'an hour is enough for any replay of this benchmark');
  const replayMs = performance.now() - startedMs;
  const used = process.cpuUsage(cpu);
  await device.close({ drainMs: 0 });
  return { type: 'replayed', replayMs, cpuS: (used.user + used.system) / 1e6 };
}

let plan: OfflinePlan | null = null;

onCommand((command) => {
  const work =
    command.type === 'plan'
      ? record((plan = command as OfflinePlan)).then(say)
      : replay(plan!, command as ConnectCommand).then(say);
  work.catch((error: unknown) => say({ type: 'failure', message: messageOf(error) }));
});
