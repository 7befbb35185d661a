/**
 * Owns the running of the worker loop as a thread: its memory, its port and its sleep. It returns when the main thread has
 * told it to stop, and never gives the event loop a turn before.
 */

import { receiveMessageOnPort, workerData } from 'node:worker_threads';

import { systemClock } from '#base/clock.ts';
import type { CreateSessionMotion } from '#motion/session-motion.ts';
import { createRingReader } from '#pipeline/frame-ring.ts';
import type { MotionWorkerData } from '#pipeline/motion-thread.ts';
import { createMotionLoop } from '#pipeline/worker-loop.ts';
import type { ToMotionWorker } from '#pipeline/worker-messages.ts';
import { createWorkerSignals } from '#pipeline/worker-signals.ts';

export function runMotionThread(create: CreateSessionMotion): void {
  const { memory, port } = workerData as MotionWorkerData;
  const signals = createWorkerSignals(memory);
  const loop = createMotionLoop({
    reader: createRingReader(memory),
    signals,
    receive: () => (receiveMessageOnPort(port)?.message as ToMotionWorker | undefined) ?? null,
    post: (message) => port.postMessage(message, []),
    create,
    clock: systemClock,
    cpuMs: threadCpuMs,
  });
  for (let restMs = loop.step(); restMs !== null; restMs = loop.step()) if (restMs > 0) signals.sleep(restMs);
  port.close();
}

/** Of the whole thread: compiling and collecting garbage count, waiting for a core does not. */
function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
