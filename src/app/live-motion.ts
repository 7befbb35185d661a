/**
 * Owns the live motion of this server: it joins the pipeline to channels, body models and the bus. Results are published
 * like any other message; what cannot be is dropped and counted, since it is provisional. Bound: PUBLISHING messages under
 * way.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { Bus } from '#bus/bus.ts';
import { addressOf, channelName, type PublishTo } from '#contract/channel-definition.ts';
import { readingsTopic } from '#ingest/live-publisher.ts';
import { followBodyModelNotices, publishBodyModelNotice } from '#pipeline/body-model-notices.ts';
import { createLiveMotion, type LiveMotion } from '#pipeline/live-motion.ts';
import type { LiveMotionLimits } from '#pipeline/live-motion-limits.ts';
import type { BodyModels, MotionSink, SessionAddress } from '#pipeline/motion-sink.ts';
import { sessionGait, sessionMotion } from '#app/channels/motion-channels.ts';

/** Over a network they take a millisecond or two; in memory none waits. */
const PUBLISHING = 1_024;

export interface PublishCounters {
  published: number;
  dropped: number;
  failed: number;
}

export interface RunningMotion {
  /** Null when no worker was asked for: then live frames pass by. */
  readonly live: LiveMotion | null;
  readonly counters: Readonly<PublishCounters>;
  /** Somebody has changed the body model of a session: every server begins its live analysis anew. */
  bodyModelChanged(orgId: string, session: string): void;
  stop(): Promise<void>;
}

export interface RunningMotionOptions {
  readonly workers: number;
  readonly bodyModels: BodyModels;
  readonly publish: PublishTo;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Log;
  readonly entry?: URL;
  readonly limits?: Partial<LiveMotionLimits>;
}

export function startLiveMotion(options: RunningMotionOptions): RunningMotion {
  const { bus, clock, log } = options;
  const counters: PublishCounters = { published: 0, dropped: 0, failed: 0 };
  const bodyModelChanged = (orgId: string, session: string): void =>
    publishBodyModelNotice(bus, orgId, session);
  if (options.workers === 0) return { live: null, counters, bodyModelChanged, stop: () => Promise.resolve() };
  const live = createLiveMotion({
    workers: options.workers,
    bodyModels: options.bodyModels,
    sink: createSink(options, counters),
    clock,
    log,
    thread: { entry: options.entry ?? new URL('./motion-worker.ts', import.meta.url) },
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  const unfollow = followBodyModelNotices(bus, (orgId, session) => live.bodyModelChanged(orgId, session));
  return {
    live,
    counters,
    bodyModelChanged,
    async stop() {
      unfollow();
      await live.stop();
    },
  };
}

function createSink({ bus, publish, log }: RunningMotionOptions, counters: PublishCounters): MotionSink {
  let underWay = 0;
  let hasFailed = false;
  const send = (make: () => Promise<unknown>): void => {
    if (underWay >= PUBLISHING) {
      counters.dropped++;
      return;
    }
    underWay++;
    make()
      .then(
        () => {
          counters.published++;
          hasFailed = false;
        },
        (error: unknown) => {
          counters.failed++;
          // Once for all that fail together: the store of channels may be away for long.
          if (!hasFailed) log.warn('live motion could not be published', { error: messageOf(error) });
          hasFailed = true;
        },
      )
      .finally(() => underWay--);
  };
  const to = ({ orgId, session }: SessionAddress) => ({ orgId, params: { session } });
  // Asked four times a second for every session in one turn: made anew, the texts would cost that turn milliseconds.
  const topics = new WeakMap<SessionAddress, { readonly angles: string; readonly readings: string }>();
  const topicsOf = (address: SessionAddress) => {
    let own = topics.get(address);
    if (own === undefined) {
      const { orgId, session } = address;
      const angles = addressOf(sessionMotion, orgId, channelName(sessionMotion, { session }));
      own = { angles, readings: readingsTopic(session) };
      topics.set(address, own);
    }
    return own;
  };
  return {
    watched(address) {
      const own = topicsOf(address);
      const angles = bus.hasListeners(own.angles);
      // Whoever looks at a session's page follows its readings; the gait channel's listeners are the broker's.
      return { angles, details: angles || bus.hasListeners(own.readings) };
    },
    angles: (address, data) => send(() => publish(sessionMotion, to(address), { event: 'angles', data })),
    gait: (address, { event, data }) => send(() => publish(sessionGait, to(address), { event, data })),
  };
}
