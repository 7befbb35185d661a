import { expect, test } from 'vitest';

import { createTickets, ticketLimits } from '#identity/tickets.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { testPrincipal } from '#test/support/principals.ts';

const device = { purpose: 'device', identity: { deviceId: 'd1', orgId: 'o1' } } as const;
const reader = { purpose: 'live', identity: testPrincipal() } as const;

test('a ticket is good once, for its own purpose', () => {
  const tickets = createTickets(createManualClock());
  const { ticket } = tickets.issueTicket(device);
  expect(tickets.redeemDeviceTicket(ticket)).toEqual(device.identity);
  expect(tickets.redeemDeviceTicket(ticket)).toBeNull();
  const live = tickets.issueTicket(reader).ticket;
  expect(tickets.redeemLiveTicket(live)).toEqual(reader.identity);
});

test('a wrong use spends it', () => {
  const tickets = createTickets(createManualClock());
  const { ticket } = tickets.issueTicket(device);
  expect(tickets.redeemLiveTicket(ticket)).toBeNull();
  expect(tickets.redeemDeviceTicket(ticket)).toBeNull();
  expect(tickets.redeemDeviceTicket('')).toBeNull();
});

test('it dies after 30 seconds, whatever the wall clock does', () => {
  const clock = createManualClock();
  const tickets = createTickets(clock);
  const early = tickets.issueTicket(device);
  expect(early.expiresAtUs).toBe(clock.nowUs() + 30_000_000);
  clock.advance(29_999);
  clock.jumpWallUs(0);
  const late = tickets.issueTicket(device);
  expect(tickets.redeemDeviceTicket(late.ticket)).not.toBeNull();
  const second = tickets.issueTicket(device);
  clock.advance(1);
  expect(tickets.redeemDeviceTicket(early.ticket)).toBeNull();
  expect(tickets.redeemDeviceTicket(second.ticket)).not.toBeNull();
});

test('at the maximum none is issued until some have died', () => {
  const clock = createManualClock();
  const tickets = createTickets(clock);
  for (let i = 0; i < ticketLimits.maxTickets; i++) tickets.issueTicket(device);
  expect(() => tickets.issueTicket(device)).toThrow('too many tickets');
  expect(tickets.ticketsOut).toBe(ticketLimits.maxTickets);
  clock.advance(ticketLimits.lifeMs);
  tickets.issueTicket(device);
  expect(tickets.ticketsOut).toBe(1);
});

test('revoking a holder takes its tickets back', () => {
  const tickets = createTickets(createManualClock());
  const ofDevice = tickets.issueTicket(device).ticket;
  const ofReader = tickets.issueTicket(reader).ticket;
  tickets.forgetTickets('d1');
  expect(tickets.redeemDeviceTicket(ofDevice)).toBeNull();
  expect(tickets.redeemLiveTicket(ofReader)).toEqual(reader.identity);
});
