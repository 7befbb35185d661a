/**
 * Owns how much each worker has, and may take: sessions up to a bound, and none while it cannot keep up. A worker that
 * leaves readings out for `BEHIND_MS` sheds a tenth of its sessions, again each second until it keeps up, so that the rest
 * is analysed as it should be rather than all of it with holes.
 */

/** A burst, a collection of garbage or a start of many sessions is over by then. */
const BEHIND_MS = 3_000;
const SHED_SHARE = 0.1;
/** Nobody is taken for so long after the last reading that was left out. */
const CALM_MS = 30_000;

export interface WorkerLoads {
  /** The least loaded worker that may take one more, or null. */
  place(nowMs: number): number | null;
  take(worker: number): void;
  leave(worker: number): void;
  /** Once a second: `left` readings were left out by each worker since the beginning. How many sessions each sheds. */
  look(left: readonly number[], nowMs: number): readonly number[];
}

export function createWorkerLoads(workers: number, sessionsPerWorker: number): WorkerLoads {
  const all = Array.from({ length: workers }, () => ({
    sessions: 0,
    left: 0,
    /** When the losses began that have not ended; null when there are none. */
    behindMs: null as number | null,
    lostMs: Number.NEGATIVE_INFINITY,
  }));
  return {
    place(nowMs) {
      let best: number | null = null;
      for (const [worker, { sessions, lostMs }] of all.entries()) {
        if (sessions >= sessionsPerWorker || nowMs - lostMs < CALM_MS) continue;
        if (best === null || sessions < all[best]!.sessions) best = worker;
      }
      return best;
    },
    take: (worker) => void all[worker]!.sessions++,
    leave: (worker) => void all[worker]!.sessions--,
    look: (left, nowMs) =>
      all.map((one, worker) => {
        const lost = left[worker]! - one.left;
        one.left = left[worker]!;
        if (lost <= 0) {
          one.behindMs = null;
          return 0;
        }
        one.lostMs = nowMs;
        one.behindMs ??= nowMs;
        return nowMs - one.behindMs >= BEHIND_MS ? Math.ceil(one.sessions * SHED_SHARE) : 0;
      }),
  };
}
