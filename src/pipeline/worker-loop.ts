/**
 * Owns what a worker of the pipeline does: it takes what the main thread says, empties the ring into the chains of its
 * sessions, lets them go on, and posts what they give. A chain that throws goes alone, and is told. One thread, one loop,
 * nothing asynchronous: it sleeps between steps. Bounds: frames a step, sessions a message, messages that were not taken
 * (worker-signals.ts); frames that waited for `STALE_US` are dropped and counted.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { CreateSessionMotion } from '#motion/session-motion.ts';
import type { FrameRingReader } from '#pipeline/frame-ring.ts';
import {
  createLiveSession,
  type ChainLosses,
  type LiveSession,
  type SessionResults,
} from '#pipeline/live-session.ts';
import type { FromMotionWorker, ToMotionWorker } from '#pipeline/worker-messages.ts';
import type { WorkerSignals } from '#pipeline/worker-signals.ts';

/** Readings are waited for this long, so that a wake-up serves many sessions; the eye sees 20 ms hardly. */
const STEP_MS = 20;
/** Without sessions there is only the beat. */
const IDLE_MS = 200;
/** About 20 ms of work with seven sensors a session: between them, what is said is heard. */
const FRAMES_PER_STEP = 512;
/** What would be shown later than this is worth less than catching up. */
const STALE_US = 5_000_000;
const SESSIONS_PER_MESSAGE = 64;

export interface MotionLoopOptions {
  readonly reader: FrameRingReader;
  readonly signals: WorkerSignals;
  /** What the main thread has said, oldest first; null when that was all. */
  readonly receive: () => ToMotionWorker | null;
  readonly post: (message: FromMotionWorker) => void;
  readonly create: CreateSessionMotion;
  readonly clock: Pick<Clock, 'nowUs' | 'monotonicMs'>;
  /** Time that this thread has computed, in milliseconds. */
  readonly cpuMs: () => number;
}

export interface MotionLoop {
  /** Does what there is to do, and returns how long it may sleep, in milliseconds; null: it is over. */
  step(): number | null;
}

export function createMotionLoop(options: MotionLoopOptions): MotionLoop {
  const { reader, signals, post, clock } = options;
  const sessions = new Map<number, LiveSession>();
  const lag = { sinceUs: 0, longestUs: 0, shownUs: 0 };
  let isStopping = false;

  /** Runs it as the work of this session. False: its chain threw, and is gone. */
  function guard(session: number, work: () => void): void {
    signals.at(session);
    signals.beat();
    try {
      work();
    } catch (error) {
      sessions.delete(session);
      signals.count('failures', 1);
      post({ type: 'failed', session, message: messageOf(error) });
    }
    signals.at(null);
  }

  function hear(): void {
    for (let said = options.receive(); said !== null; said = options.receive()) obey(said);
  }

  function obey(said: ToMotionWorker): void {
    switch (said.type) {
      case 'begin': {
        const { plan } = said;
        guard(plan.session, () => sessions.set(plan.session, createLiveSession(plan, options.create)));
        return;
      }
      case 'watch': {
        const session = sessions.get(said.session);
        if (session !== undefined) session.watched = said.watched;
        return;
      }
      case 'end':
        end(said.session, said.isOver);
        return;
      case 'stop':
        isStopping = true;
        return;
    }
  }

  function end(number: number, isOver: boolean): void {
    const session = sessions.get(number);
    if (session === undefined) return;
    guard(number, () => {
      if (isOver) session.finish();
      const results = isOver ? session.flush(clock.nowUs(), true) : null;
      if (results !== null) tell([results]);
    });
    sessions.delete(number);
  }

  function tell(results: readonly SessionResults[]): void {
    signals.posted();
    post({ type: 'results', results });
  }

  /** True: there may be more. */
  function empty(): boolean {
    const nowUs = clock.nowUs();
    noteLag(nowUs, 0);
    for (let i = 0; i < FRAMES_PER_STEP; i++) {
      const frame = reader.peek();
      if (frame === null) return false;
      noteLag(nowUs, nowUs - frame.arrivalUs);
      let session = sessions.get(frame.session);
      if (session === undefined) {
        hear();
        session = sessions.get(frame.session);
      }
      // Of a session that has ended, or whose chain is gone.
      if (session !== undefined) {
        if (nowUs - frame.arrivalUs > STALE_US) signals.count('stale', frame.count);
        else {
          signals.count('readings', frame.count);
          const to = session;
          guard(frame.session, () => to.frame(frame));
        }
      }
      reader.release();
    }
    return true;
  }

  function show(lagUs: number): void {
    lag.shownUs = lagUs;
    signals.set('lagSeconds', lagUs / 1e6);
  }

  /** Shows the longest wait of the last second that is over, or a longer one at once. */
  function noteLag(nowUs: number, lagUs: number): void {
    if (nowUs - lag.sinceUs >= 1e6) {
      show(lag.longestUs);
      lag.sinceUs = nowUs;
      lag.longestUs = 0;
    }
    if (lagUs <= lag.longestUs) return;
    lag.longestUs = lagUs;
    if (lagUs > lag.shownUs) show(lagUs);
  }

  function advance(isLast: boolean): void {
    const nowUs = clock.nowUs();
    let results: SessionResults[] = [];
    for (const [number, session] of sessions) {
      if (!isLast && !session.isDue(nowUs)) continue;
      guard(number, () => {
        session.advance(nowUs);
        countLosses(session.takeLosses());
        const fresh = isLast || signals.mayPost ? session.flush(nowUs, isLast) : null;
        if (fresh !== null) results.push(fresh);
      });
      if (results.length < SESSIONS_PER_MESSAGE) continue;
      tell(results);
      results = [];
    }
    if (results.length > 0) tell(results);
  }

  function countLosses({ left, gaps }: ChainLosses): void {
    signals.count('left', left);
    signals.count('gaps', gaps);
  }

  return {
    step() {
      const startedMs = clock.monotonicMs();
      const cpuBeforeMs = options.cpuMs();
      signals.beat();
      hear();
      const mayBeMore = empty();
      advance(isStopping && !mayBeMore);
      signals.count('computeSeconds', (options.cpuMs() - cpuBeforeMs) / 1_000);
      if (mayBeMore) return 0;
      if (isStopping) return null;
      return sessions.size === 0 ? IDLE_MS : Math.max(0, STEP_MS - (clock.monotonicMs() - startedMs));
    },
  };
}
