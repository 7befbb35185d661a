/**
 * Owns how an EventSource that was opened with a ticket comes back. A browser repeats the very address, ticket and all, and
 * can send no key; but it sends the last `id` it got, in a header. So a ticket opens a stream once, and each id of that
 * stream carries a proof, which never stands in an address. Ticket and proof together open the same channels again, until
 * `idleMs` after the last connection ended; whoever only saw the address (a proxy's log, a screen) opens nothing.
 *
 * In this process only: after a restart, and on another instance, a new ticket is needed. Bound: `maxStreams`.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { Principal } from '#contract/principal.ts';

export const streamTicketLimits = {
  /** A laptop that wakes up after longer has a page that must sign in again anyway; a train's tunnel is shorter. */
  idleMs: 60_000,
  /** As many as there are viewers. */
  maxStreams: 10_000,
} as const;

/** Between cursor and proof in an id. Cursors have none. */
const SEPARATOR = '.';
/** 128 bits. */
const PROOF_BYTES = 16;

/** One stream that may come back. */
export interface StreamSeat {
  readonly principal: Principal;
  /** What stands behind the cursor in every id. */
  readonly idSuffix: string;
  /** Tells that a connection begins; an older one is ended. The returned function tells that it is over. */
  occupy(end: () => void): () => void;
}

export interface StreamTickets {
  /** After the ticket was redeemed. `scope`: what it was opened for, which a return must repeat. */
  open(ticket: string, principal: Principal, scope: string): StreamSeat;
  /** Null when nothing was opened with the ticket, for this scope, or the last id does not prove it. */
  resume(ticket: string, lastEventId: string, scope: string): StreamSeat | null;
  readonly size: number;
}

interface Entry {
  readonly principal: Principal;
  readonly scope: string;
  readonly proof: Buffer;
  end: (() => void) | null;
  /** When the last connection ended; null while there is one. */
  idleSinceMs: number | null;
}

/** `isRevoked`: asked again at each return, since a proof outlives the key that its ticket was made with. */
export function createStreamTickets(options: {
  readonly clock: Clock;
  readonly isRevoked: (principal: Principal) => boolean;
}): StreamTickets {
  const { clock, isRevoked } = options;
  // By the ticket's hash: what is compared in variable time is nothing that anybody could use.
  const entries = new Map<string, Entry>();

  function dropIdle(): void {
    const oldestMs = clock.monotonicMs() - streamTicketLimits.idleMs;
    for (const [hash, { idleSinceMs }] of entries)
      if (idleSinceMs !== null && idleSinceMs <= oldestMs) entries.delete(hash);
  }

  /** Whoever opens and leaves streams by the thousand keeps nobody else out; what goes needs a new ticket. */
  function dropOneIdle(): void {
    for (const [hash, { idleSinceMs }] of entries)
      if (idleSinceMs !== null) {
        entries.delete(hash);
        return;
      }
  }

  function seatOf(entry: Entry): StreamSeat {
    return {
      principal: entry.principal,
      idSuffix: SEPARATOR + entry.proof.toString('base64url'),
      occupy(end) {
        entry.end?.();
        entry.end = end;
        entry.idleSinceMs = null;
        return () => {
          // A newer connection has the seat.
          if (entry.end !== end) return;
          entry.end = null;
          entry.idleSinceMs = clock.monotonicMs();
        };
      },
    };
  }

  return {
    open(ticket, principal, scope) {
      if (entries.size >= streamTicketLimits.maxStreams) dropIdle();
      if (entries.size >= streamTicketLimits.maxStreams) dropOneIdle();
      if (entries.size >= streamTicketLimits.maxStreams)
        throw new AppError('overloaded', 'too many streams were opened with tickets', { temporary: true });
      const proof = randomBytes(PROOF_BYTES);
      const idleSinceMs = clock.monotonicMs();
      const entry: Entry = { principal, scope, proof, end: null, idleSinceMs };
      entries.set(hashOf(ticket), entry);
      return seatOf(entry);
    },
    resume(ticket, lastEventId, scope) {
      dropIdle();
      const entry = entries.get(hashOf(ticket));
      if (entry === undefined || entry.scope !== scope) return null;
      const shown = Buffer.from(lastEventId.split(SEPARATOR)[1] ?? '', 'base64url');
      if (shown.length !== PROOF_BYTES || !timingSafeEqual(shown, entry.proof)) return null;
      const { principal } = entry;
      if (clock.nowUs() >= principal.expiresAtUs || isRevoked(principal)) return null;
      return seatOf(entry);
    },
    get size() {
      return entries.size;
    },
  };
}

/** The cursor of an id, without the proof. */
export function cursorOfId(id: string): string {
  return id.split(SEPARATOR, 1)[0] ?? '';
}

function hashOf(ticket: string): string {
  return createHash('sha256').update(ticket).digest('base64url');
}
