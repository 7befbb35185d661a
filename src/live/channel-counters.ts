/** Owns what the channel engine counts: plain numbers that the application maps to metrics. The first two are gauges. */

import type { ErrorCode } from '#protocol/codes.ts';

export interface ChannelCounters {
  /** Publishes and requests of clients that are being worked on. */
  underWay: number;
  /** Handlers that were given up and have not come back yet. */
  abandoned: number;
  /** Publications that were made, by clients, handlers and the server; those that an idempotency key found made already. */
  published: number;
  duplicates: number;
  requests: number;
  /** Publishes and requests that were answered with an error, and those of them that nobody expected. */
  refusedByCode: Partial<Record<ErrorCode, number>>;
  failures: number;
}

export function createChannelCounters(): ChannelCounters {
  return {
    underWay: 0,
    abandoned: 0,
    published: 0,
    duplicates: 0,
    requests: 0,
    refusedByCode: {},
    failures: 0,
  };
}
