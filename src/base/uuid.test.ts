import fc from 'fast-check';
import { expect, test } from 'vitest';

import { derivedEpoch, randomEpoch, uuidv7 } from '#base/uuid.ts';

const format = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test('an id has version 7, variant 10 and its time in the first 48 bits', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 43 }), (ms) => {
      const id = uuidv7({ nowUs: () => ms * 1000 + 999 });
      expect(id).toMatch(format);
      expect(Number.parseInt(id.replace('-', '').slice(0, 12), 16)).toBe(ms);
    }),
  );
});

test('ids sort by time as text', () => {
  const ids = [1, 2, 1000, 1_700_000_000_000].map((ms) => uuidv7({ nowUs: () => ms * 1000 }));
  expect(ids.toSorted()).toEqual(ids);
});

test('ids of the same millisecond differ', () => {
  const ids = new Set(Array.from({ length: 1000 }, () => uuidv7({ nowUs: () => 5000 })));
  expect(ids.size).toBe(1000);
});

test('an epoch is 16 hexadecimal digits, drawn anew each time', () => {
  const epochs = new Set(Array.from({ length: 1000 }, randomEpoch));
  expect(epochs.size).toBe(1000);
  for (const epoch of epochs) expect(epoch).toMatch(/^[0-9a-f]{16}$/);
});

test('an epoch that is derived follows from all that it was derived from', () => {
  const own = (epoch: string, ...parts: number[]): string => derivedEpoch(epoch, parts);
  expect(own('0123456789abcdef', 1, 2, 3)).toBe(own('0123456789abcdef', 1, 2, 3));
  const others = [
    own('0123456789abcdef', 1, 2, 3),
    own('0123456789abcdee', 1, 2, 3),
    own('0123456789abcdef', 1, 2, 4),
    own('0123456789abcdef', 2, 1, 3),
    own('0123456789abcdef', -1, 2, 3),
    own('0123456789abcdef', 2 ** 51, 2, 3),
  ];
  expect(new Set(others).size).toBe(others.length);
  for (const epoch of others) expect(epoch).toMatch(/^[0-9a-f]{16}$/);
  // The first output of SplitMix64 for the seed 1234567.
  expect(own((1_234_567).toString(16).padStart(16, '0'), 0)).toBe(6_457_827_717_110_365_317n.toString(16));
});
