/** Owns the limits and the watch on overload of a running server, with what they measure and their metrics. */

import { monitorEventLoopDelay } from 'node:perf_hooks';

import { watchOverload, type Overload } from '#api/overload.ts';
import { createRequestLimits, limitKinds, type RequestLimits } from '#api/request-limits.ts';
import type { Clock } from '#base/clock.ts';
import type { Pools } from '#store/pools.ts';
import type { OpenedCarriers } from '#app/carriers.ts';
import type { Config } from '#app/config.ts';
import type { Lifecycle } from '#app/lifecycle.ts';
import type { Namers } from '#app/metrics.ts';

/** Timers are looked at so often; a loop that is on time shows this as its delay. */
const RESOLUTION_MS = 20;

export interface RequestGuards {
  readonly limits: RequestLimits;
  readonly overload: Overload;
}

export function startRequestGuards(options: {
  readonly config: Config;
  readonly carriers: Pick<OpenedCarriers, 'redis'>;
  readonly pools: Pick<Pools, 'app' | 'auth'>;
  readonly clock: Clock;
  readonly lifecycle: Lifecycle;
}): RequestGuards {
  const { config, carriers, pools, clock, lifecycle } = options;
  const limits = createRequestLimits({
    numbers: {
      address: config['limit-address'],
      user: config['limit-user'],
      device: config['limit-device'],
      organisation: config['limit-organisation'],
    },
    clock,
    shared: carriers.redis?.counts ?? null,
  });
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  const overload = watchOverload({
    sampleLateMs() {
      // Without a turn in between there is nothing to take a mean of.
      const meanMs = Number.isNaN(delay.mean) ? 0 : delay.mean / 1e6;
      delay.reset();
      return Math.max(0, meanMs - RESOLUTION_MS);
    },
    longestWaitMs: () => Math.max(pools.app.stats.longestWaitMs, pools.auth.stats.longestWaitMs),
    clock,
  });
  lifecycle.add('limits', () => {
    limits.stop();
    overload.stop();
    delay.disable();
  });
  return { limits, overload };
}

export function addGuardMetrics(
  { counter, gauge }: Namers,
  { guards, pools }: { readonly guards: RequestGuards; readonly pools: Pools },
): void {
  const { limits, overload } = guards;
  gauge(
    'kymo_event_loop_delay_seconds',
    'mean lateness of timers in the last half second',
    () => overload.lateMs / 1000,
  );
  gauge(
    'kymo_pool_waiting',
    'callers that wait for a database connection',
    () => pools.app.stats.waiting + pools.auth.stats.waiting,
  );
  gauge(
    'kymo_pool_longest_wait_seconds',
    'how long the caller has waited who waits longest',
    () => Math.max(pools.app.stats.longestWaitMs, pools.auth.stats.longestWaitMs) / 1000,
  );
  counter(
    'kymo_shed_requests_total',
    'requests and sockets sent away for overload',
    () => ({ ...overload.counters }),
    'who',
  );
  counter('kymo_limited_requests_total', 'requests over a limit', () => ({ ...limits.refused }), 'kind');
  counter(
    'kymo_limits_untold_total',
    'times that Redis did not take the counts, so that this instance counted alone',
    () => limits.counters.untold,
  );
  gauge('kymo_limited_keys', 'addresses, users, devices and organisations that are counted', () =>
    limitKinds.reduce((sum, kind) => sum + limits.sizeOf(kind), 0),
  );
}
