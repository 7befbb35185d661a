/**
 * Owns how often an address may present wrong keys: a bucket of failures that drains evenly (RFC 2697 has the idea for
 * traffic). Only keys that had to be looked up count, so a device that repeats its one wrong key does not lock out its
 * neighbours behind the same address. Bound: `maxAddresses`; the one longest unseen is forgotten.
 */

import { LRUCache } from 'lru-cache';

import type { Clock } from '#base/clock.ts';

export const attemptLimits = {
  /** A clinic's network may sit behind one address and mistype some keys; a guesser needs 2^255. */
  failuresPerMinute: 60,
  /** About 2 MB. */
  maxAddresses: 20_000,
} as const;

export interface FailedAttempts {
  isBlocked(address: string): boolean;
  record(address: string): void;
}

export function createFailedAttempts(clock: Pick<Clock, 'monotonicMs'>): FailedAttempts {
  const buckets = new LRUCache<string, { failures: number; atMs: number }>({
    max: attemptLimits.maxAddresses,
  });

  function failuresOf(name: string): number {
    const bucket = buckets.get(name);
    if (bucket === undefined) return 0;
    const drained = ((clock.monotonicMs() - bucket.atMs) / 60_000) * attemptLimits.failuresPerMinute;
    return Math.max(0, bucket.failures - drained);
  }

  return {
    isBlocked: (address) => failuresOf(networkOf(address)) > attemptLimits.failuresPerMinute - 1,
    record(address) {
      const name = networkOf(address);
      buckets.set(name, { failures: failuresOf(name) + 1, atMs: clock.monotonicMs() });
    },
  };
}

/** What is limited together: whoever has one IPv6 address has its /64 (RFC 6177 section 2). */
export function networkOf(address: string): string {
  // IPv4 may come mapped: ::ffff:192.0.2.1.
  if (!address.includes(':') || address.startsWith('::ffff:')) return address.replace('::ffff:', '');
  const [head = '', tail = ''] = address.split('::');
  const groups = head.split(':');
  const missing = 8 - groups.length - (tail === '' ? 0 : tail.split(':').length);
  const full = address.includes('::') ? [...groups, ...Array.from({ length: missing }, () => '0')] : groups;
  return full.slice(0, 4).join(':');
}
