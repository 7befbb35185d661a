import { expect, test } from 'vitest';

import { parseShards } from '#app/jobs.ts';
import { queueLimits } from '#store/job-queue.ts';

test('the queues that are named are served, and what is left out is not', () => {
  expect(parseShards('all')).toEqual([]);
  expect(parseShards('')).toEqual([]);
  expect(parseShards('0-7')).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
  expect(parseShards('1, 3-15')).toEqual([0, 2]);
});

test('what is no queue is refused, with what it takes', () => {
  for (const text of ['x', '5-3', `0-${queueLimits.shards}`, '1,,2', '-1', '1.5'])
    expect(() => parseShards(text)).toThrow(/give numbers from 0 to 15/);
});
