import { expect, test } from 'vitest';

import { pageRows } from '#store/page-rows.ts';

test('a page reads at least one row more than it shows, by one of few numbers', () => {
  const rows = Array.from({ length: 1_001 }, (_, limit) => pageRows(limit));
  expect(rows.every((count, limit) => count > limit)).toBe(true);
  expect(new Set(rows).size).toBe(6);
  expect(() => pageRows(1_001)).toThrow('a page of 1001 is none');
});
