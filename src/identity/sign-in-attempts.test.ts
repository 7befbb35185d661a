import { expect, test } from 'vitest';

import { createSignInAttempts, signInAttemptLimits as limits } from '#identity/sign-in-attempts.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

function setUp() {
  const clock = createManualClock();
  const attempts = createSignInAttempts(clock);
  const isLetIn = (email: string, address: string): boolean => {
    try {
      attempts.begin(email, address);
      return true;
    } catch {
      return false;
    }
  };
  const count = (times: number, email: string, address: (i: number) => string): number =>
    Array.from({ length: times }, (_, i) => isLetIn(email, address(i))).filter(Boolean).length;
  return { clock, attempts, isLetIn, count };
}

test('an account has few attempts from one network, and one more after a while', () => {
  const { clock, isLetIn, count, attempts } = setUp();
  expect(count(20, 'a@x', () => '192.0.2.1')).toBe(limits.accountFromNetwork);
  expect(attempts.counters.refused).toBe(10);
  expect(isLetIn('a@x', '192.0.2.2')).toBe(true);
  clock.advance(limits.accountDrainMs);
  expect(isLetIn('a@x', '192.0.2.1')).toBe(true);
  expect(isLetIn('a@x', '192.0.2.1')).toBe(false);
});

test('an account has a hundred from everywhere', () => {
  const { count } = setUp();
  expect(count(200, 'a@x', (i) => `192.0.2.${i}`)).toBe(limits.account);
});

test('a network has few over all accounts, and its IPv6 addresses are one', () => {
  const { isLetIn } = setUp();
  const letIn = Array.from({ length: 100 }, (_, i) =>
    isLetIn(`person-${i}@x`, `2001:db8::${i.toString(16)}`),
  );
  expect(letIn.filter(Boolean)).toHaveLength(limits.network);
});

test('a right password gives its attempt back, and forgets the wrong ones before it', () => {
  const { attempts, isLetIn, count } = setUp();
  expect(count(9, 'a@x', () => '192.0.2.1')).toBe(9);
  attempts.begin('a@x', '192.0.2.1').succeeded();
  expect(count(20, 'a@x', () => '192.0.2.1')).toBe(limits.accountFromNetwork);
  expect(isLetIn('b@x', '192.0.2.1')).toBe(true);
});

test('who signed in from a network before is kept out by neither a neighbour nor guessers elsewhere', () => {
  const { attempts, isLetIn, count } = setUp();
  attempts.begin('a@x', '192.0.2.1').succeeded();
  // All that the network has, by somebody behind the same address, and all that the account has, from everywhere.
  for (let i = 0; i < limits.network; i++) isLetIn(`person-${i}@x`, '192.0.2.1');
  expect(count(200, 'a@x', (i) => `198.51.100.${i}`)).toBe(limits.account);
  expect(isLetIn('b@x', '192.0.2.1')).toBe(false);
  expect(isLetIn('a@x', '203.0.113.1')).toBe(false);
  expect(count(20, 'a@x', () => '192.0.2.1')).toBe(limits.accountFromNetwork);
});
