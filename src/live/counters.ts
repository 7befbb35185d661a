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
  /** Class event and state. Gauge: bytes of all tails. */
  tailBytes: number;
  /** Publications from brokers; those that left a full tail; those that came while a full lot waited, to be read again. */
  publicationsHeard: number;
  tailEvicted: number;
  pendingDropped: number;
  /** Holes that were found, interruptions told by brokers, reads of histories, and those of them that failed. */
  gapsFound: number;
  resumes: number;
  historyReads: number;
  historyFailures: number;
  /** Histories that were another one than before, and viewers told of a gap that cannot be filled. */
  historiesChanged: number;
  resets: number;
  /** Messages given from pages of history; values that a slow viewer of class state did not get. */
  messagesRecovered: number;
  statesSkipped: number;
  /** Presence messages made, and enterings, leavings and readings of presence that failed. */
  presenceChanges: number;
  presenceFailures: number;
  /** Asked of channels by viewers and not answered yet (gauge); refused because too much was. */
  underWay: number;
  overloads: number;
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
    tailBytes: 0,
    publicationsHeard: 0,
    tailEvicted: 0,
    pendingDropped: 0,
    gapsFound: 0,
    resumes: 0,
    historyReads: 0,
    historyFailures: 0,
    historiesChanged: 0,
    resets: 0,
    messagesRecovered: 0,
    statesSkipped: 0,
    presenceChanges: 0,
    presenceFailures: 0,
    underWay: 0,
    overloads: 0,
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
