/** Owns the description of the machine that a figure was taken on, and the clock that all its processes share. */

import os from 'node:os';

/** More than enough for one that nothing interrupts. */
const CLOCK_READINGS = 50;

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
  const offsetMs = monotonicOffsetMs();
  return () => Math.round(baseUs + (offsetMs + performance.now()) * 1000);
}

/**
 * What `performance.now()` lacks to the machine's monotonic clock, which is the same in every process. Between reading
 * one and the other a busy machine may do something else for milliseconds, so the closest of several readings counts.
 */
function monotonicOffsetMs(): number {
  let offsetMs = 0;
  let closestNs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < CLOCK_READINGS; i++) {
    const before = process.hrtime.bigint();
    const nowMs = performance.now();
    const widthNs = Number(process.hrtime.bigint() - before);
    if (widthNs >= closestNs) continue;
    closestNs = widthNs;
    offsetMs = (Number(before) + widthNs / 2) / 1e6 - nowMs;
  }
  return offsetMs;
}

/** The base for createSharedClock: what the monotonic clock lacks to the wall clock now. */
export function sharedClockBaseUs(): number {
  return Date.now() * 1000 - Math.round(Number(process.hrtime.bigint()) / 1000);
}
