import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { storeError } from '#store/store-error.ts';

const withCode = (code: string): Error => Object.assign(new Error('x'), { code });

test('what means "no server" is unavailable, what means "busy" is overloaded; both are temporary', () => {
  for (const code of ['57P01', '57P03', '08006', 'ECONNREFUSED', 'ENOENT'])
    expect(storeError(withCode(code))).toMatchObject({ code: 'store-unavailable', temporary: true });
  for (const code of ['53300', '55P03', '57014', '40P01'])
    expect(storeError(withCode(code))).toMatchObject({ code: 'overloaded', temporary: true });
  expect(storeError(new Error('Connection terminated unexpectedly'))).toMatchObject({
    code: 'store-unavailable',
  });
  expect(storeError(new Error('timeout exceeded when trying to connect'))).toMatchObject({
    code: 'overloaded',
  });
});

// A torture run found it: streams that were opened while the database's disk was full were answered as an unexpected
// failure, once a stream in the log, and REST said 500 for what passes when there is room again.
test('a database without room is overloaded, not a bug', () => {
  for (const code of ['53100', '53200'])
    expect(storeError(withCode(code))).toMatchObject({ code: 'overloaded', temporary: true });
});

test('anything else is a bug and stays what it is', () => {
  const syntax = withCode('42601');
  expect(storeError(syntax)).toBe(syntax);
  expect(storeError('text')).toBe('text');
  const known = new AppError('conflict', 'x');
  expect(storeError(known)).toBe(known);
});
