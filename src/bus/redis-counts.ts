/**
 * Owns counts that several instances add to, each for a span of time after which Redis forgets it by itself. Many are added to
 * in one command. Nothing is tried twice: a count that Redis did not hear of is missing, which costs its user nothing.
 */

import { redisScript, type RedisLink } from '#bus/redis-link.ts';

export interface CountAdded {
  readonly name: string;
  readonly count: number;
}

export interface CountTotal {
  /** Of all instances, since the count began. */
  readonly total: number;
  /** How long it is kept on. */
  readonly leftMs: number;
}

export interface RedisCounts {
  /** Totals in the order of `added`; null when Redis does not answer. A count that there was not begins, for `spanMs`. */
  add(added: readonly CountAdded[], spanMs: number): Promise<readonly CountTotal[] | null>;
}

/** ARGV: milliseconds, then a number for each key. Returns total and remaining time of each. */
const addScript = redisScript(`
local found = {}
for i, key in ipairs(KEYS) do
  found[2 * i - 1] = redis.call('INCRBY', key, ARGV[i + 1])
  local left = redis.call('PTTL', key)
  if left < 0 then
    redis.call('PEXPIRE', key, ARGV[1])
    left = tonumber(ARGV[1])
  end
  found[2 * i] = left
end
return found`);

export const countScripts = [addScript];

export function createRedisCounts(link: RedisLink, prefix: string): RedisCounts {
  return {
    async add(added, spanMs) {
      if (!link.isUp) return null;
      try {
        const keys = added.map(({ name }) => `${prefix}count:${name}`);
        const counts = [spanMs, ...added.map(({ count }) => count)].map(String);
        const answer = (await link.run(addScript, keys, counts)) as number[];
        return added.map((_, i) => ({ total: Number(answer[2 * i]), leftMs: Number(answer[2 * i + 1]) }));
      } catch {
        // The link tells of its own failures, once.
        return null;
      }
    },
  };
}
