import { expect, test } from 'vitest';

import { spreadRevocations } from '#app/revocation-spread.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import type { Principal } from '#contract/principal.ts';
import { createRevocations } from '#identity/revocations.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { testPrincipal } from '#test/support/principals.ts';

function instance(bus = createMemoryBus()) {
  const open: Principal[] = [
    testPrincipal(),
    testPrincipal({ kind: 'token', subject: 'user:anna', revocationId: 'j1' }),
    testPrincipal({ kind: 'token', orgId: 'o2', subject: 'user:anna', revocationId: 'j1' }),
  ];
  const forgotten: string[] = [];
  const revocations = createRevocations(createManualClock());
  const spread = spreadRevocations({
    bus,
    revocations,
    disconnect: (isConcerned) => open.splice(0, open.length, ...open.filter((one) => !isConcerned(one))),
    forget: (keyId) => void forgotten.push(keyId),
  });
  return { bus, spread, open, forgotten, revocations };
}

test('a revocation closes what is open and refuses from then on, on every instance', () => {
  const here = instance();
  const there = instance(here.bus);
  here.spread.revoke({ orgId: 'o1', subject: 'anna' });
  for (const one of [here, there]) {
    expect(one.open.map(({ orgId, subject }) => `${orgId} ${subject}`)).toEqual(['o1 k1', 'o2 user:anna']);
    expect(one.revocations.isRevoked(testPrincipal({ kind: 'token', subject: 'user:anna' }))).toBe(true);
  }
  here.spread.revoke({ orgId: 'o1', keyId: 'k1' });
  expect(there.forgotten).toContain('k1');
  expect(there.open).toHaveLength(1);
});

test('a key that was exchanged at once ends what the old one has open, and the new one is let in', () => {
  const here = instance();
  const there = instance(here.bus);
  here.spread.revoke({ orgId: 'o1', exchangedId: 'k1' });
  for (const one of [here, there]) {
    expect(one.forgotten).toContain('k1');
    expect(one.open.map(({ subject }) => subject)).toEqual(['user:anna', 'user:anna']);
    expect(one.revocations.isRevoked(testPrincipal())).toBe(false);
  }
});

test('what is no revocation is not believed, and who stopped does not listen', () => {
  const one = instance();
  for (const text of ['', 'null', '{}', '{"orgId":"o1"}', '{"orgId":"o1","subject":7}'])
    one.bus.publish('identity/revoked', new TextEncoder().encode(text));
  expect(one.open).toHaveLength(3);
  one.spread.stop();
  one.bus.publish('identity/revoked', new TextEncoder().encode('{"orgId":"o1","keyId":"k1"}'));
  expect(one.open).toHaveLength(3);
});
