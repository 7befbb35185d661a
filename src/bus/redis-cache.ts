/**
 * Owns versions of tags and values read once, shared through Redis. A version is a random text that is replaced with every
 * change; one that Redis lost is drawn anew, so that forgetting is a change too. Versions asked for in one turn of the event
 * loop are one command. While Redis is away nothing is known, and the changes made meanwhile are told when it is back, or,
 * when they were too many, everything counts as changed.
 */

import type { Clock } from '#base/clock.ts';
import { LinkLost, redisScript, type RedisLink } from '#bus/redis-link.ts';

export const redisCacheLimits = {
  /** Redis on the same network answers within one; a reader does not wait longer for leave to skip the database. */
  waitMs: 250,
  /** Unused tags go after it. */
  tagSeconds: 3_600,
  /** Longer than any transaction may take (store/pools.ts): a change that never ended is none afterwards. */
  changeSeconds: 60,
  /** Changes that wait for Redis to come back; beyond, everything counts as changed. */
  untoldTags: 10_000,
} as const;

/** Shape: clinic/tag-versions.ts. */
export interface RedisCache {
  current(tags: readonly string[]): Promise<string | null>;
  open(tags: readonly string[]): Promise<void>;
  close(tags: readonly string[]): Promise<void>;
  get(key: string, version: string): Promise<string | null>;
  put(key: string, entry: { readonly version: string; readonly value: string; readonly ms: number }): void;
  readonly counters: { readonly commands: number; readonly unanswered: number; readonly untold: number };
}

/** Draws a version for each tag that has none; returns all versions. ARGV: what it may be, seconds. */
const drawScript = redisScript(`
local found = {}
for i, key in ipairs(KEYS) do
  local version = redis.call('GET', key)
  if not version then
    version = ARGV[1]
    redis.call('SET', key, version, 'EX', ARGV[2])
  end
  found[i] = version
end
return found`);

/** Gives each tag the same new version. ARGV: version, seconds. */
const changeScript = redisScript(`
for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'EX', ARGV[2]) end`);

export const cacheScripts = [drawScript, changeScript];

/** In front of a version: a change is under way. */
const CHANGING = '~';
/** A tag of everything: changed when nobody remembers what was. */
const ALL = '*';

interface Batch {
  readonly places: Map<string, number>;
  readonly answer: Promise<(string | null)[] | null>;
}

export function createRedisCache(options: {
  readonly link: RedisLink;
  readonly prefix: string;
  readonly clock: Clock;
  /** Names this process. */
  readonly instanceId: string;
}): RedisCache {
  const { link, prefix, clock, instanceId } = options;
  const counters = { commands: 0, unanswered: 0, untold: 0 };
  let drawn = 0;
  const newVersion = (): string => `${instanceId}.${(++drawn).toString(36)}`;
  // Another process under the same address may have lost what this one knew: it begins anew.
  const tagKey = (tag: string): string => `${prefix}cache:${link.runId}:t:${tag}`;
  const valueKey = (key: string): string => `${prefix}cache:${link.runId}:v:${key}`;
  const untold = new Set<string>();
  let isTelling = false;
  let batch: Batch | null = null;

  const inTime = async <T>(asked: Promise<T>): Promise<T | null> => {
    let cancel = (): void => undefined;
    const tooLate = new Promise<null>((resolve) => {
      cancel = clock.after(redisCacheLimits.waitMs, () => resolve(null));
    });
    counters.commands++;
    try {
      const answer = await Promise.race([asked, tooLate]);
      if (answer === null) counters.unanswered++;
      return answer;
    } catch (error) {
      if (!(error instanceof LinkLost)) throw error;
      counters.unanswered++;
      return null;
    } finally {
      cancel();
      asked.catch(() => undefined);
    }
  };
  const look = async (tags: readonly string[]): Promise<(string | null)[] | null> => {
    const found = await inTime(link.call(['MGET', ...tags.map(tagKey)]));
    return found === null ? null : (found as (Buffer | null)[]).map((one) => one?.toString() ?? null);
  };
  const newBatch = (): Batch => {
    const places = new Map([[ALL, 0]]);
    const answer = new Promise<(string | null)[] | null>((resolve, reject) => {
      setImmediate(() => {
        batch = null;
        look([...places.keys()]).then(resolve, reject);
      });
    });
    return { places, answer };
  };
  const draw = async (tags: readonly string[]): Promise<string[] | null> => {
    const args = [newVersion(), String(redisCacheLimits.tagSeconds)];
    const found = await inTime(link.run(drawScript, tags.map(tagKey), args));
    return found === null ? null : (found as Buffer[]).map(String);
  };
  const change = async (tags: readonly string[], version: string, seconds: number): Promise<boolean> => {
    counters.commands++;
    try {
      await link.run(changeScript, tags.map(tagKey), [version, String(seconds)]);
      return true;
    } catch (error) {
      if (!(error instanceof LinkLost)) throw error;
      return false;
    }
  };
  const keepUntold = (tags: readonly string[]): void => {
    for (const tag of tags) untold.add(tag);
    if (untold.size > redisCacheLimits.untoldTags) {
      untold.clear();
      untold.add(ALL);
    }
    counters.untold = untold.size;
  };
  /** What could not be told while Redis was away; until it is, this instance trusts no version. */
  const tell = async (): Promise<void> => {
    if (isTelling || untold.size === 0) return;
    isTelling = true;
    try {
      const tags = [...untold];
      if (!(await change(tags, newVersion(), redisCacheLimits.tagSeconds))) return;
      for (const tag of tags) untold.delete(tag);
      counters.untold = untold.size;
    } finally {
      isTelling = false;
    }
  };
  link.listen({ up: () => void tell(), down: () => undefined });
  return {
    counters,
    async current(tags) {
      if (!link.isUp || untold.size > 0) {
        if (link.isUp) await tell();
        return null;
      }
      const { runId } = link;
      batch ??= newBatch();
      const { places, answer } = batch;
      const wanted = [ALL, ...tags];
      for (const tag of tags) if (!places.has(tag)) places.set(tag, places.size);
      const found = await answer;
      if (found === null) return null;
      let versions: readonly (string | null)[] | null = wanted.map((tag) => found[places.get(tag)!] ?? null);
      if (versions.includes(null)) versions = await draw(wanted);
      // A tag may have changed unheard, and Redis been replaced, while it was asked.
      if (versions === null || untold.size > 0 || link.runId !== runId) return null;
      if (versions.some((version) => version?.startsWith(CHANGING) === true)) return null;
      return versions.join();
    },
    async open(tags) {
      // Without Redis the change goes on: what is told afterwards is what counts.
      await change(tags, CHANGING + newVersion(), redisCacheLimits.changeSeconds);
    },
    async close(tags) {
      if (!(await change(tags, newVersion(), redisCacheLimits.tagSeconds))) keepUntold(tags);
    },
    async get(key, version) {
      if (!link.isUp) return null;
      const found = await inTime(link.call(['GET', valueKey(key)]));
      if (!(found instanceof Buffer)) return null;
      const text = found.toString();
      const end = text.indexOf('\n');
      return text.slice(0, end) === version ? text.slice(end + 1) : null;
    },
    put(key, { version, value, ms }) {
      if (!link.isUp) return;
      counters.commands++;
      link
        .call(['SET', valueKey(key), `${version}\n${value}`, 'PX', String(Math.ceil(ms))])
        .catch(() => undefined);
    },
  };
}
