import { expect, test } from 'vitest';

import { createFailedAttempts } from '#identity/failed-attempts.ts';
import { createKeyring, type Known } from '#identity/keyring.ts';
import { newKey } from '#identity/keys.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

interface Holder {
  readonly id: string;
}

function setUp() {
  const clock = createManualClock();
  const asked: ((known: Known<Holder>) => void)[] = [];
  const keyring = createKeyring<Holder>({
    kind: 'device',
    clock,
    failed: createFailedAttempts(clock),
    counters: { lookups: 0, failures: 0, refused: 0 },
    lookUp: () => new Promise((resolve) => asked.push(resolve)),
    idOf: ({ id }) => id,
  });
  return { keyring, asked };
}

const holder: Known<Holder> = { identity: { id: 'd1' }, expiresAtUs: Number.POSITIVE_INFINITY };
const nobody: Known<Holder> = { identity: null, expiresAtUs: 0 };

test('an answer that was under way when its key was revoked is neither shared nor remembered', async () => {
  const { keyring, asked } = setUp();
  const { key } = newKey('device');
  const before = keyring.find(key, null);
  keyring.forget('d1');
  const after = keyring.find(key, null);
  expect(asked).toHaveLength(2);
  asked[1]!(nobody);
  expect(await after).toBeNull();
  asked[0]!(holder);
  // Who asked before the revocation may have been answered before it too.
  expect(await before).toEqual({ id: 'd1' });
  expect(await keyring.find(key, null)).toBeNull();
});

test('what was forgotten does not keep the next answer from being shared and remembered', async () => {
  const { keyring, asked } = setUp();
  const { key } = newKey('device');
  keyring.forget('d2');
  const both = Promise.all([keyring.find(key, null), keyring.find(key, null)]);
  asked[0]!(holder);
  expect(await both).toEqual([{ id: 'd1' }, { id: 'd1' }]);
  expect(await keyring.find(key, null)).toEqual({ id: 'd1' });
  expect(asked).toHaveLength(1);
});
