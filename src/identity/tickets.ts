/**
 * Owns single-use tickets: what a WebSocket's query string carries instead of a long-lived key (DESIGN section 6). A
 * ticket stands for the identity that asked for it, opens one connection of its kind, and dies after 30 s or at its
 * first use, also a wrong one. Where they lie is the shelf's (ticket-shelf.ts). Bound here: `maxForgotten` revoked
 * holders, each remembered for a ticket's life; beyond it the oldest goes.
 */

import { createHash, randomBytes } from 'node:crypto';

import type { Clock } from '#base/clock.ts';
import type { Principal } from '#contract/principal.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import { createMemoryShelf, type TicketShelf } from '#identity/ticket-shelf.ts';

export const ticketLimits = {
  /** DESIGN section 6: a query string may be logged on its way, so what it carries is soon worthless. */
  lifeMs: 30_000,
  /** Revocations in half a minute. */
  maxForgotten: 10_000,
} as const;

/** `device`: to send readings. `live`: to follow channels. */
export type TicketHolder =
  | { readonly purpose: 'device'; readonly identity: DeviceIdentity }
  | { readonly purpose: 'live'; readonly identity: Principal };

export interface IssuedTicket {
  readonly ticket: string;
  readonly expiresAtUs: number;
}

/** Methods throw the temporary AppErrors of the shelf. */
export interface Tickets {
  issueTicket(holder: TicketHolder): Promise<IssuedTicket>;
  /** The device that the ticket stands for; null when it is unknown, used, expired, revoked, or for another purpose. */
  redeemDeviceTicket(ticket: string): Promise<DeviceIdentity | null>;
  redeemLiveTicket(ticket: string): Promise<Principal | null>;
}

export function createTickets(
  clock: Clock,
  shelf: TicketShelf = createMemoryShelf(clock),
  /** Asked when a ticket is used: its holder may have been revoked, here or elsewhere, since it was made. */
  isRevoked: (principal: Principal) => boolean = () => false,
): Tickets & { forgetTickets(id: string): void } {
  // Ids of devices and keys that were revoked, with the time until which a ticket of theirs could be shown.
  const forgotten = new Map<string, number>();

  async function redeem(ticket: string): Promise<TicketHolder | null> {
    const text = await shelf.take(nameOf(ticket));
    if (text === null) return null;
    const holder = parseHolder(text);
    const owner = holder.purpose === 'device' ? holder.identity.deviceId : holder.identity.revocationId;
    const isForgotten =
      owner !== null && (forgotten.get(owner) ?? Number.NEGATIVE_INFINITY) > clock.monotonicMs();
    return isForgotten ? null : holder;
  }

  return {
    async issueTicket(holder) {
      const ticket = randomBytes(32).toString('base64url');
      await shelf.put(nameOf(ticket), JSON.stringify(holder), ticketLimits.lifeMs);
      return { ticket, expiresAtUs: clock.nowUs() + ticketLimits.lifeMs * 1000 };
    },
    async redeemDeviceTicket(ticket) {
      const holder = await redeem(ticket);
      return holder?.purpose === 'device' ? holder.identity : null;
    },
    async redeemLiveTicket(ticket) {
      const holder = await redeem(ticket);
      if (holder?.purpose !== 'live') return null;
      const { identity } = holder;
      return clock.nowUs() >= identity.expiresAtUs || isRevoked(identity) ? null : identity;
    },
    forgetTickets(id) {
      forgotten.delete(id);
      forgotten.set(id, clock.monotonicMs() + ticketLimits.lifeMs);
      for (const [oldest, untilMs] of forgotten) {
        if (untilMs > clock.monotonicMs() && forgotten.size <= ticketLimits.maxForgotten) break;
        forgotten.delete(oldest);
      }
    },
  };
}

/** JSON has no infinity: what never ends by itself is null there. */
function parseHolder(text: string): TicketHolder {
  const holder = JSON.parse(text) as TicketHolder;
  if (holder.purpose === 'device') return holder;
  const expiresAtUs = (holder.identity.expiresAtUs as number | null) ?? Number.POSITIVE_INFINITY;
  return { purpose: 'live', identity: { ...holder.identity, expiresAtUs } };
}

/** Kept by hash: comparing tells nothing by its time, and whoever reads the shelf learns no ticket. */
function nameOf(ticket: string): string {
  return createHash('sha256').update(ticket, 'utf8').digest('base64');
}
