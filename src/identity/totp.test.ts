import { expect, test } from 'vitest';

import { base32, codeOfStep, findStep, otpauthUri, stepAt } from '#identity/totp.ts';

// RFC 6238 appendix B, SHA-1: eight digits there, the last six of them here.
const secret = Buffer.from('12345678901234567890');

test.each([
  [59, '287082'],
  [1_111_111_109, '081804'],
  [1_111_111_111, '050471'],
  [1_234_567_890, '005924'],
  [2_000_000_000, '279037'],
  [20_000_000_000, '353130'],
])('the code at %i s is that of RFC 6238', (timeS, code) => {
  expect(codeOfStep(secret, stepAt(timeS * 1e6))).toBe(code);
});

test('a code counts one step early or late, and none that was used or is older', () => {
  const now = stepAt(1_234_567_890e6);
  const find = (step: number, lastStep = 0): number | null =>
    findStep(secret, codeOfStep(secret, step), { timeUs: 1_234_567_890e6, lastStep });
  expect([now - 2, now - 1, now, now + 1, now + 2].map((step) => find(step))).toEqual([
    null,
    now - 1,
    now,
    now + 1,
    null,
  ]);
  expect(find(now, now)).toBe(null);
  expect(find(now - 1, now)).toBe(null);
  expect(find(now + 1, now)).toBe(now + 1);
});

test('secrets are written as RFC 4648 does, and read from a QR code', () => {
  expect(['f', 'fo', 'foo', 'foob', 'fooba', 'foobar'].map((text) => base32(Buffer.from(text)))).toEqual([
    'MY',
    'MZXQ',
    'MZXW6',
    'MZXW6YQ',
    'MZXW6YTB',
    'MZXW6YTBOI',
  ]);
  expect(otpauthUri(secret, { issuer: 'Kymo', email: 'a b@clinic.example' })).toBe(
    'otpauth://totp/Kymo%3Aa%20b%40clinic.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Kymo&algorithm=SHA1&digits=6&period=30',
  );
});
