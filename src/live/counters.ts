/** Owns what the hub counts: plain numbers that the application maps to metrics. Gauges fall, everything else grows. */

import type { CloseReason, ErrorCode } from '#protocol/codes.ts';

export interface HubCounters {
  /** Gauges. */
  viewers: number;
  channels: number;
  subscriptions: number;
  laggingViewers: number;
  /** Payloads that came from the bus, and those refused: too large, or not what the topic carries. */
  busPayloads: number;
  busOversized: number;
  busMalformed: number;
  /** Runs of the fan-out, ticks sealed by all channels, ticks dropped from rings that were full. */
  flushes: number;
  ticks: number;
  ticksEvicted: number;
  progressEvicted: number;
  /** To viewers: messages, socket writes and bytes; ticks that a slow viewer did not get. */
  messagesSent: number;
  writes: number;
  bytesSent: number;
  ticksSkipped: number;
  requests: number;
  errorsByCode: Partial<Record<ErrorCode, number>>;
  /** `peer`: the other side left or the connection broke. */
  closesByReason: Partial<Record<CloseReason | 'peer', number>>;
}

export function createHubCounters(): HubCounters {
  return {
    viewers: 0,
    channels: 0,
    subscriptions: 0,
    laggingViewers: 0,
    busPayloads: 0,
    busOversized: 0,
    busMalformed: 0,
    flushes: 0,
    ticks: 0,
    ticksEvicted: 0,
    progressEvicted: 0,
    messagesSent: 0,
    writes: 0,
    bytesSent: 0,
    ticksSkipped: 0,
    requests: 0,
    errorsByCode: {},
    closesByReason: {},
  };
}

/** Adds one under a label. */
export function countLabel<K extends string>(counts: Partial<Record<K, number>>, label: K): void {
  const counted: Partial<Record<string, number>> = counts;
  counted[label] = (counted[label] ?? 0) + 1;
}
