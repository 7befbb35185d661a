import fc from 'fast-check';
import { expect, test } from 'vitest';

import { createCreditLedger, createCreditPool, createSpotCredit } from '#ingest/credit.ts';

const window = { quietBytes: 20, initialBytes: 100, maxBytes: 1_600 };

/** Sends all that is granted and settles it, as a device with a backlog does. */
function burst(ledger: ReturnType<typeof createCreditLedger>): void {
  const bytes = ledger.grantedBytes - ledger.receivedBytes;
  expect(ledger.receive(bytes)).toBe(true);
  ledger.wake();
  ledger.settle(bytes);
}

test('what is received beyond the grant is refused and not counted', () => {
  const ledger = createCreditLedger(createCreditPool(10_000), window);
  expect(ledger.grantedBytes).toBe(100);
  expect(ledger.receive(101)).toBe(false);
  expect(ledger.receive(100)).toBe(true);
  expect(ledger.receive(1)).toBe(false);
  expect(ledger.receivedBytes).toBe(100);
});

test('settling grants as much anew, and a window in full use doubles up to its maximum', () => {
  const ledger = createCreditLedger(createCreditPool(10_000), window);
  const windows: number[] = [];
  for (let i = 0; i < 6; i++) {
    burst(ledger);
    windows.push(ledger.grantedBytes - ledger.receivedBytes);
  }
  expect(windows).toEqual([200, 400, 800, 1_600, 1_600, 1_600]);
});

test('a window that is hardly used does not grow', () => {
  const ledger = createCreditLedger(createCreditPool(10_000), window);
  for (let i = 0; i < 10; i++) {
    ledger.receive(40);
    ledger.settle(40);
  }
  expect(ledger.grantedBytes - ledger.receivedBytes).toBe(100);
});

test('windows that grew leave a part of the pool to those that come later', () => {
  const pool = createCreditPool(4_000);
  const greedy = Array.from({ length: 10 }, () => createCreditLedger(pool, window));
  for (let round = 0; round < 20; round++) greedy.forEach(burst);
  expect(pool.reservedBytes).toBeLessThanOrEqual(3_000);
  const late = createCreditLedger(pool, window);
  expect(late.grantedBytes).toBe(20);
  late.receive(20);
  expect(late.wake()).toBe(true);
  expect(late.grantedBytes).toBe(100);
});

test('a pool used up by large windows is shared again as they are used', () => {
  const pool = createCreditPool(4_000);
  const first = [createCreditLedger(pool, window), createCreditLedger(pool, window)];
  for (let round = 0; round < 10; round++) first.forEach(burst);
  const later = Array.from({ length: 10 }, () => createCreditLedger(pool, window));
  for (let round = 0; round < 50; round++) [...first, ...later].forEach(burst);
  for (const ledger of [...first, ...later])
    expect(ledger.grantedBytes - ledger.receivedBytes).toBeGreaterThanOrEqual(100);
});

test('what was dropped is granted again only later, and in a smaller window', () => {
  const ledger = createCreditLedger(createCreditPool(10_000), window);
  for (let i = 0; i < 4; i++) burst(ledger);
  ledger.receive(1_600);
  const granted = ledger.grantedBytes;
  ledger.drop(400);
  expect(ledger.grantedBytes).toBe(granted);
  expect(ledger.topUp()).toBe(false);
  ledger.drop(1_200);
  expect(ledger.topUp()).toBe(true);
  expect(ledger.grantedBytes - granted).toBe(400);
});

test('a closed account grants nothing more, and returns what it holds as that settles', () => {
  const pool = createCreditPool(1_000);
  const ledger = createCreditLedger(pool, window);
  ledger.receive(60);
  ledger.close();
  ledger.close();
  expect(pool.reservedBytes).toBe(60);
  expect(ledger.receive(1)).toBe(false);
  ledger.settle(60);
  expect(ledger.topUp()).toBe(false);
  expect(pool.reservedBytes).toBe(0);
});

test('a connection that finds the pool empty is served when others give back', () => {
  const pool = createCreditPool(100);
  const first = createCreditLedger(pool, { ...window, quietBytes: 100 });
  const second = createCreditLedger(pool, window);
  expect(second.grantedBytes).toBe(0);
  expect(pool.shortages).toBe(1);
  first.close();
  expect(second.topUp()).toBe(true);
  expect(second.grantedBytes).toBe(20);
});

test('while credit is scarce a connection begins with a quiet window, and first windows leave some to those', () => {
  const pool = createCreditPool(800);
  const busy = Array.from({ length: 20 }, () => createCreditLedger(pool, window));
  expect(busy.map(({ grantedBytes }) => grantedBytes).slice(4, 6)).toEqual([100, 20]);
  for (const ledger of busy.slice(5, 8)) ledger.wake();
  expect(pool.reservedBytes).toBe(800);
  busy[0]!.close();
  busy[19]!.wake();
  expect(busy[19]!.grantedBytes).toBe(20);
  expect(createCreditLedger(pool, window).grantedBytes).toBe(20);
});

test('a quiet connection gives back all but a quiet window, and wakes to a first one', () => {
  const pool = createCreditPool(3_000);
  const ledger = createCreditLedger(pool, window);
  for (let i = 0; i < 5; i++) burst(ledger);
  expect(ledger.hasIdle).toBe(true);
  const used = ledger.receivedBytes;
  expect(ledger.reclaim()).toBe(used + 20);
  expect(ledger.hasIdle).toBe(false);
  expect([ledger.statedBytes, ledger.grantedBytes]).toEqual([used + 20, used + 1_600]);
  expect(ledger.topUp()).toBe(false);
  expect(ledger.reclaimed(used - 1)).toBe(false);
  expect(ledger.reclaimed(used + 1_601)).toBe(false);
  expect(ledger.reclaimed(used + 20)).toBe(true);
  expect(pool.reservedBytes).toBe(20);
  expect(ledger.topUp()).toBe(false);
  expect(ledger.receive(21)).toBe(false);
  expect(ledger.receive(20)).toBe(true);
  expect(ledger.wake()).toBe(true);
  expect(ledger.grantedBytes - used).toBe(100);
});

test('a connection that closes while it is asked gives everything back once', () => {
  const pool = createCreditPool(150);
  const ledger = createCreditLedger(pool, window);
  ledger.reclaim();
  ledger.close();
  expect(pool.reservedBytes).toBe(0);
  ledger.reclaimFailed();
  expect(ledger.statedBytes).toBe(0);
});

test('spot credit reserves what comes and nothing ahead, up to its maximum and the pool', () => {
  const pool = createCreditPool(400);
  const spot = createSpotCredit(pool, 200);
  expect(pool.reservedBytes).toBe(0);
  expect(spot.take(200)).toBe(true);
  expect(spot.take(1)).toBe(false);
  const other = createSpotCredit(pool, 1_000);
  expect(other.take(101)).toBe(false);
  expect(pool.reservedBytes).toBe(200);
  expect(other.take(100)).toBe(true);
  spot.settle(150);
  spot.drop(50);
  other.settle(100);
  expect(pool.reservedBytes).toBe(0);
});

const action = fc.record({
  kind: fc.constantFrom(
    'open',
    'receive',
    'settle',
    'drop',
    'topUp',
    'wake',
    'ask',
    'answer',
    'keep',
    'close',
  ),
  ledger: fc.nat(7),
  bytes: fc.nat(500),
});

test('whatever happens, the pool is never exceeded and everything comes back', () => {
  fc.assert(
    fc.property(
      fc.array(action, { maxLength: 300 }),
      fc.integer({ min: 0, max: 3_000 }),
      (actions, total) => {
        const pool = createCreditPool(total);
        let refused = 0;
        const ledgers: { ledger: ReturnType<typeof createCreditLedger>; outstanding: number }[] = [];
        for (const { kind, ledger: index, bytes } of actions) {
          const one = ledgers[index % Math.max(1, ledgers.length)];
          if (kind === 'open' || one === undefined)
            ledgers.push({ ledger: createCreditLedger(pool, window), outstanding: 0 });
          else if (kind === 'receive') {
            if (one.ledger.receive(bytes)) one.outstanding += bytes;
          } else if (kind === 'settle' || kind === 'drop') {
            const leaving = Math.min(bytes, one.outstanding);
            one.ledger[kind](leaving);
            one.outstanding -= leaving;
          } else if (kind === 'ask') {
            if (one.ledger.hasIdle) one.ledger.reclaim();
          } else if (kind === 'answer') {
            // Somewhere between what is asked for and everything.
            const { statedBytes, grantedBytes, receivedBytes } = one.ledger;
            const least = Math.max(statedBytes, receivedBytes);
            if (!one.ledger.reclaimed(least + (bytes % (grantedBytes - least + 1)))) refused++;
          } else if (kind === 'keep') one.ledger.reclaimFailed();
          else one.ledger[kind]();
          expect(pool.reservedBytes).toBeLessThanOrEqual(total);
          const held = ledgers.reduce(
            (sum, { ledger, outstanding }) => sum + outstanding + ledger.grantedBytes - ledger.receivedBytes,
            0,
          );
          expect(pool.reservedBytes).toBe(held);
        }
        expect(refused).toBe(0);
        for (const { ledger, outstanding } of ledgers) {
          ledger.close();
          ledger.settle(outstanding);
        }
        expect(pool.reservedBytes).toBe(0);
      },
    ),
  );
});
