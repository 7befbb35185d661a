import { expect, test } from 'vitest';

import { hashKey, kindOfKey, newKey } from '#identity/keys.ts';

test('a new key tells its kind, has 256 random bits, and hashes to what is kept', () => {
  for (const [kind, prefix] of [
    ['device', 'kd_'],
    ['access', 'ka_'],
  ] as const) {
    const { key, hash } = newKey(kind);
    expect(key.startsWith(prefix)).toBe(true);
    expect(Buffer.from(key.slice(3), 'base64url')).toHaveLength(32);
    expect(kindOfKey(key)).toBe(kind);
    expect(hashKey(key)).toEqual(hash);
    expect(hash).toHaveLength(32);
    expect(newKey(kind).key).not.toBe(key);
  }
});

test('the hash is SHA-256 (FIPS 180-2, appendix B.1)', () => {
  expect(hashKey('abc').toString('hex')).toBe(
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  );
});

test('anything else has no kind', () => {
  const { key } = newKey('device');
  for (const text of [
    '',
    'kd_',
    key.slice(1),
    `${key}A`,
    key.replace('kd_', 'kx_'),
    `kd_${'é'.repeat(43)}`,
    'a'.repeat(1e6),
  ])
    expect(kindOfKey(text)).toBeNull();
});
