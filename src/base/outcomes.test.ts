import { expect, test } from 'vitest';

import { AssertionError, assert, unreachable } from '#base/assert.ts';
import { AppError, messageOf } from '#base/errors.ts';
import { fail, ok } from '#base/result.ts';

test('an assertion passes what holds and throws what does not, with the reason', () => {
  expect(() => assert(true, 'fine')).not.toThrow();
  for (const falsy of [false, 0, null, undefined, ''])
    expect(() => assert(falsy, 'must hold')).toThrow(new AssertionError('must hold'));
  expect(() => unreachable('x' as never)).toThrow(AssertionError);
});

test('an operational failure carries its code, field, cause and whether it may pass', () => {
  const cause = new Error('socket closed');
  const error = new AppError('store-unavailable', 'no database', { temporary: true, field: '/a', cause });
  expect(error).toMatchObject({
    code: 'store-unavailable',
    message: 'no database',
    temporary: true,
    field: '/a',
  });
  expect(error.cause).toBe(cause);
  const plain = new AppError('not-found', 'nothing here');
  expect(plain).toMatchObject({ temporary: false, field: undefined });
  expect('cause' in plain).toBe(false);
});

test('anything thrown has a message', () => {
  expect([new Error('a'), 'b', null, { c: 1 }].map(messageOf)).toEqual(['a', 'b', 'null', '[object Object]']);
});

test('a result is a value or an error', () => {
  expect(ok(3)).toEqual({ ok: true, value: 3 });
  expect(fail('no')).toEqual({ ok: false, error: 'no' });
});
