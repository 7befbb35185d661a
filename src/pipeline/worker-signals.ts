/**
 * Owns the few numbers that a worker and the main thread share beside the ring: that the worker is alive, which session it
 * is at, how many of its messages were taken, and what it counted. Each is written by one side only.
 */

import { firstFreeControlWord, type RingMemory } from '#pipeline/frame-ring.ts';

const BEAT = firstFreeControlWord;
const CURRENT = firstFreeControlWord + 1;
const POSTED = firstFreeControlWord + 2;
/** By the main thread, on a line of its own. */
const TAKEN = firstFreeControlWord + 16;
const WAKE = firstFreeControlWord + 17;

/** Messages with results on their way to the main thread; while there are so many, chains keep theirs. */
const POSTED_MESSAGES = 8;

export const workerCounts = [
  /** Readings given to chains. */
  'readings',
  /** Readings that had waited too long when the worker came to them. */
  'stale',
  /** Readings that chains left out: late, or more than they hold. */
  'left',
  'gaps',
  /** Times that a chain threw. */
  'failures',
  'computeSeconds',
  /** How long readings had waited at most within the last second: a state, no count. */
  'lagSeconds',
] as const;
export type WorkerCount = (typeof workerCounts)[number];
export type WorkerCounters = Readonly<Record<WorkerCount, number>>;

export interface WorkerMemory extends RingMemory {
  readonly counts: SharedArrayBuffer;
}

export const createCounts = (): SharedArrayBuffer => new SharedArrayBuffer(workerCounts.length * 8);

/** As the main thread sees them. */
export interface MainSignals {
  /** Changes as long as the worker is alive. */
  readonly beat: number;
  /** The session at which the worker is, or null. */
  readonly current: number | null;
  taken(): void;
  wake(): void;
  readonly counters: WorkerCounters;
}

export function createMainSignals({ shared, counts }: WorkerMemory): MainSignals {
  const control = new Int32Array(shared, 0, firstFreeControlWord + 32);
  const values = new Float64Array(counts);
  return {
    get beat() {
      return Atomics.load(control, BEAT);
    },
    get current() {
      const current = Atomics.load(control, CURRENT);
      return current === 0 ? null : current;
    },
    taken: () => void Atomics.add(control, TAKEN, 1),
    wake() {
      Atomics.add(control, WAKE, 1);
      Atomics.notify(control, WAKE);
    },
    get counters() {
      return Object.fromEntries(workerCounts.map((name, i) => [name, values[i]!])) as WorkerCounters;
    },
  };
}

/** As the worker sees them. */
export interface WorkerSignals {
  beat(): void;
  /** Says at which session the worker is, for the case that it never comes back from it. */
  at(session: number | null): void;
  readonly mayPost: boolean;
  posted(): void;
  count(name: WorkerCount, by: number): void;
  set(name: WorkerCount, value: number): void;
  /** Returns after so many milliseconds, or as soon as somebody wakes it. Blocks the thread. */
  sleep(ms: number): void;
}

export function createWorkerSignals({ shared, counts }: WorkerMemory): WorkerSignals {
  const control = new Int32Array(shared, 0, firstFreeControlWord + 32);
  const values = new Float64Array(counts);
  const placeOf = new Map(workerCounts.map((name, i) => [name, i]));
  let woken = Atomics.load(control, WAKE);
  return {
    beat: () => void Atomics.add(control, BEAT, 1),
    at: (session) => void Atomics.store(control, CURRENT, session ?? 0),
    get mayPost() {
      return Atomics.load(control, POSTED) - Atomics.load(control, TAKEN) < POSTED_MESSAGES;
    },
    posted: () => void Atomics.add(control, POSTED, 1),
    count(name, by) {
      values[placeOf.get(name)!]! += by;
    },
    set(name, value) {
      values[placeOf.get(name)!] = value;
    },
    sleep(ms) {
      Atomics.wait(control, WAKE, woken, ms);
      woken = Atomics.load(control, WAKE);
    },
  };
}
