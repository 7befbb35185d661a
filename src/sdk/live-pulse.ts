/**
 * Owns the signs of life of one connection: how long the server is silent, when something must be said to it, and the
 * probes of its clock. At most one probe every FIRST_PROBE_MS, then every PROBE_MS.
 */

import type { HubMessage } from '#contract/live-messages.ts';
import { createLiveClock, type ClockEstimate, type LiveClock } from '#sdk/live-clock.ts';
import type { LiveTime } from '#sdk/live-events.ts';

/** A peer silent for three heartbeats is dead (protocol/limits.ts). */
const SILENT_HEARTBEATS = 3;
const FIRST_PROBES = 5;
const FIRST_PROBE_MS = 200;
const PROBE_MS = 2_000;
const NEVER = Number.POSITIVE_INFINITY;

export interface LivePulse {
  readonly clock: LiveClock;
  readonly nextAtMs: number;
  welcome(heartbeatMs: number, nowMs: number): void;
  heard(nowMs: number): void;
  sent(nowMs: number): void;
  isSilent(nowMs: number): boolean;
  isBeatDue(nowMs: number): boolean;
  /** The id of the probe that is to be sent now, or null. */
  takeProbe(nowMs: number): number | null;
  /** The estimate after it, or null when it says nothing. */
  probed(probe: Extract<HubMessage, { type: 'probe' }>, now: LiveTime): ClockEstimate | null;
  forget(): void;
}

export function createLivePulse(): LivePulse {
  let clock = createLiveClock();
  let heartbeatMs = NEVER;
  let heardAtMs = 0;
  let sentAtMs = 0;
  let probeAtMs = NEVER;
  let probesSent = 0;
  return {
    get clock() {
      return clock;
    },
    get nextAtMs() {
      return Math.min(heardAtMs + heartbeatMs * SILENT_HEARTBEATS, sentAtMs + heartbeatMs, probeAtMs);
    },
    welcome(everyMs, nowMs) {
      heartbeatMs = everyMs;
      sentAtMs = nowMs;
      // Another server, or another network path: what was measured before may not hold.
      clock = createLiveClock();
      probesSent = 0;
      probeAtMs = nowMs;
    },
    heard(nowMs) {
      heardAtMs = nowMs;
    },
    sent(nowMs) {
      sentAtMs = nowMs;
    },
    isSilent: (nowMs) => nowMs - heardAtMs >= heartbeatMs * SILENT_HEARTBEATS,
    isBeatDue: (nowMs) => nowMs - sentAtMs >= heartbeatMs,
    takeProbe(nowMs) {
      if (nowMs < probeAtMs) return null;
      probesSent++;
      probeAtMs = nowMs + (probesSent < FIRST_PROBES ? FIRST_PROBE_MS : PROBE_MS);
      return probesSent;
    },
    probed({ id, t0Us, t1Us, t2Us }, now) {
      if (id > probesSent) return null;
      clock.add({ t0Us, t1Us, t2Us, t3Us: now.us });
      return clock.estimate;
    },
    forget() {
      heartbeatMs = NEVER;
      probeAtMs = NEVER;
    },
  };
}
