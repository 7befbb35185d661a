/**
 * Owns where tickets lie until they are used: here in memory, or in Redis, where every instance finds those of the others
 * (DESIGN section 4: any instance can go on). Values are JSON text under the ticket's hash. Bound: MAX_TICKETS here;
 * Redis forgets them by their life.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';

/** A page reload by 10,000 viewers and their devices within one life. */
const MAX_TICKETS = 20_000;

export interface TicketShelf {
  /** Throws AppError `overloaded` or `store-unavailable` (temporary) when it cannot be kept. */
  put(name: string, value: string, lifeMs: number): Promise<void>;
  /** Gives it once. Null when it is not there any more. Throws AppError `store-unavailable` (temporary). */
  take(name: string): Promise<string | null>;
}

export function createMemoryShelf(clock: Pick<Clock, 'monotonicMs'>): TicketShelf {
  // Nearly in the order of ending: lives differ little.
  const entries = new Map<string, { readonly value: string; readonly endsMs: number }>();

  function dropEnded(): void {
    const nowMs = clock.monotonicMs();
    for (const [name, { endsMs }] of entries) {
      if (endsMs > nowMs) return;
      entries.delete(name);
    }
  }

  return {
    async put(name, value, lifeMs) {
      dropEnded();
      if (entries.size >= MAX_TICKETS)
        throw new AppError('overloaded', 'too many tickets are out; try again soon', { temporary: true });
      entries.set(name, { value, endsMs: clock.monotonicMs() + lifeMs });
    },
    async take(name) {
      const entry = entries.get(name);
      entries.delete(name);
      dropEnded();
      return entry !== undefined && entry.endsMs > clock.monotonicMs() ? entry.value : null;
    },
  };
}
