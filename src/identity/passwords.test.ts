import { expect, test } from 'vitest';

import { createPasswords, passwordLimits } from '#identity/passwords.ts';

test('a password is kept as Argon2id, each time with another salt, and recognised', async () => {
  const passwords = createPasswords();
  const [one, two] = [await passwords.hash('a walk in the park'), await passwords.hash('a walk in the park')];
  expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  expect(one).not.toBe(two);
  expect(await passwords.isRight('a walk in the park', one)).toBe(true);
  expect(await passwords.isRight('a walk in the Park', one)).toBe(false);
});

test('composed and decomposed letters are the same password', async () => {
  const passwords = createPasswords();
  expect(
    await passwords.isRight('Schritt für Schritt', await passwords.hash('Schritt fu\u0308r Schritt')),
  ).toBe(true);
});

test('nobody’s password is never right, nor that of a damaged hash', async () => {
  const passwords = createPasswords();
  expect(await passwords.isRight('', null)).toBe(false);
  expect(await passwords.isRight('a', '$argon2id$v=19$m=1,t=1,p=1$short$short')).toBe(false);
});

test('beyond the queue people are sent away, and the rest are served', async () => {
  const limits = { ...passwordLimits, maxWaiting: 2 };
  const passwords = createPasswords(limits);
  const asked = Array.from({ length: limits.atOnce + limits.maxWaiting + 3 }, () =>
    passwords.isRight('a', null),
  );
  const outcomes = await Promise.allSettled(asked);
  const refused = outcomes.filter(({ status }) => status === 'rejected');
  expect(refused).toHaveLength(3);
  expect(refused[0]).toMatchObject({ reason: { code: 'overloaded', temporary: true } });
});
