import fc from 'fast-check';
import { expect, test } from 'vitest';

import { decodeCursor, encodeCursor, MAX_POSITIONS } from '#protocol/channel-cursor.ts';

const channelNames = fc.stringMatching(/^[a-z0-9][a-z0-9/_-]{0,60}$/);
const positions = fc.record({
  epoch: fc.stringMatching(/^[a-z0-9]{1,16}$/),
  offset: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
});

test('a cursor gives back every position that went in, and nothing of other channels', () => {
  fc.assert(
    fc.property(fc.dictionary(channelNames, positions, { maxKeys: MAX_POSITIONS }), (given) => {
      const cursor = decodeCursor(encodeCursor(Object.entries(given)));
      expect(cursor?.size).toBe(Object.keys(given).length);
      for (const [name, position] of Object.entries(given))
        expect(cursor?.positionOf(name)).toEqual(position);
      expect(cursor?.positionOf('no such channel')).toBeNull();
    }),
  );
});

test('64 channels stay below 2 kB, and no more fit', () => {
  const many = Array.from(
    { length: 70 },
    (_, i) => [`session/${i}`, { epoch: 'abcdefgh1234', offset: 2 ** 40 }] as const,
  );
  const token = encodeCursor(many);
  expect(token.length).toBeLessThan(2_500);
  expect(decodeCursor(token)?.size).toBe(MAX_POSITIONS);
});

test('what is no cursor is null, whatever it is', () => {
  for (const token of ['', '!', 'AA', 'AQA', `A${'Q'.repeat(7)}`]) expect(decodeCursor(token)).toBeNull();
  fc.assert(
    fc.property(fc.string(), (token) => {
      const cursor = decodeCursor(token);
      expect(cursor === null || cursor.size <= MAX_POSITIONS).toBe(true);
    }),
  );
});
