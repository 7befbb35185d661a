/**
 * Owns one worker thread of the pipeline from the main thread's side: its ring, what is said to it, and its life. A thread
 * that dies, or whose beat stands still for `HANG_CHECKS`
 * seconds, is ended and another is started with an empty ring; whoever uses
 * it begins the sessions anew. Bound: the ring.
 */

import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads';

import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Frame } from '#contract/readings.ts';
import { createRingMemory, createRingWriter, type FrameRingWriter } from '#pipeline/frame-ring.ts';
import type { FromMotionWorker, ToMotionWorker } from '#pipeline/worker-messages.ts';
import {
  createCounts,
  createMainSignals,
  workerCounts,
  type MainSignals,
  type WorkerCounters,
  type WorkerMemory,
} from '#pipeline/worker-signals.ts';

const CHECK_MS = 1_000;
/** Counted in checks, not in time, so that a process that was stopped as a whole suspects nobody when it goes on. */
const HANG_CHECKS = 5;
/** A thread that comes up has its modules to read first, on a machine that may be busy. */
const START_CHECKS = 60;
/** A thread that dies at once must not be started all the time. */
const RESTART_MS = 500;
/** Emptying a full ring takes about two seconds. */
const STOP_MS = 3_000;

/** What a thread is started with. */
export interface MotionWorkerData {
  readonly memory: WorkerMemory;
  readonly port: MessagePort;
}

export interface MotionThread {
  /** False: the ring is full, and the frame was not taken. Never waits. */
  write(to: { readonly session: number; readonly stream: number }, frame: Frame): boolean;
  say(message: ToMotionWorker): void;
  /** Over all its lives. */
  readonly counters: WorkerCounters;
  /** Times that it died or was ended since it hung. */
  readonly deaths: number;
  /** Works off what is in the ring, and ends. */
  stop(): Promise<void>;
}

export interface MotionThreadOptions {
  /** The module that the thread runs (app/motion-worker.ts). */
  readonly entry: URL;
  readonly ringBytes?: number | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly hear: (message: FromMotionWorker) => void;
  /** It is there again, and knows nothing. `culprit`: the session at which it was. */
  readonly reborn: (culprit: number | null, reason: string) => void;
}

interface Life {
  readonly worker: Worker;
  readonly port: MessagePort;
  readonly ring: FrameRingWriter;
  readonly signals: MainSignals;
  /** Why it was ended; null while nobody did. */
  reason: string | null;
}

export function startMotionThread(options: MotionThreadOptions): MotionThread {
  const { clock, log } = options;
  let past = zero();
  let deaths = 0;
  let isStopping = false;
  let cancelRestart = (): void => undefined;
  const gone = Promise.withResolvers<void>();
  let life = start();
  let lastBeat = life.signals.beat;
  let still = 0;
  let cancelCheck = clock.after(CHECK_MS, check);

  function start(): Life {
    const memory: WorkerMemory = { ...createRingMemory(options.ringBytes), counts: createCounts() };
    const { port1: port, port2 } = new MessageChannel();
    const data: MotionWorkerData = { memory, port: port2 };
    const worker = new Worker(options.entry, { workerData: data, transferList: [port2] });
    const signals = createMainSignals(memory);
    const started: Life = { worker, port, ring: createRingWriter(memory), signals, reason: null };
    worker.unref();
    port.unref();
    port.on('message', (message: FromMotionWorker) => {
      if (message.type === 'results') signals.taken();
      options.hear(message);
    });
    // `exit` follows, and there it is dealt with.
    worker.on('error', (error: Error) => {
      started.reason ??= error.message;
    });
    worker.on('exit', () => ended(started));
    return started;
  }

  function ended({ signals, reason, port }: Life): void {
    // What it said last may still be on its way.
    for (let said = receiveMessageOnPort(port); said !== undefined; said = receiveMessageOnPort(port))
      options.hear(said.message as FromMotionWorker);
    port.close();
    past = sumOf(past, signals.counters);
    if (isStopping) return gone.resolve();
    deaths++;
    const text = reason ?? 'it ended by itself';
    log.error('a thread of the motion pipeline died and is started again', { error: text });
    const culprit = signals.current;
    cancelRestart = clock.after(RESTART_MS, () => {
      life = start();
      still = 0;
      options.reborn(culprit, text);
    });
  }

  function check(): void {
    const { beat } = life.signals;
    still = beat === lastBeat && life.worker.threadId !== -1 ? still + 1 : 0;
    lastBeat = beat;
    if (still >= (beat === 0 ? START_CHECKS : HANG_CHECKS)) {
      life.reason = `it did not answer for ${(still * CHECK_MS) / 1_000} s`;
      still = 0;
      void life.worker.terminate();
    }
    cancelCheck = clock.after(CHECK_MS, check);
  }

  return {
    write: (to, frame) => life.ring.write(to, frame),
    say(message) {
      life.port.postMessage(message, []);
      life.signals.wake();
    },
    get counters() {
      return life.worker.threadId === -1 ? past : sumOf(past, life.signals.counters);
    },
    get deaths() {
      return deaths;
    },
    async stop() {
      isStopping = true;
      cancelRestart();
      cancelCheck();
      if (life.worker.threadId === -1) return;
      this.say({ type: 'stop' });
      const cancel = clock.after(STOP_MS, () => void life.worker.terminate());
      await gone.promise;
      cancel();
    },
  };
}

const zero = (): WorkerCounters =>
  Object.fromEntries(workerCounts.map((name) => [name, 0])) as unknown as WorkerCounters;

function sumOf(past: WorkerCounters, now: WorkerCounters): WorkerCounters {
  const sum = Object.fromEntries(workerCounts.map((name) => [name, past[name] + now[name]]));
  return { ...(sum as unknown as WorkerCounters), lagSeconds: now.lagSeconds };
}
