import { expect, test } from 'vitest';

import type { Principal } from '#contract/principal.ts';
import { createStreamTickets, cursorOfId, streamTicketLimits } from '#api/stream-tickets.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

const principal: Principal = {
  kind: 'access',
  orgId: 'o',
  subject: 's',
  role: 'service',
  patientId: null,
  permissions: [],
  grants: null,
  expiresAtUs: Number.POSITIVE_INFINITY,
  revocationId: 's',
};

function start(changes: Partial<Principal> = {}) {
  const clock = createManualClock();
  const revoked = new Set<string>();
  const tickets = createStreamTickets({ clock, isRevoked: ({ subject }) => revoked.has(subject) });
  const seat = tickets.open('t', { ...principal, ...changes }, 'a');
  return { clock, revoked, tickets, seat, id: `AQ${seat.idSuffix}` };
}

test('ticket and last id open the same stream again', () => {
  const { tickets, id } = start();
  expect(cursorOfId(id)).toBe('AQ');
  expect(tickets.resume('t', id, 'a')?.principal).toEqual(principal);
  expect(tickets.resume('t', id, 'a')?.principal).toEqual(principal);
});

test('the address alone opens nothing, nor does a guess, another ticket or other channels', () => {
  const { tickets, id } = start();
  const other = tickets.open('u', principal, 'a');
  for (const lastId of [
    '',
    'AQ',
    'AQ.',
    'AQ.AAAAAAAAAAAAAAAAAAAAAA',
    `AQ${other.idSuffix}`,
    `${id}x`.slice(0, -2),
  ])
    expect(tickets.resume('t', lastId, 'a'), lastId).toBeNull();
  expect(tickets.resume('v', id, 'a')).toBeNull();
  expect(tickets.resume('t', id, 'b')).toBeNull();
});

test('nothing ends while it is connected, all a minute after', () => {
  const { clock, tickets, seat, id } = start();
  const vacate = seat.occupy(() => {});
  clock.advance(86_400_000);
  expect(tickets.resume('t', id, 'a')).not.toBeNull();
  vacate();
  clock.advance(streamTicketLimits.idleMs - 1);
  expect(tickets.resume('t', id, 'a')).not.toBeNull();
  clock.advance(1);
  expect(tickets.resume('t', id, 'a')).toBeNull();
  expect(tickets.size).toBe(0);
});

test('a return ends the connection before it, whose end then means nothing', () => {
  const { clock, tickets, seat, id } = start();
  const ended: string[] = [];
  const vacate = seat.occupy(() => ended.push('first'));
  tickets.resume('t', id, 'a')?.occupy(() => ended.push('second'));
  expect(ended).toEqual(['first']);
  vacate();
  clock.advance(streamTicketLimits.idleMs);
  expect(tickets.resume('t', id, 'a')).not.toBeNull();
});

test('who was revoked or has expired does not come back', () => {
  const { clock, revoked, tickets, seat, id } = start({ expiresAtUs: 1_700_000_000_000_000 + 5_000_000 });
  seat.occupy(() => {});
  expect(tickets.resume('t', id, 'a')).not.toBeNull();
  revoked.add('s');
  expect(tickets.resume('t', id, 'a')).toBeNull();
  revoked.clear();
  clock.advance(5_000);
  expect(tickets.resume('t', id, 'a')).toBeNull();
});

test('their number is bounded, and idle ones make room', () => {
  const { clock, tickets } = start();
  for (let i = tickets.size; i < streamTicketLimits.maxStreams; i++) tickets.open(`t${i}`, principal, 'a');
  const { idSuffix } = tickets.open('newest', principal, 'a');
  tickets.open('more', principal, 'a');
  expect(tickets.size).toBe(streamTicketLimits.maxStreams);
  expect(tickets.resume('newest', `AQ${idSuffix}`, 'a')).not.toBeNull();
  clock.advance(streamTicketLimits.idleMs);
  for (let i = 0; i < streamTicketLimits.maxStreams; i++)
    tickets.open(`o${i}`, principal, 'a').occupy(() => undefined);
  expect(tickets.size).toBe(streamTicketLimits.maxStreams);
  expect(() => tickets.open('more', principal, 'a')).toThrow(/too many/);
});
