import { expect, test } from 'vitest';

import { createSecretBox, type MasterKeySource } from '#identity/secret-box.ts';

const keysOf = (...fills: number[]): MasterKeySource => {
  const ring = fills.map((fill) => ({
    id: fill.toString(16).padStart(16, '0'),
    key: Buffer.alloc(32, fill),
  }));
  return { current: async () => ring[0]!, find: async (id) => ring.find((key) => key.id === id) ?? null };
};
const secret = Buffer.from('twenty bytes of it..');

test('what is sealed opens for its owner alone, also after the master key was exchanged', async () => {
  const sealed = await createSecretBox(keysOf(1)).seal(secret, 'a');
  expect(sealed.includes(secret)).toBe(false);
  const later = createSecretBox(keysOf(2, 1));
  expect((await later.open(sealed, 'a')).secret).toEqual(secret);
  await expect(later.open(sealed, 'b')).rejects.toMatchObject({ code: 'internal' });
  await expect(createSecretBox(keysOf(2)).open(sealed, 'a')).rejects.toThrow('does not have the master key');
  sealed[sealed.length - 1]! ^= 1;
  await expect(later.open(sealed, 'a')).rejects.toMatchObject({ code: 'internal' });
});

test('keyed hashes differ by owner and by master key', async () => {
  const macOf = async (fill: number, owner: string): Promise<string> => {
    const box = createSecretBox(keysOf(fill));
    return (await box.open(await box.seal(secret, owner), owner)).mac('code').toString('hex');
  };
  expect(await macOf(1, 'a')).toBe(await macOf(1, 'a'));
  expect(new Set([await macOf(1, 'a'), await macOf(1, 'b'), await macOf(2, 'a')]).size).toBe(3);
});
