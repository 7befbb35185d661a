/**
 * Owns when a new token is shown on a connection that is open: at a random moment in the second half of the old one's
 * life, so that those who came together do not refresh together; again soon after a passing failure. What cannot be
 * refreshed ends by the server's word, and the next connection brings a new token anyway.
 */

import type { Random } from '#base/random.ts';
import type { ClockEstimate } from '#sdk/live-clock.ts';
import type { LiveTime } from '#sdk/live-events.ts';
import { isTemporary } from '#sdk/live-asks.ts';

const NEVER = Number.POSITIVE_INFINITY;
/** Some tries fit into the rest of a token's life. */
const AGAIN_MS = 5_000;
/** A server that gives tokens no life is not asked without end. */
const LEAST_MS = 1_000;
/** Timers beyond 24 days fire at once. */
const LONGEST_MS = 86_400_000;

export interface Refresh {
  /** When it is next due. */
  readonly atMs: number;
  welcome(welcome: { readonly serverUs: number; readonly expiresAtUs?: number }, now: LiveTime): void;
  /** The caller wants it now. */
  now(nowMs: number): void;
  /** True once when it is due. */
  isDue(nowMs: number): boolean;
  /** The new token left under this number. */
  sent(id: number): void;
  refreshed(
    told: { readonly id: number; readonly expiresAtUs?: number },
    now: LiveTime,
    estimate: ClockEstimate | null,
  ): void;
  /** No new token was to be had. */
  failed(isForNow: boolean, nowMs: number): void;
  /** False when it answers no refresh. */
  error(id: number, code: string, nowMs: number): boolean;
  forget(): void;
}

export function createRefresh(random: Random, canRefresh: boolean): Refresh {
  let atMs = NEVER;
  let request: number | null = null;
  let serverAheadUs = 0;
  const plan = (expiresAtUs: number | undefined, now: LiveTime, aheadUs: number): void => {
    const leftMs = expiresAtUs === undefined ? NEVER : (expiresAtUs - now.us - aheadUs) / 1000;
    const waitMs = Math.min(LONGEST_MS, Math.max(LEAST_MS, leftMs * (0.5 + 0.3 * random.next())));
    atMs = canRefresh && expiresAtUs !== undefined ? now.ms + waitMs : NEVER;
  };
  return {
    get atMs() {
      return atMs;
    },
    welcome({ serverUs, expiresAtUs }, now) {
      serverAheadUs = serverUs - now.us;
      plan(expiresAtUs, now, serverAheadUs);
    },
    now(nowMs) {
      if (canRefresh) atMs = nowMs;
    },
    isDue(nowMs) {
      if (nowMs < atMs) return false;
      atMs = NEVER;
      return true;
    },
    sent(id) {
      request = id;
    },
    refreshed({ id, expiresAtUs }, now, estimate) {
      if (id !== request) return;
      request = null;
      plan(expiresAtUs, now, estimate?.offsetUs ?? serverAheadUs);
    },
    failed(isForNow, nowMs) {
      if (isForNow) atMs = nowMs + AGAIN_MS;
    },
    error(id, code, nowMs) {
      if (id !== request) return false;
      request = null;
      if (isTemporary(code)) atMs = nowMs + AGAIN_MS;
      return true;
    },
    forget() {
      atMs = NEVER;
      request = null;
    },
  };
}
