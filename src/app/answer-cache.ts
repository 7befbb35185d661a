/** Owns the read cache as configuration wants it: in this process, and over Redis where several instances share one. */

import type { Clock } from '#base/clock.ts';
import { createReadCache, type CacheCounts, type ReadCache } from '#clinic/read-cache.ts';
import { createMemoryTagVersions } from '#clinic/tag-versions.ts';
import type { OpenedCarriers } from '#app/carriers.ts';
import type { Config } from '#app/config.ts';
import type { Namers } from '#app/metrics.ts';

export function openReadCache(options: {
  readonly config: Config;
  readonly carriers: Pick<OpenedCarriers, 'redis'>;
  readonly clock: Clock;
}): ReadCache {
  const { config, clock } = options;
  const shared = options.carriers.redis?.cache ?? null;
  return createReadCache({
    versions: shared ?? createMemoryTagVersions(),
    shared,
    clock,
    isOn: config.cache,
    maxBytes: config['cache-mib'] * 1024 * 1024,
  });
}

export function addCacheMetrics(
  { counter, gauge }: Namers,
  { cache, carriers }: { readonly cache: ReadCache; readonly carriers: Pick<OpenedCarriers, 'redis'> },
): void {
  const byName = (countOf: (counts: CacheCounts) => number): Record<string, number> =>
    Object.fromEntries([...cache.counters].map(([name, counts]) => [name, countOf(counts)]));
  counter(
    'kymo_cache_hits_total',
    'answers given again without asking the database, by kind of answer',
    () => byName(({ hits, joined, shared }) => hits + joined + shared),
    'kind',
  );
  counter(
    'kymo_cache_misses_total',
    'answers that were read from the database, by kind of answer',
    () => byName(({ misses, bypassed }) => misses + bypassed),
    'kind',
  );
  counter(
    'kymo_cache_bypassed_total',
    'of these, read while the cache was off, not to be trusted, or a change was under way',
    () => byName(({ bypassed }) => bypassed),
    'kind',
  );
  gauge('kymo_cache_bytes', 'bytes of the answers that are kept', () => cache.held.bytes);
  gauge('kymo_cache_entries', 'answers that are kept', () => cache.held.entries);
  counter('kymo_cache_evictions_total', 'answers given up to make room', () => cache.held.evicted);
  const { redis } = carriers;
  if (redis === null) return;
  const { counters } = redis.cache;
  counter('kymo_cache_redis_commands_total', 'commands of the cache to Redis', () => counters.commands);
  counter('kymo_cache_redis_unanswered_total', 'of these, not answered in time', () => counters.unanswered);
  gauge('kymo_cache_untold_changes', 'changes that wait until Redis is back', () => counters.untold);
}
