import { expect, test } from 'vitest';

import { endedCookie, signInCookie, signInToken } from '#api/sign-in-cookie.ts';

const open = { isSecure: false };
const secure = { isSecure: true };

test('the cookie is found among others, under its exact name', () => {
  expect(signInToken('a=1; kymo.session=ks_x; b=2', open)).toBe('ks_x');
  expect(signInToken('xkymo.session=ks_x', open)).toBe(null);
  expect(signInToken('kymo.session=', open)).toBe(null);
  expect(signInToken(undefined, open)).toBe(null);
});

test('behind TLS one that another host or clear text could have set does not count', () => {
  expect(signInToken('kymo.session=ks_planted', secure)).toBe(null);
  expect(signInToken('kymo.session=ks_planted; __Host-kymo.session=ks_x', secure)).toBe('ks_x');
});

test('what is set ends, and is out of the reach of scripts and foreign pages', () => {
  const expiresAt = new Date('2026-11-22T20:00:00Z');
  expect(signInCookie('ks_x', expiresAt, secure)).toBe(
    '__Host-kymo.session=ks_x; Path=/; Expires=Sun, 22 Nov 2026 20:00:00 GMT; HttpOnly; SameSite=Lax; Secure',
  );
  expect(endedCookie(open)).toBe('kymo.session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax');
});
