/**
 * Owns simulated time: one queue of events for the whole world, run in the order of (time, asking), each in a turn of the
 * event loop of its own, so that every promise it settles has been heard before the next. Nothing waits for real time, and
 * nothing but the seed decides. Events belong to a process: those of a dead one are dropped, those of a stopped one wait.
 */

import { assert } from '#base/assert.ts';
import type { Clock } from '#base/clock.ts';
import { seededRandom, type Random } from '#base/random.ts';

/** A process of the simulated world, as kill(2) sees it. */
export interface Process {
  readonly name: string;
  readonly isAlive: boolean;
  readonly isStopped: boolean;
  /** SIGKILL: nothing of it happens any more. */
  kill(): void;
  /** SIGSTOP and SIGCONT: what becomes due meanwhile happens at once afterwards, in order. */
  stop(): void;
  resume(): void;
}

export interface Scheduler {
  readonly nowMs: number;
  /** For everything that is left to chance. */
  readonly random: Random;
  /** Events that have run. */
  readonly events: number;
  process(name: string): Process;
  /** Runs `action` after `delayMs`, as part of `owner` (null: of the world itself); the returned function cancels. */
  after(delayMs: number, owner: Process | null, action: () => void): () => void;
  /** Runs what is due until `untilMs`; rejects with what an action threw. Ends early once `isOver` says so. */
  run(untilMs: number, isOver?: () => boolean): Promise<void>;
}

/** The clock of one machine. */
export interface SimulatedClock extends Clock {
  /** Moves its wall clock. */
  jump(byMs: number): void;
  /** From now on its clocks run faster by so much. */
  setDrift(partsPerMillion: number): void;
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly owner: ProcessState | null;
  readonly action: () => void;
  isCancelled: boolean;
}

interface ProcessState extends Process {
  isAlive: boolean;
  isStopped: boolean;
  /** What became due while it was stopped. */
  waiting: Event[];
}

/** Turns asked of the event loop at once: asking for each alone would cost a system call an event. */
const TURNS = 64;

export function createScheduler(seed: number): Scheduler {
  const random = seededRandom(seed);
  const heap: Event[] = [];
  let asked = 0;

  function after(delayMs: number, owner: Process | null, action: () => void): () => void {
    assert(delayMs >= 0, 'nothing happens before now');
    const event: Event = {
      atMs: scheduler.nowMs + delayMs,
      order: asked++,
      owner: owner as ProcessState | null,
      action,
      isCancelled: false,
    };
    push(heap, event);
    return () => {
      event.isCancelled = true;
    };
  }

  function takeTurn(event: Event): void {
    const { owner } = event;
    scheduler.nowMs = Math.max(scheduler.nowMs, event.atMs);
    if (event.isCancelled || owner?.isAlive === false) return;
    if (owner?.isStopped === true) {
      owner.waiting.push(event);
      return;
    }
    scheduler.events++;
    event.action();
  }

  // Plain fields: V8 keeps literals with getters as slow dictionaries, and these are read in every event.
  const scheduler: { -readonly [K in keyof Scheduler]: Scheduler[K] } = {
    nowMs: 0,
    random,
    events: 0,
    after,
    process(name) {
      const state: ProcessState = {
        name,
        isAlive: true,
        isStopped: false,
        waiting: [],
        kill() {
          state.isAlive = false;
          state.waiting = [];
        },
        stop() {
          state.isStopped = true;
        },
        resume() {
          if (!state.isStopped) return;
          state.isStopped = false;
          for (const { action, isCancelled } of state.waiting) if (!isCancelled) after(0, state, action);
          state.waiting = [];
        },
      };
      return state;
    },
    run: (untilMs, isOver = () => false) =>
      new Promise((resolve, reject) => {
        let isDone = false;
        const turn = (): void => {
          if (isDone) return;
          const next = heap[0];
          if (next === undefined || next.atMs > untilMs || isOver()) {
            isDone = true;
            if (next === undefined || next.atMs > untilMs)
              scheduler.nowMs = Math.max(scheduler.nowMs, untilMs);
            resolve();
            return;
          }
          pop(heap);
          try {
            takeTurn(next);
          } catch (thrown) {
            isDone = true;
            reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
          }
        };
        const turns = (): void => {
          if (isDone) return;
          for (let i = 0; i < TURNS; i++) setImmediate(turn);
          setImmediate(turns);
        };
        turns();
      }),
  };
  return scheduler;
}

/** The clock of a machine whose wall clock shows `wallUs` now. Timers belong to the process that `owner` names then. */
export function createSimulatedClock(
  scheduler: Scheduler,
  wallUs: number,
  owner: () => Process | null,
): SimulatedClock {
  let rate = 1;
  /** Where the clocks stood when the rate last changed. */
  let since = { trueMs: scheduler.nowMs, ownMs: scheduler.nowMs };
  let wallOffsetUs = wallUs - scheduler.nowMs * 1000;
  const ownMs = (): number => since.ownMs + (scheduler.nowMs - since.trueMs) * rate;
  return {
    nowUs: () => Math.round(ownMs() * 1000 + wallOffsetUs),
    monotonicMs: ownMs,
    // A little late, so that who was woken finds, in spite of rounding, that the time has come.
    after: (delayMs, callback) => scheduler.after(Math.max(0, delayMs / rate) + 1e-6, owner(), callback),
    jump(byMs) {
      wallOffsetUs += byMs * 1000;
    },
    setDrift(partsPerMillion) {
      since = { trueMs: scheduler.nowMs, ownMs: ownMs() };
      rate = 1 + partsPerMillion / 1e6;
    },
  };
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** A binary heap (Williams 1964): the next event is first. */
function push(heap: Event[], event: Event): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(event, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): void {
  const last = heap.pop()!;
  if (heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = at * 2 + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
}
