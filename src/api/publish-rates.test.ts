import { expect, test } from 'vitest';

import type { Principal } from '#contract/principal.ts';
import { createPublishRates, publishRates } from '#api/publish-rates.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

const person: Principal = {
  kind: 'access',
  orgId: 'o',
  subject: 'a',
  role: 'service',
  patientId: null,
  permissions: [],
  grants: null,
  expiresAtUs: Number.POSITIVE_INFINITY,
  revocationId: 'a',
};

test('a flood of one identity is refused until time has passed, and no other is', () => {
  const clock = createManualClock();
  const count = createPublishRates(clock);
  for (let i = 0; i < publishRates.person.burst; i++) count(person);
  expect(() => count(person)).toThrow(/at most 50/);
  count({ ...person, subject: 'b' });
  count({ ...person, orgId: 'p' });
  clock.advance(20);
  count(person);
  expect(() => count(person)).toThrow(/at most 50/);
});

test('a back end publishes for many', () => {
  const count = createPublishRates(createManualClock());
  for (let i = 0; i < publishRates.server.burst; i++) count({ ...person, kind: 'server' });
  expect(() => count({ ...person, kind: 'server' })).toThrow(/at most 5000/);
});
