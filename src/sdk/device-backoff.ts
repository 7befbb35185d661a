/**
 * Owns the wait before a reconnect: exponential with full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS
 * Architecture Blog 2015), so that a thousand devices that lost one server come back spread out.
 */

import type { Random } from '#base/random.ts';

export interface BackoffOptions {
  readonly baseMs: number;
  readonly capMs: number;
  /** The span is never smaller, whatever the attempt. */
  readonly leastMs?: number;
}

/** Uniform in [0, max(least, min(cap, base x 2^attempt))). `attempt` counts from 0 and starts anew after a stable connection. */
export function backoffMs(options: BackoffOptions, attempt: number, random: Random): number {
  const { baseMs, capMs, leastMs = 0 } = options;
  return random.next() * Math.max(leastMs, Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30)));
}
