/**
 * Owns the answers to "who holds this key?" of one kind of key. A key is looked up by its SHA-256; answers, also the
 * negative ones, are kept for `rememberMs`, so a revocation reaches every process in that time and this one at once.
 * Look-ups of the same key share one query. Bounds: `maxRemembered` answers each way (the oldest goes), and per address
 * a number of failed look-ups, so that guessing never reaches the database; keys that were good before are looked up all the
 * same, so that a guesser does not shut out those behind the same address.
 */

import { LRUCache } from 'lru-cache';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { FailedAttempts } from '#identity/failed-attempts.ts';
import { kindOfKey, nameOfKey, type KeyKind } from '#identity/keys.ts';

export const keyringLimits = {
  /** Twice the devices and readers of a large installation (10,000 devices); an answer takes about 300 bytes. */
  maxRemembered: 20_000,
  /** How long a revoked key may still work in another process. */
  rememberMs: 10_000,
} as const;

export interface Known<T> {
  /** Null: nobody holds this key. */
  readonly identity: T | null;
  readonly expiresAtUs: number;
}

export interface IdentityCounters {
  lookups: number;
  failures: number;
  /** Look-ups refused because their address had failed too often. */
  refused: number;
}

export interface KeyringOptions<T extends object> {
  readonly kind: KeyKind;
  readonly clock: Clock;
  readonly failed: FailedAttempts;
  readonly counters: IdentityCounters;
  /** Asks the database; `hash` is the key's SHA-256. */
  readonly lookUp: (hash: Buffer) => Promise<Known<T>>;
  readonly idOf: (identity: T) => string;
}

export interface Keyring<T> {
  /**
   * Throws AppError `limit-exceeded` (temporary) when `address` failed too often, and what the look-up throws. Without
   * an address failures are not counted: all callers would share one limit.
   */
  find(key: string, address: string | null): Promise<T | null>;
  forget(id: string): void;
}

export function createKeyring<T extends object>(options: KeyringOptions<T>): Keyring<T> {
  const { kind, clock, failed, counters } = options;
  const cacheOptions = {
    max: keyringLimits.maxRemembered,
    ttl: keyringLimits.rememberMs,
    // Expiry follows the injected clock, read every time. lru-cache takes a start of 0 for "never expires".
    perf: { now: () => clock.monotonicMs() + 1 },
    ttlResolution: 0,
  };
  // Apart, so that a flood of wrong keys cannot push out the right ones.
  const known = new LRUCache<string, Known<T>>(cacheOptions);
  const unknown = new LRUCache<string, true>(cacheOptions);
  // The hashes alone: what they stand for is asked.
  const wasGood = new LRUCache<string, true>({ max: keyringLimits.maxRemembered });
  // As many at most as the pool lets wait (store/pools.ts).
  const running = new Map<string, Promise<Known<T>>>();
  /** Counts what was forgotten: an answer that was asked for before may be of a key that is revoked by now. */
  let forgotten = 0;

  async function lookUp(name: string, address: string | null): Promise<Known<T>> {
    if (address !== null && !wasGood.has(name) && failed.isBlocked(address)) {
      counters.refused++;
      throw new AppError('limit-exceeded', 'too many wrong keys from this address', { temporary: true });
    }
    counters.lookups++;
    const asked = forgotten;
    const found = await options.lookUp(Buffer.from(name, 'base64'));
    if (found.identity === null) {
      if (address !== null) failed.record(address);
      unknown.set(name, true);
      wasGood.delete(name);
      return found;
    }
    wasGood.set(name, true);
    if (asked === forgotten) known.set(name, found);
    return found;
  }

  function shareLookUp(name: string, address: string | null): Promise<Known<T>> {
    const same = running.get(name);
    if (same !== undefined) return same;
    const query = lookUp(name, address).finally(() => {
      if (running.get(name) === query) running.delete(name);
    });
    running.set(name, query);
    return query;
  }

  return {
    async find(key, address) {
      if (kindOfKey(key) !== kind) return null;
      const name = nameOfKey(key);
      if (!unknown.has(name)) {
        const found = known.get(name) ?? (await shareLookUp(name, address));
        if (found.identity !== null && found.expiresAtUs > clock.nowUs()) return found.identity;
      }
      counters.failures++;
      return null;
    },
    forget(id) {
      forgotten++;
      // Whoever comes from now on asks anew.
      running.clear();
      for (const [name, { identity }] of known.entries())
        if (identity !== null && options.idOf(identity) === id) known.delete(name);
    },
  };
}
