import { expect, test } from 'vitest';

import { closeCodes, errorCodes, mayReconnect } from '#protocol/codes.ts';

test('close codes are distinct and in the range for applications (RFC 6455 section 7.4.2)', () => {
  const codes: number[] = Object.values(closeCodes);
  expect(new Set(codes).size).toBe(codes.length);
  // 1012 is registered with IANA as "Service Restart".
  const ours = codes.filter((code) => code !== 1012);
  expect(ours.length).toBe(codes.length - 1);
  for (const code of ours) expect(code).toSatisfy((c: number) => c >= 4000 && c <= 4999);
});

test('the range says whether to come back', () => {
  const terminal = Object.entries(closeCodes).filter(([, code]) => !mayReconnect(code));
  expect(terminal.map(([reason]) => reason)).toEqual([
    'unauthenticated',
    'superseded',
    'protocol',
    'version',
    'creditExceeded',
    'forbidden',
  ]);
  // What the network or a proxy closes with is no verdict on the client.
  for (const code of [1000, 1001, 1006, 1012, 3000]) expect(mayReconnect(code)).toBe(true);
});

test('error codes are kebab-case words with an explanation', () => {
  for (const [code, { text }] of Object.entries(errorCodes)) {
    expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(text.length).toBeGreaterThan(10);
  }
});
