import fc from 'fast-check';
import { expect, test } from 'vitest';

import { AssertionError } from '#base/assert.ts';
import { createBoundedQueue } from '#base/bounded-queue.ts';

const anyCommands = fc.array(fc.oneof(fc.constant('shift' as const), fc.constant('push' as const)), {
  maxLength: 200,
});

test('it does what an array that drops its first does', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), anyCommands, (maxItems, commands) => {
      const queue = createBoundedQueue<number>(maxItems);
      const model: number[] = [];
      let dropped = 0;
      for (const [i, command] of commands.entries()) {
        if (command === 'push') model.push(i);
        const isOver = model.length > maxItems;
        if (isOver) dropped++;
        const expected = isOver || command === 'shift' ? model.shift() : undefined;
        expect(command === 'push' ? queue.push(i) : queue.shift()).toBe(expected);
        expect(queue.size).toBe(model.length);
        expect(queue.peek()).toBe(model[0]);
        expect(queue.isFull).toBe(model.length === maxItems);
        expect(queue.dropped).toBe(dropped);
      }
    }),
    { numRuns: 300 },
  );
});

test('it grows past its first capacity without losing order, also when it wraps', () => {
  const queue = createBoundedQueue<number>(1000);
  for (let i = 0; i < 10; i++) queue.push(i);
  for (let i = 0; i < 5; i++) queue.shift();
  for (let i = 10; i < 1005; i++) queue.push(i);
  expect(queue.isFull).toBe(true);
  expect(Array.from({ length: 1000 }, () => queue.shift())).toEqual(
    Array.from({ length: 1000 }, (_, i) => i + 5),
  );
  expect(queue.dropped).toBe(0);
});

test('a maximum that is no count is a bug', () => {
  for (const maxItems of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => createBoundedQueue(maxItems)).toThrow(AssertionError);
});
