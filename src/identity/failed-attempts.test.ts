import { expect, test } from 'vitest';

import { attemptLimits, createFailedAttempts } from '#identity/failed-attempts.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

function failOften(failed: ReturnType<typeof createFailedAttempts>, address: string): void {
  for (let i = 0; i < attemptLimits.failuresPerMinute; i++) {
    expect(failed.isBlocked(address)).toBe(false);
    failed.record(address);
  }
}

test('an address is blocked after a minute’s worth of failures, and freed evenly', () => {
  const clock = createManualClock();
  const failed = createFailedAttempts(clock);
  failOften(failed, '192.0.2.1');
  expect(failed.isBlocked('192.0.2.1')).toBe(true);
  expect(failed.isBlocked('::ffff:192.0.2.1')).toBe(true);
  expect(failed.isBlocked('192.0.2.2')).toBe(false);
  clock.advance(60_000 / attemptLimits.failuresPerMinute);
  expect(failed.isBlocked('192.0.2.1')).toBe(false);
  failed.record('192.0.2.1');
  expect(failed.isBlocked('192.0.2.1')).toBe(true);
  clock.advance(60_000);
  failOften(failed, '192.0.2.1');
});

test('an IPv6 network of 64 bits counts as one address', () => {
  const failed = createFailedAttempts(createManualClock());
  failOften(failed, '2001:db8:1:2::1');
  expect(failed.isBlocked('2001:db8:1:2:ffff:ffff:ffff:ffff')).toBe(true);
  expect(failed.isBlocked('2001:db8:1:3::1')).toBe(false);
  const short = createFailedAttempts(createManualClock());
  failOften(short, '2001:db8::1');
  expect(short.isBlocked('2001:db8:0:0:1:2:3:4')).toBe(true);
  expect(short.isBlocked('2001:db8:0:1::1')).toBe(false);
});

test('the address longest unseen is forgotten first', () => {
  const failed = createFailedAttempts(createManualClock());
  failOften(failed, 'first');
  failOften(failed, 'second');
  for (let i = 0; i < attemptLimits.maxAddresses - 1; i++) failed.record(`other-${i}`);
  expect(failed.isBlocked('second')).toBe(true);
  expect(failed.isBlocked('first')).toBe(false);
});
