/**
 * Owns the live motion of this process from the main thread's side: which session is on which worker, what its chain is
 * begun with, when it is begun anew or dropped, and where results go. A frame costs a look-up and a copy into a ring, and
 * never waits. Bounds: sessions a worker, sessions that are known at all, a ring a worker; idle ones go first.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { Frame, FrameTap, StreamHandle } from '#contract/readings.ts';
import type { BodyModel } from '#motion/body-model.ts';
import { gaitEventsOf, liveAngles } from '#pipeline/live-records.ts';
import { defaultLiveMotionLimits, type LiveMotionLimits } from '#pipeline/live-motion-limits.ts';
import type { SessionResults } from '#pipeline/live-session.ts';
import type { BodyModels, MotionSink } from '#pipeline/motion-sink.ts';
import { startMotionThread, type MotionThread, type MotionThreadOptions } from '#pipeline/motion-thread.ts';
import {
  defaultModelOf,
  nobodyWatches,
  planOf,
  trackSession,
  type Phase,
  type TrackedSession,
  type TrackedStream,
} from '#pipeline/tracked-session.ts';
import { limits } from '#protocol/limits.ts';
import type { FromMotionWorker } from '#pipeline/worker-messages.ts';
import { createWorkerLoads } from '#pipeline/worker-loads.ts';
import type { WorkerCounters } from '#pipeline/worker-signals.ts';

/** As many as a device may open. */
const streamsPerSession = limits.streamsPerConnection;
/** How often it is looked who is watched, idle, or may come in. */
const LOOK_MS = 250;
const LOOKS_PER_SECOND = 1_000 / LOOK_MS;
/** Sessions that are over and whose last results may still come. */
const ENDING_SESSIONS = 256;
/** A body model that could not be asked for is asked for again. */
const ASK_AGAIN_MS = 10_000;

export interface LiveMotionOptions {
  readonly workers: number;
  readonly bodyModels: BodyModels;
  readonly sink: MotionSink;
  readonly clock: Clock;
  readonly log: Log;
  readonly thread: Pick<MotionThreadOptions, 'entry' | 'ringBytes'>;
  readonly limits?: Partial<LiveMotionLimits>;
  /** Of tests. */
  readonly startThread?: typeof startMotionThread;
}

export interface LiveMotionCounters {
  /** Readings that found their ring full. */
  dropped: number;
  /** Chains that were begun anew after they failed, or their worker did. */
  restarts: number;
  /** Sessions that were given up, or turned away since there were too many. */
  givenUp: number;
  refused: number;
  /** Sessions that were dropped: idle for long, or quiet when others needed the room. */
  idled: number;
  evicted: number;
  results: number;
}

export interface LiveMotion extends FrameTap {
  /** Somebody has changed the session's body model: its chain begins anew. */
  bodyModelChanged(orgId: string, session: string): void;
  readonly counters: Readonly<LiveMotionCounters>;
  readonly workers: { readonly counters: readonly WorkerCounters[]; readonly deaths: number };
  /** Sessions in each phase. */
  sessions(phase: Phase): number;
  /** Works off what is in the rings, and ends the workers. */
  stop(): Promise<void>;
}

interface Route {
  readonly tracked: TrackedSession;
  readonly stream: TrackedStream;
}

export function createLiveMotion(options: LiveMotionOptions): LiveMotion {
  const { bodyModels, sink, clock, log, startThread = startMotionThread } = options;
  const bounds = { ...defaultLiveMotionLimits, ...options.limits };
  const counters: LiveMotionCounters = {
    dropped: 0,
    restarts: 0,
    givenUp: 0,
    refused: 0,
    idled: 0,
    evicted: 0,
    results: 0,
  };
  const known = new Map<string, TrackedSession>();
  const running = new Map<number, TrackedSession>();
  const ending = new Map<number, TrackedSession>();
  const loads = createWorkerLoads(options.workers, bounds.sessionsPerWorker);
  /** Readings of each worker that found its ring full. */
  const ringFull = Array.from({ length: options.workers }, () => 0);
  let looks = 0;
  // Every frame asks for its route: a name would be hashed each time.
  const routes = new WeakMap<StreamHandle, Route>();
  let numbers = 0;
  let nowMs = clock.monotonicMs();
  /** When there was no room for one more, so that not every frame looks for it again. */
  let fullMs = Number.NEGATIVE_INFINITY;
  let isStopped = false;
  const threads: MotionThread[] = ringFull.map((_, worker) =>
    startThread({
      ...options.thread,
      clock,
      log,
      hear,
      reborn: (culprit, reason) => reborn(worker, culprit, reason),
    }),
  );
  let cancelLook = clock.after(LOOK_MS, look);

  function notice(tracked: TrackedSession, code: string, text: string): void {
    sink.gait(tracked, {
      event: 'notice',
      data: { timeUs: tracked.deviceUs ?? clock.nowUs(), code, segment: null, text: text.slice(0, 500) },
    });
  }

  function admit(handle: StreamHandle): Route | null {
    const { orgId, definition } = handle;
    const key = `${orgId}/${definition.session}`;
    let tracked = known.get(key);
    if (tracked === undefined) {
      if (fullMs === nowMs) return null;
      if (known.size >= bounds.knownSessions && forgetQuietest(known.values()) === null) {
        fullMs = nowMs;
        return null;
      }
      tracked = trackSession(orgId, definition.session, nowMs);
      known.set(key, tracked);
    }
    let stream = tracked.streams.get(definition.stream);
    if (stream === undefined) {
      if (tracked.streams.size >= streamsPerSession) return null;
      stream = { definition, index: -1 };
      tracked.streams.set(definition.stream, stream);
      ask(tracked, bounds.settleMs);
    }
    const route = { tracked, stream };
    routes.set(handle, route);
    return route;
  }

  /** Asks for the body model after a while, once for all that happens meanwhile, and begins the chain with it. */
  function ask(tracked: TrackedSession, afterMs: number): void {
    const asked = ++tracked.asked;
    const isCurrent = (): boolean => tracked.asked === asked && tracked.phase !== 'gone' && !isStopped;
    clock.after(afterMs, () => {
      if (!isCurrent()) return;
      bodyModels.find(tracked.orgId, tracked.session).then(
        (model) => {
          if (isCurrent()) settle(tracked, model ?? defaultModelOf(tracked));
        },
        (error: unknown) => {
          log.warn('the body model of a session could not be read', { error: messageOf(error) });
          if (!isCurrent()) return;
          if (tracked.phase === 'gathering') settle(tracked, defaultModelOf(tracked));
          ask(tracked, ASK_AGAIN_MS);
        },
      );
    });
  }

  function settle(tracked: TrackedSession, model: BodyModel): void {
    const plan = planOf(tracked, model);
    const isChange = tracked.phase === 'running';
    if (isChange && JSON.stringify(tracked.plan) === JSON.stringify(plan)) return;
    leave(tracked, false);
    tracked.plan = plan;
    if (plan.streams.length === 0) {
      giveUpPlace(tracked, 'off');
      notice(tracked, 'off', 'None of the sensors of this session is one that motion understands.');
      return;
    }
    begin(tracked);
    if (isChange) notice(tracked, 'body-model', 'The live analysis began anew with another body model.');
  }

  /** Puts the session on its worker with a chain of its own, as its plan says. */
  function begin(tracked: TrackedSession): void {
    const worker = tracked.worker ?? placeFor();
    if (worker === null) {
      if (tracked.phase !== 'refused') refuse(tracked);
      return;
    }
    if (tracked.worker === null) loads.take(worker);
    tracked.worker = worker;
    tracked.number = ++numbers;
    tracked.phase = 'running';
    tracked.watched = nobodyWatches;
    running.set(tracked.number, tracked);
    threads[worker]!.say({ type: 'begin', plan: { ...tracked.plan!, session: tracked.number } });
    watch(tracked);
  }

  /** The least loaded worker, or the one where somebody quiet made room. */
  function placeFor(): number | null {
    const place = loads.place(nowMs);
    if (place !== null || running.size < bounds.sessionsPerWorker * options.workers) return place;
    return forgetQuietest(running.values())?.worker ?? null;
  }

  function refuse(tracked: TrackedSession): void {
    counters.refused++;
    tracked.phase = 'refused';
    notice(tracked, 'refused', 'There are more sessions than this server can analyse live now.');
  }

  /** Takes the newest off a worker that cannot keep up, first those at which nobody looks. */
  function shed(worker: number, count: number): void {
    const own = [...running.values()].filter((tracked) => tracked.worker === worker);
    const newestFirst = own.toSorted(
      (a, b) => Number(a.watched.details) - Number(b.watched.details) || b.number - a.number,
    );
    for (const tracked of newestFirst.slice(0, count)) {
      leave(tracked, false);
      giveUpPlace(tracked, 'gathering');
      refuse(tracked);
    }
  }

  /** Takes the session's chain away; the session stays known, and on its worker. */
  function leave(tracked: TrackedSession, isOver: boolean): void {
    if (tracked.phase !== 'running') return;
    const { number } = tracked;
    running.delete(number);
    threads[tracked.worker!]!.say({ type: 'end', session: number, isOver });
    tracked.phase = 'gathering';
    if (!isOver) return;
    ending.set(number, tracked);
    if (ending.size > ENDING_SESSIONS) ending.delete(ending.keys().next().value!);
  }

  function giveUpPlace(tracked: TrackedSession, phase: Phase): void {
    if (tracked.worker !== null) loads.leave(tracked.worker);
    tracked.worker = null;
    tracked.phase = phase;
  }

  function forget(tracked: TrackedSession): void {
    leave(tracked, true);
    giveUpPlace(tracked, 'gone');
    known.delete(`${tracked.orgId}/${tracked.session}`);
  }

  /** Makes room, if one of these has been quiet for a while; tells where it was. */
  function forgetQuietest(among: Iterable<TrackedSession>): { readonly worker: number | null } | null {
    let quietest: TrackedSession | null = null;
    for (const one of among) if (one.heardMs < (quietest?.heardMs ?? nowMs - bounds.quietMs)) quietest = one;
    if (quietest === null) return null;
    const { worker } = quietest;
    counters.evicted++;
    forget(quietest);
    return { worker };
  }

  function watch(tracked: TrackedSession): void {
    const watched = sink.watched(tracked);
    if (watched.angles === tracked.watched.angles && watched.details === tracked.watched.details) return;
    tracked.watched = watched;
    threads[tracked.worker!]!.say({ type: 'watch', session: tracked.number, watched });
  }

  function look(): void {
    nowMs = clock.monotonicMs();
    let mayBegin = true;
    for (const tracked of known.values()) {
      if (nowMs - tracked.heardMs > bounds.idleMs) {
        counters.idled++;
        forget(tracked);
      } else if (tracked.phase === 'running') watch(tracked);
      else if (tracked.phase === 'refused' && mayBegin && nowMs - tracked.heardMs < 1_000) {
        begin(tracked);
        // One at a time, so that it shows whether there is room for it.
        mayBegin = false;
      }
    }
    if (++looks % LOOKS_PER_SECOND === 0) {
      const left = threads.map((thread, worker) => ringFull[worker]! + thread.counters.stale);
      for (const [worker, count] of loads.look(left, nowMs).entries()) if (count > 0) shed(worker, count);
    }
    cancelLook = clock.after(LOOK_MS, look);
  }

  /** Its chain is gone. It begins anew unless it fails again and again. */
  function failed(tracked: TrackedSession, reason: string): void {
    running.delete(tracked.number);
    const recent = tracked.failedMs.filter((atMs) => nowMs - atMs < bounds.failureMs);
    tracked.failedMs = [...recent, nowMs];
    log.error('the live analysis of a session failed', { session: tracked.session, error: reason });
    if (tracked.failedMs.length < bounds.failures) {
      restart(tracked);
      return;
    }
    counters.givenUp++;
    giveUpPlace(tracked, 'given-up');
    notice(tracked, 'given-up', `The live analysis failed again and again and was given up: ${reason}`);
  }

  function restart(tracked: TrackedSession): void {
    counters.restarts++;
    begin(tracked);
    notice(tracked, 'restarted', 'The live analysis failed and began anew.');
  }

  function reborn(worker: number, culprit: number | null, reason: string): void {
    const lost = [...running.values()].filter((tracked) => tracked.worker === worker);
    for (const tracked of lost) {
      const isCulprit = tracked.number === culprit;
      running.delete(tracked.number);
      if (isCulprit) failed(tracked, reason);
      else restart(tracked);
    }
  }

  function hear(message: FromMotionWorker): void {
    if (message.type === 'results') {
      for (const results of message.results) tell(results);
      return;
    }
    const tracked = running.get(message.session);
    if (tracked !== undefined) failed(tracked, message.message);
  }

  function tell(results: SessionResults): void {
    const tracked = running.get(results.session) ?? ending.get(results.session);
    if (tracked === undefined) return;
    counters.results++;
    for (const angles of liveAngles(results, clock.nowUs())) sink.angles(tracked, angles);
    for (const event of gaitEventsOf(results)) sink.gait(tracked, event);
  }

  return {
    frame(handle: StreamHandle, frame: Frame) {
      let route: Route | null | undefined = routes.get(handle);
      if (route === undefined || route.tracked.phase === 'gone') route = admit(handle);
      if (route === null) return;
      const { tracked, stream } = route;
      tracked.heardMs = nowMs;
      tracked.deviceUs = frame.firstUs;
      if (tracked.phase !== 'running' || stream.index < 0) return;
      const to = { session: tracked.number, stream: stream.index };
      if (threads[tracked.worker!]!.write(to, frame)) return;
      counters.dropped += frame.count;
      ringFull[tracked.worker!]! += frame.count;
    },
    bodyModelChanged(orgId, session) {
      const tracked = known.get(`${orgId}/${session}`);
      if (tracked === undefined) return;
      tracked.failedMs = [];
      ask(tracked, 0);
    },
    counters,
    workers: {
      get counters() {
        return threads.map((thread) => thread.counters);
      },
      get deaths() {
        return threads.reduce((sum, thread) => sum + thread.deaths, 0);
      },
    },
    sessions(phase) {
      let count = 0;
      for (const tracked of known.values()) if (tracked.phase === phase) count++;
      return count;
    },
    async stop() {
      isStopped = true;
      cancelLook();
      await Promise.all(threads.map((thread) => thread.stop()));
    },
  };
}
