import fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  blindOf,
  comparable,
  masterKeyOf,
  newKey,
  open,
  seal,
  searchedKinds,
  unwrapKey,
  wrapKey,
} from '#clinic/master-keys.ts';

test('what was sealed opens with the same key and context, and with no other', () => {
  const [key, other] = [newKey(), newKey()];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.string(), fc.string(), (bytes, context, wrong) => {
      const sealed = seal(key, context, Buffer.from(bytes));
      expect(open(key, context, sealed)).toEqual(Buffer.from(bytes));
      expect(open(other, context, sealed)).toBe(null);
      if (Buffer.from(wrong).equals(Buffer.from(context))) return;
      expect(open(key, wrong, sealed)).toBe(null);
    }),
    { numRuns: 200 },
  );
});

test('any changed bit, and any cut, is noticed', () => {
  const key = newKey();
  const sealed = seal(key, 'here', Buffer.from('Erika Muster'));
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = Buffer.from(sealed);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    expect(open(key, 'here', changed)).toBe(null);
  }
  for (let length = 0; length < sealed.length; length++)
    expect(open(key, 'here', sealed.subarray(0, length))).toBe(null);
});

test('the same text is sealed differently each time', () => {
  const key = newKey();
  const all = Array.from({ length: 50 }, () => seal(key, '', Buffer.from('x')).toString('hex'));
  expect(new Set(all).size).toBe(50);
});

test('a wrapped key opens for its owner and master key only', async () => {
  const master = masterKeyOf(newKey());
  const masters = { find: async (id: string) => (id === master.id ? master : null) };
  const owner = { orgId: 'o', patientId: 'p' };
  const key = newKey();
  const wrapped = wrapKey(master, owner, key);
  expect(await unwrapKey(masters, owner, wrapped)).toEqual(key);
  for (const wrong of [
    { ...owner, patientId: 'q' },
    { ...owner, orgId: 'x' },
    { ...owner, patientId: null },
  ])
    await expect(unwrapKey(masters, wrong, wrapped)).rejects.toMatchObject({ code: 'conflict' });
  const unknown = { ...wrapped, masterKeyId: '0000000000000000' };
  await expect(unwrapKey(masters, owner, unknown)).rejects.toMatchObject({ code: 'conflict' });
});

test('values that mean the same are the same, others are not', () => {
  const same = [
    ['name', 'Núñez, José', ' josé  NUNEZ '],
    ['name', 'Groß', 'GROSS'],
    ['name', 'Ｅｒｉｋａ', 'Erika'],
    ['recordNumber', 'K-00 17/a', 'k0017A'],
    ['phone', '+49 (30) 12-34', '0049301234'],
    ['email', 'A@B.org', ' a@b.ORG'],
    ['birthDate', '1950-01-02', ' 1950-01-02 '],
  ] as const;
  for (const [kind, a, b] of same) expect(comparable(kind, a)).toBe(comparable(kind, b));
  const nothing = [
    ['name', '--'],
    ['birthDate', '2.1.1950'],
    ['recordNumber', '-'],
    ['phone', '12'],
    ['email', 'nobody'],
  ] as const;
  for (const [kind, text] of nothing) expect(comparable(kind, text)).toBe(null);
  // Marks of other scripts are part of a word.
  expect(comparable('name', 'की')).not.toBe(comparable('name', 'क'));
});

test('blind indexes differ by kind and by organisation', () => {
  const [a, b] = [newKey(), newKey()];
  const text = '1950-01-02';
  const kinds = searchedKinds.map((kind) => blindOf(a, kind, text)?.toString('hex')).filter(Boolean);
  expect(kinds.length).toBeGreaterThan(2);
  expect(new Set(kinds).size).toBe(kinds.length);
  expect(blindOf(a, 'name', text)).not.toEqual(blindOf(b, 'name', text));
});
