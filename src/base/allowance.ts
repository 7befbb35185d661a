/**
 * Owns how often something may happen: a token bucket (RFC 2697 has the idea for traffic). It holds `burst` tokens at
 * most, one a time, and gets `perSecond` back a second.
 */

export interface Allowance {
  /** Takes a token; false when there is none left. */
  take(nowMs: number): boolean;
}

export function createAllowance({ burst, perSecond }: { burst: number; perSecond: number }): Allowance {
  let tokens = burst;
  let atMs = Number.NEGATIVE_INFINITY;
  return {
    take(nowMs) {
      tokens = Math.min(burst, tokens + ((nowMs - atMs) / 1000) * perSecond);
      atMs = nowMs;
      if (tokens < 1) return false;
      tokens--;
      return true;
    },
  };
}
