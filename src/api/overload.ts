/**
 * Owns when the server has too much to do: an event loop that has run late for a while, or callers who wait long for a
 * database connection. Then people are sent away at once with 503 and Retry-After, so that those who are let in are
 * answered in time; devices, whose readings cannot be asked for again so easily, are the last to be.
 */

import type { FastifyInstance } from 'fastify';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';

export const overloadLimits = {
  sampleMs: 500,
  /** So many samples in a row: one that is late may be a compiled page or a collected heap. */
  lateSamples: 3,
  /** Mean lateness of timers in a sample: an answer takes some of the loop's turns, and is worth little after seconds. */
  people: { lateMs: 500, waitMs: 500 },
  /** Half of what a caller may wait for a connection (store/pools.ts). */
  devices: { lateMs: 2_000, waitMs: 4_000 },
} as const;

export type Served = 'all' | 'devices' | 'none';

export interface Overload {
  /** Who is served now. */
  readonly served: Served;
  readonly counters: { readonly people: number; readonly devices: number };
  /** Mean lateness of the last sample. */
  readonly lateMs: number;
  /** Counts who is sent away. */
  shed(who: 'people' | 'devices'): void;
  stop(): void;
}

export interface OverloadParts {
  /** Mean lateness of timers since the last call, in milliseconds. */
  readonly sampleLateMs: () => number;
  /** How long the caller who waits longest for a database connection has waited; 0: nobody waits. */
  readonly longestWaitMs: () => number;
  readonly clock: Clock;
}

export function watchOverload({ sampleLateMs, longestWaitMs, clock }: OverloadParts): Overload {
  const counters = { people: 0, devices: 0 };
  const late = { people: 0, devices: 0 };
  let lateMs = 0;
  let cancel = clock.after(overloadLimits.sampleMs, sample);

  function sample(): void {
    lateMs = sampleLateMs();
    for (const who of ['people', 'devices'] as const)
      late[who] = lateMs > overloadLimits[who].lateMs ? late[who] + 1 : 0;
    cancel = clock.after(overloadLimits.sampleMs, sample);
  }

  // The wait is asked for at each request: a pool fills in milliseconds.
  const isTooMuch = (who: 'people' | 'devices', waitMs: number): boolean =>
    late[who] >= overloadLimits.lateSamples || waitMs > overloadLimits[who].waitMs;

  return {
    get served() {
      const waitMs = longestWaitMs();
      if (isTooMuch('devices', waitMs)) return 'none';
      return isTooMuch('people', waitMs) ? 'devices' : 'all';
    },
    counters,
    get lateMs() {
      return lateMs;
    },
    shed(who) {
      counters[who]++;
    },
    stop: () => cancel(),
  };
}

/** Sends requests away before anything of them is looked at. Health, metrics and what is public are answered always. */
export function shedRequests(app: FastifyInstance, overload: Overload): void {
  app.addHook('onRequest', async (request) => {
    const { access } = request.routeOptions.config;
    if (access === undefined || access === 'public') return;
    const { served } = overload;
    const who = access === 'device' ? 'devices' : 'people';
    if (served === 'all' || (served === 'devices' && who === 'devices')) return;
    overload.shed(who);
    throw new AppError('overloaded', 'the server has too much to do; try again soon', { temporary: true });
  });
}
