/**
 * Owns single-use tickets: what a WebSocket's query string carries instead of a long-lived key (DESIGN section 6). A
 * ticket stands for the identity that asked for it, opens one connection of its kind, and dies after 30 s or at its
 * first use, also a wrong one. They live in this process only. Bound: `maxTickets`; beyond it none is issued.
 */

import { createHash, randomBytes } from 'node:crypto';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import type { Principal } from '#contract/principal.ts';

export const ticketLimits = {
  /** DESIGN section 6: a query string may be logged on its way, so what it carries is soon worthless. */
  lifeMs: 30_000,
  /** A page reload by 10,000 viewers within one life. */
  maxTickets: 10_000,
} as const;

/** `device`: to send readings. `live`: to follow channels. */
export type TicketHolder =
  | { readonly purpose: 'device'; readonly identity: DeviceIdentity }
  | { readonly purpose: 'live'; readonly identity: Principal };

export interface IssuedTicket {
  readonly ticket: string;
  readonly expiresAtUs: number;
}

export interface Tickets {
  /** Throws AppError `overloaded` (temporary) when `maxTickets` are out. */
  issueTicket(holder: TicketHolder): IssuedTicket;
  /** The device that the ticket stands for; null when it is unknown, used, expired, or for another purpose. */
  redeemDeviceTicket(ticket: string): DeviceIdentity | null;
  redeemLiveTicket(ticket: string): Principal | null;
  readonly ticketsOut: number;
}

interface Entry {
  readonly holder: TicketHolder;
  readonly expiresAtMs: number;
}

export function createTickets(clock: Clock): Tickets & { forgetTickets(id: string): void } {
  // Insertion order is order of expiry, since all live equally long. Kept by hash: comparing tells nothing by its time.
  const entries = new Map<string, Entry>();

  function dropExpired(): void {
    const nowMs = clock.monotonicMs();
    for (const [hash, entry] of entries) {
      if (entry.expiresAtMs > nowMs) return;
      entries.delete(hash);
    }
  }

  function redeem(ticket: string): TicketHolder | null {
    dropExpired();
    const hash = hashOf(ticket);
    const entry = entries.get(hash);
    entries.delete(hash);
    return entry?.holder ?? null;
  }

  return {
    issueTicket(holder) {
      dropExpired();
      if (entries.size >= ticketLimits.maxTickets)
        throw new AppError('overloaded', 'too many tickets are out; try again soon', { temporary: true });
      const ticket = randomBytes(32).toString('base64url');
      entries.set(hashOf(ticket), { holder, expiresAtMs: clock.monotonicMs() + ticketLimits.lifeMs });
      return { ticket, expiresAtUs: clock.nowUs() + ticketLimits.lifeMs * 1000 };
    },
    redeemDeviceTicket(ticket) {
      const holder = redeem(ticket);
      return holder?.purpose === 'device' ? holder.identity : null;
    },
    redeemLiveTicket(ticket) {
      const holder = redeem(ticket);
      return holder?.purpose === 'live' ? holder.identity : null;
    },
    forgetTickets(id) {
      for (const [hash, { holder }] of entries) {
        const owner = holder.purpose === 'device' ? holder.identity.deviceId : holder.identity.revocationId;
        if (owner === id) entries.delete(hash);
      }
    },
    get ticketsOut() {
      return entries.size;
    },
  };
}

function hashOf(ticket: string): string {
  return createHash('sha256').update(ticket, 'utf8').digest('base64');
}
