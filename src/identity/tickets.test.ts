import { expect, test } from 'vitest';

import { createMemoryShelf } from '#identity/ticket-shelf.ts';
import { createTickets } from '#identity/tickets.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { testPrincipal } from '#test/support/principals.ts';

const device = { purpose: 'device', identity: { deviceId: 'd1', orgId: 'o1' } } as const;
const reader = { purpose: 'live', identity: testPrincipal() } as const;

test('a ticket is good once, for its own purpose', async () => {
  const tickets = createTickets(createManualClock());
  const { ticket } = await tickets.issueTicket(device);
  expect(await tickets.redeemDeviceTicket(ticket)).toEqual(device.identity);
  expect(await tickets.redeemDeviceTicket(ticket)).toBeNull();
  const live = (await tickets.issueTicket(reader)).ticket;
  expect(await tickets.redeemLiveTicket(live)).toEqual(reader.identity);
});

test('of two who show the same ticket at once, one is let in', async () => {
  const tickets = createTickets(createManualClock());
  const { ticket } = await tickets.issueTicket(device);
  const both = await Promise.all([tickets.redeemDeviceTicket(ticket), tickets.redeemDeviceTicket(ticket)]);
  expect(both.filter((one) => one !== null)).toHaveLength(1);
});

test('a wrong use spends it', async () => {
  const tickets = createTickets(createManualClock());
  const { ticket } = await tickets.issueTicket(device);
  expect(await tickets.redeemLiveTicket(ticket)).toBeNull();
  expect(await tickets.redeemDeviceTicket(ticket)).toBeNull();
  expect(await tickets.redeemDeviceTicket('')).toBeNull();
});

test('it dies after 30 seconds, whatever the wall clock does', async () => {
  const clock = createManualClock();
  const tickets = createTickets(clock);
  const early = await tickets.issueTicket(device);
  expect(early.expiresAtUs).toBe(clock.nowUs() + 30_000_000);
  clock.advance(29_999);
  clock.jumpWallUs(0);
  const late = await tickets.issueTicket(device);
  expect(await tickets.redeemDeviceTicket(late.ticket)).not.toBeNull();
  const second = await tickets.issueTicket(device);
  clock.advance(1);
  expect(await tickets.redeemDeviceTicket(early.ticket)).toBeNull();
  expect(await tickets.redeemDeviceTicket(second.ticket)).not.toBeNull();
});

test('what was revoked cannot use its tickets, wherever they lie', async () => {
  const clock = createManualClock();
  const shelf = createMemoryShelf(clock);
  const [here, elsewhere] = [createTickets(clock, shelf), createTickets(clock, shelf)];
  const { ticket } = await here.issueTicket(device);
  const other = await here.issueTicket(reader);
  elsewhere.forgetTickets('d1');
  expect(await elsewhere.redeemDeviceTicket(ticket)).toBeNull();
  expect(await elsewhere.redeemLiveTicket(other.ticket)).not.toBeNull();
});

test('one instance redeems what another issued, where they share a shelf', async () => {
  const clock = createManualClock();
  const shelf = createMemoryShelf(clock);
  const { ticket } = await createTickets(clock, shelf).issueTicket({
    purpose: 'live',
    identity: testPrincipal({ grants: [{ channels: 'a/*', operations: ['subscribe'] }], expiresAtUs: 2e15 }),
  });
  expect(await createTickets(clock, shelf).redeemLiveTicket(ticket)).toMatchObject({ expiresAtUs: 2e15 });
});

test('as many tickets are out as there is room for; ended ones make room', async () => {
  const clock = createManualClock();
  const tickets = createTickets(clock);
  for (let i = 0; i < 20_000; i++) await tickets.issueTicket(device);
  await expect(tickets.issueTicket(device)).rejects.toMatchObject({ code: 'overloaded', temporary: true });
  clock.advance(30_000);
  await expect(tickets.issueTicket(device)).resolves.toMatchObject({ ticket: expect.any(String) });
});

test('who was revoked, or whose time ended, gets nothing for a ticket that was made before', async () => {
  const clock = createManualClock();
  const revoked = new Set<string>();
  const tickets = createTickets(clock, undefined, ({ subject }) => revoked.has(subject));
  const issue = async (changes: Parameters<typeof testPrincipal>[0]): Promise<string> => {
    const identity = testPrincipal({ kind: 'token', ...changes });
    return (await tickets.issueTicket({ purpose: 'live', identity })).ticket;
  };
  const [anna, ben, brief] = [
    await issue({ subject: 'user:anna' }),
    await issue({ subject: 'user:ben' }),
    await issue({ expiresAtUs: clock.nowUs() + 5_000_000 }),
  ];
  revoked.add('user:anna');
  clock.advance(5_000);
  expect(await tickets.redeemLiveTicket(anna)).toBeNull();
  expect(await tickets.redeemLiveTicket(brief)).toBeNull();
  expect(await tickets.redeemLiveTicket(ben)).toMatchObject({ subject: 'user:ben' });
});
