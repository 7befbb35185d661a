import { expect, test } from 'vitest';

import { uuidv7 } from '#base/uuid.ts';
import { idOf, readingContent } from '#test/simulation/readings.ts';
import { seedEntropy } from '#test/simulation/seeded-entropy.ts';

test('a reading says which it is, and any change of it shows', () => {
  for (const id of [0, 1, 2 ** 20 - 1, 2 ** 20, 123_456_789, 2 ** 40 - 1])
    for (const axes of [2, 3, 9]) {
      const bytes = new Uint8Array(readingContent(id, axes).buffer);
      expect(idOf(bytes, 0, axes)).toBe(id);
      for (let i = 8; i < bytes.length; i++) {
        bytes[i]! ^= 1;
        expect(idOf(bytes, 0, axes)).toBeNull();
        bytes[i]! ^= 1;
      }
    }
});

test('the same seed gives the same ids, and the platform gets its entropy back', () => {
  const ids = [1, 1, 2].map((seed) => {
    const restore = seedEntropy(seed);
    const id = uuidv7({ nowUs: () => 5000 });
    restore();
    restore();
    return id;
  });
  expect(ids[1]).toBe(ids[0]);
  expect(ids[2]).not.toBe(ids[0]);
  expect(Object.hasOwn(crypto, 'getRandomValues')).toBe(false);
  expect(uuidv7({ nowUs: () => 5000 })).not.toBe(uuidv7({ nowUs: () => 5000 }));
});
