/**
 * Owns small texts that any instance may take once, until they end: what tickets stand for. One key each, which Redis
 * forgets by itself. Nothing is tried twice: who asks for a ticket can ask again.
 */

import { messageOf } from '#base/errors.ts';
import { unavailable, type RedisLink } from '#bus/redis-link.ts';

export interface RedisShelf {
  /** Rejects with AppError `store-unavailable`. */
  put(name: string, value: string, lifeMs: number): Promise<void>;
  /** Gives it once; null when it is not there any more. Rejects with AppError `store-unavailable`. */
  take(name: string): Promise<string | null>;
}

export function createRedisShelf(link: RedisLink, prefix: string): RedisShelf {
  const ask = async (args: readonly string[]): Promise<unknown> => {
    try {
      return await link.call(args);
    } catch (error) {
      throw unavailable(`Redis does not keep it: ${messageOf(error)}`, error);
    }
  };
  return {
    async put(name, value, lifeMs) {
      await ask(['SET', `${prefix}shelf:${name}`, value, 'PX', String(Math.max(1, Math.ceil(lifeMs)))]);
    },
    async take(name) {
      const value = await ask(['GETDEL', `${prefix}shelf:${name}`]);
      return value instanceof Buffer ? value.toString() : null;
    },
  };
}
