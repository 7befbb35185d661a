/**
 * Owns how often passwords may be guessed: an attempt is counted before the password is looked at, and given back when it
 * was right. Counted are the account from one network, so that a guesser locks out itself and not the person; the account
 * from everywhere (NIST SP 800-63B section 5.2.2: at most 100 failures); and the network over all accounts. Buckets drain
 * evenly. An account that does not exist is counted as one that does. Who signed in from a network before is refused there by the
 * first bucket alone, so that neither a neighbour behind the same address nor guessers elsewhere keep a person out (as the device
 * cookies of OWASP's authentication cheat sheet do). Bounds: `maxBuckets`, and as many such pairs; the one longest unseen goes.
 */

import { LRUCache } from 'lru-cache';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { networkOf } from '#identity/failed-attempts.ts';

export const signInAttemptLimits = {
  /** Of one account from one network; one more every six minutes. */
  accountFromNetwork: 10,
  account: 100,
  /** A clinic behind one address has forgetful staff too; one more every six seconds. */
  network: 60,
  accountDrainMs: 360_000,
  networkDrainMs: 6_000,
  /** About 4 MB. */
  maxBuckets: 40_000,
} as const;

export interface Attempt {
  /** The password was right. */
  succeeded(): void;
}

export interface SignInAttempts {
  /** Throws AppError `limit-exceeded` (temporary). */
  begin(email: string, address: string): Attempt;
  readonly counters: { refused: number };
}

interface Bucket {
  readonly name: string;
  readonly capacity: number;
  readonly drainMs: number;
}

export function createSignInAttempts(clock: Pick<Clock, 'monotonicMs'>): SignInAttempts {
  const buckets = new LRUCache<string, { level: number; atMs: number }>({
    max: signInAttemptLimits.maxBuckets,
  });
  /** Names of first buckets whose password was right once, since this process began. */
  const signedIn = new LRUCache<string, true>({ max: signInAttemptLimits.maxBuckets });
  const counters = { refused: 0 };

  function levelOf({ name, drainMs }: Bucket): number {
    const bucket = buckets.get(name);
    if (bucket === undefined) return 0;
    return Math.max(0, bucket.level - (clock.monotonicMs() - bucket.atMs) / drainMs);
  }

  const add = (bucket: Bucket, count: number): void =>
    void buckets.set(bucket.name, {
      level: Math.max(0, levelOf(bucket) + count),
      atMs: clock.monotonicMs(),
    });

  return {
    counters,
    begin(email, address) {
      const network = networkOf(address);
      const own: Bucket = {
        name: `${network} ${email}`,
        capacity: signInAttemptLimits.accountFromNetwork,
        drainMs: signInAttemptLimits.accountDrainMs,
      };
      const account: Bucket = { ...own, name: `* ${email}`, capacity: signInAttemptLimits.account };
      const all: Bucket = {
        name: network,
        capacity: signInAttemptLimits.network,
        drainMs: signInAttemptLimits.networkDrainMs,
      };
      const refusing = signedIn.has(own.name) ? [own] : [own, account, all];
      if (refusing.some((bucket) => levelOf(bucket) > bucket.capacity - 1)) {
        counters.refused++;
        throw new AppError('limit-exceeded', 'too many wrong passwords; try again in some minutes', {
          temporary: true,
        });
      }
      for (const bucket of [own, account, all]) add(bucket, 1);
      return {
        succeeded() {
          signedIn.set(own.name, true);
          buckets.delete(own.name);
          add(account, -1);
          add(all, -1);
        },
      };
    },
  };
}
