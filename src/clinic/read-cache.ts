/**
 * Owns what was read already: answers as serialised JSON, by organisation, whose rows the reader may see, and question. An
 * answer is given again while none of its tags changed; one that was under way while a tag changed is never kept, so nobody
 * sees less than what had been committed and answered before they asked, on any instance. Bounded by bytes (the longest
 * unused goes first) and by age, for changes that came another way.
 */

import { LRUCache } from 'lru-cache';

import type { Clock } from '#base/clock.ts';
import type { OrgScope } from '#store/pools.ts';
import type { SharedValues, TagVersions } from '#clinic/tag-versions.ts';

export const cacheLimits = {
  /** Some 10,000 patient pages of 3 KB: more than a large clinic opens in a day. */
  bytes: 64 * 1024 * 1024,
  /** Larger ones would push out many. */
  answerBytes: 1024 * 1024,
  /** For what changes past every instance, such as by SQL: nothing is given for longer. */
  ageMs: 60_000,
  /** What an entry costs beside its texts. */
  entryBytes: 300,
} as const;

export interface CachedRead {
  /** The kind of answer, such as `patient-page`: also the label of its metric. */
  readonly name: string;
  /** All that the answer depends on beside the scope: ids, page, filters, and the role where it matters. */
  readonly query: string;
  /** What it was made of, such as `patient:ID`; a change of any ends it. Within the organisation. */
  readonly tags: readonly string[];
  /** For what changes without telling: given for at most so long. Default and most: the cache's own age. */
  readonly ageMs?: number;
}

export interface CacheCounts {
  readonly hits: number;
  readonly misses: number;
  /** Joined a read of the same that was under way. */
  readonly joined: number;
  /** Taken from what another instance had read. */
  readonly shared: number;
  /** Neither looked for nor kept: off, versions not known, or a change under way. */
  readonly bypassed: number;
}

export interface ReadCache {
  /**
   * The answer, from here or from `load`, which must begin its reading when it is called. Authorise and audit before: this
   * asks nobody. What `load` throws is thrown and not kept.
   */
  read(scope: OrgScope, what: CachedRead, load: () => Promise<string>): Promise<string>;
  /**
   * Runs a change of what `tags` name: `work` commits it. Afterwards, also when it failed and may have been committed all
   * the same, nothing read before is given any more. The way for every change that comes by a request or a job.
   */
  change<T>(orgId: string, tags: readonly string[], work: () => Promise<T>): Promise<T>;
  /** For a change that was committed already, by another way: as the end of `change`. */
  invalidate(orgId: string, tags: readonly string[]): Promise<void>;
  /** By `name`. */
  readonly counters: ReadonlyMap<string, CacheCounts>;
  readonly held: { readonly entries: number; readonly bytes: number; readonly evicted: number };
}

export interface ReadCacheOptions {
  readonly versions: TagVersions;
  readonly clock: Clock;
  /** False: every read is made anew; changes are still told to other instances. */
  readonly isOn?: boolean;
  readonly shared?: SharedValues | null;
  readonly maxBytes?: number;
  readonly maxAgeMs?: number;
}

interface Entry {
  readonly version: string;
  readonly value: string;
  readonly readAtMs: number;
}

type Counts = { -readonly [K in keyof CacheCounts]: number };

export function createReadCache(options: ReadCacheOptions): ReadCache {
  const { versions, clock, isOn = true, shared = null } = options;
  const { maxBytes = cacheLimits.bytes, maxAgeMs = cacheLimits.ageMs } = options;
  let evicted = 0;
  const entries = new LRUCache<string, Entry>({
    maxSize: maxBytes,
    maxEntrySize: Math.min(maxBytes, cacheLimits.answerBytes),
    // Two bytes a character at most, as V8 keeps text.
    sizeCalculation: ({ value, version }, key) =>
      cacheLimits.entryBytes + 2 * (value.length + version.length + key.length),
    dispose(_entry, _key, reason) {
      if (reason === 'evict') evicted++;
    },
  });
  /** Reads under way, by key and version: as many as there are requests at once, at most. */
  const underWay = new Map<string, Promise<string>>();
  const counters = new Map<string, Counts>();
  const countsOf = (name: string): Counts => {
    const known = counters.get(name);
    if (known !== undefined) return known;
    const counts = { hits: 0, misses: 0, joined: 0, shared: 0, bypassed: 0 };
    counters.set(name, counts);
    return counts;
  };
  /** From another instance, else from `load`; kept with the version that was there before. */
  const readAnew = async (
    at: { readonly key: string; readonly version: string; readonly ageMs: number; readonly counts: Counts },
    load: () => Promise<string>,
  ): Promise<string> => {
    const { key, version, ageMs, counts } = at;
    const readAtMs = clock.monotonicMs();
    const found = shared === null ? null : await shared.get(key, version);
    if (found === null) counts.misses++;
    else counts.shared++;
    const value = found ?? (await load());
    entries.set(key, { version, value, readAtMs });
    // Only what was read now: a copy of a copy would grow older than any limit.
    if (found === null) shared?.put(key, { version, value, ms: ageMs });
    return value;
  };
  const invalidate = (orgId: string, tags: readonly string[]): Promise<void> =>
    versions.close(ofOrganisation(orgId, tags));
  return {
    async read(scope, what, load) {
      const counts = countsOf(what.name);
      const version = isOn ? await versions.current(ofOrganisation(scope.orgId, what.tags)) : null;
      if (version === null) {
        counts.bypassed++;
        return load();
      }
      // Ids and names hold no space, and the query comes last: no two questions make one key.
      const key = `${scope.orgId} ${scope.patientId ?? '-'} ${what.name} ${what.query}`;
      const ageMs = Math.min(what.ageMs ?? maxAgeMs, maxAgeMs);
      const entry = entries.get(key);
      if (entry?.version === version && clock.monotonicMs() - entry.readAtMs < ageMs) {
        counts.hits++;
        return entry.value;
      }
      const flight = `${version} ${key}`;
      const joined = underWay.get(flight);
      if (joined !== undefined) {
        counts.joined++;
        return joined;
      }
      const reading = readAnew({ key, version, ageMs, counts }, load).finally(() => underWay.delete(flight));
      underWay.set(flight, reading);
      return reading;
    },
    async change(orgId, tags, work) {
      await versions.open(ofOrganisation(orgId, tags));
      try {
        return await work();
      } finally {
        await invalidate(orgId, tags);
      }
    },
    invalidate,
    counters,
    held: {
      get entries() {
        return entries.size;
      },
      get bytes() {
        return entries.calculatedSize;
      },
      get evicted() {
        return evicted;
      },
    },
  };
}

function ofOrganisation(orgId: string, tags: readonly string[]): string[] {
  return tags.map((tag) => `${orgId} ${tag}`);
}
