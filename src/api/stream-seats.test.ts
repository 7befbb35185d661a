import { expect, test } from 'vitest';

import type { Principal } from '#contract/principal.ts';
import { createSeats } from '#api/stream-seats.ts';

const someone = (subject: string): Principal => ({
  kind: 'access',
  orgId: 'o',
  subject,
  role: 'service',
  patientId: null,
  permissions: [],
  grants: null,
  expiresAtUs: Number.POSITIVE_INFINITY,
  revocationId: subject,
});

test('one identity, one network and all together have so many places', () => {
  const seats = createSeats('streams', { perSubject: 1, perNetwork: 2, inAll: 3 });
  const leave = seats.take(someone('a'), '192.0.2.1');
  expect(() => seats.take(someone('a'), '192.0.2.2')).toThrow(/of one identity/);
  seats.take(someone('b'), '::ffff:192.0.2.1');
  expect(() => seats.take(someone('c'), '192.0.2.1')).toThrow(/of one address/);
  seats.take(someone('c'), '2001:db8::1');
  expect(() => seats.take(someone('d'), '192.0.2.9')).toThrow(/has all the streams/);
  expect(seats.taken).toBe(3);
  leave();
  leave();
  expect(seats.taken).toBe(2);
  seats.take(someone('a'), '192.0.2.1');
});
