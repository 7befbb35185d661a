/**
 * Owns how many event streams and waiting polls there may be: of one subject, from one network, and in all. Whoever has
 * too many hears 429 and when to come back, a full server 503. A place is given back by the returned function.
 */

import { AppError } from '#base/errors.ts';
import type { Principal } from '#contract/principal.ts';
import { networkOf } from '#identity/failed-attempts.ts';

export interface SeatLimits {
  readonly perSubject: number;
  readonly perNetwork: number;
  readonly inAll: number;
}

export const streamSeatLimits: SeatLimits = {
  /** One key on the screens of a ward, with a few tabs each. */
  perSubject: 256,
  /** A clinic behind one address: a tenth of the viewers that a server takes. */
  perNetwork: 1_000,
  /** The hub's own bound of viewers (hub-limits.ts). */
  inAll: 10_000,
};

export const pollSeatLimits: SeatLimits = {
  perSubject: 256,
  perNetwork: 1_000,
  /** A waiting poll costs more than a stream: half as many. */
  inAll: 5_000,
};

export interface Seats {
  /** Throws AppError `limit-exceeded` or `overloaded`, both temporary. */
  take(principal: Principal, address: string): () => void;
  readonly taken: number;
}

/** `what` names them in the refusal. */
export function createSeats(what: string, limits: SeatLimits): Seats {
  const bySubject = new Map<string, number>();
  const byNetwork = new Map<string, number>();
  let taken = 0;
  return {
    take(principal, address) {
      const subject = `${principal.orgId}/${principal.subject}`;
      const network = networkOf(address);
      if (taken >= limits.inAll)
        throw new AppError('overloaded', `this server has all the ${what} it takes`, { temporary: true });
      for (const [counts, key, most, whose] of [
        [bySubject, subject, limits.perSubject, 'one identity'],
        [byNetwork, network, limits.perNetwork, 'one address'],
      ] as const)
        if ((counts.get(key) ?? 0) >= most)
          throw new AppError('limit-exceeded', `at most ${most} ${what} of ${whose}`, { temporary: true });
      taken++;
      add(bySubject, subject, 1);
      add(byNetwork, network, 1);
      let isTaken = true;
      return () => {
        if (!isTaken) return;
        isTaken = false;
        taken--;
        add(bySubject, subject, -1);
        add(byNetwork, network, -1);
      };
    },
    get taken() {
      return taken;
    },
  };
}

function add(counts: Map<string, number>, key: string, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
