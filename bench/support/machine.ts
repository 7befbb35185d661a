/** Owns the description of the machine that a figure was taken on, and the clock that all its processes share. */

import os from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
  /** Runnable processes of the last minute when the run began: above 0.5 others were using the machine. */
  readonly loadBefore: number;
}

export function describeMachine(): Machine {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    cores: cpus.length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    loadBefore: Math.round((os.loadavg()[0] ?? 0) * 100) / 100,
  };
}

/**
 * Microseconds since 1970 on a clock that every process of one run shares: the machine's monotonic clock plus a base
 * that the benchmark draws once. Two processes' wall clocks, read through `performance`, drift apart over a run.
 */
export function createSharedClock(baseUs: number): () => number {
  const offsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();
  return () => Math.round(baseUs + (offsetMs + performance.now()) * 1000);
}

/** The base for createSharedClock: what the monotonic clock lacks to the wall clock now. */
export function sharedClockBaseUs(): number {
  return Date.now() * 1000 - Math.round(Number(process.hrtime.bigint()) / 1000);
}
