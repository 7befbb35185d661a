import { expect, test } from 'vitest';

import { judgeInfo } from '#bus/redis-link.ts';

const info = (fields: Record<string, string>): string =>
  Object.entries({
    redis_version: '7.0.15',
    redis_mode: 'standalone',
    run_id: 'abc',
    role: 'master',
    ...fields,
  })
    .map(([name, value]) => `${name}:${value}\r\n`)
    .join('');

test.each(['7.0.15', '6.2.0', '8.2.1'])('Redis %s will do', (version) => {
  expect(judgeInfo(info({ redis_version: version }))).toBe('abc');
});

test.each([
  [{ redis_version: '6.0.16' }, 'version 6.0.16'],
  [{ redis_version: '5.0.7' }, '6.2 is the oldest'],
  [{ redis_mode: 'cluster' }, 'cluster'],
  [{ role: 'slave' }, 'replica'],
  [{ run_id: '' }, 'run_id'],
])('%j is refused', (fields, message) => {
  expect(() => judgeInfo(info(fields))).toThrow(message);
});
