import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { judgeOrigin, parseAllowedOrigins, refusalOfOrigin } from '#api/origin.ts';

const clear = { allowed: new Set<string>(), isSecure: false };
const secure = { allowed: new Set<string>(), isSecure: true };

test('who sends no Origin is no foreign page', () => {
  expect(judgeOrigin(clear, { host: 'kymo.example' })).toBe('none');
});

test('the own origin is that of the Host, whatever its letter case and default port', () => {
  expect(judgeOrigin(clear, { origin: 'http://localhost:7900', host: 'localhost:7900' })).toBe('same');
  expect(judgeOrigin(secure, { origin: 'https://kymo.example', host: 'Kymo.Example:443' })).toBe('same');
  expect(judgeOrigin(clear, { origin: 'http://[::1]:7900', host: '[::1]:7900' })).toBe('same');
});

test('another host, port or a look-alike is foreign', () => {
  const host = 'kymo.example';
  const foreign = [
    'http://kymo.example:8080',
    'http://evil.example',
    'http://kymo.example.evil.example',
    'http://kymo.example@evil.example',
    'http://evil.example/kymo.example',
    'http://kymo.example/',
    'ftp://kymo.example',
    'null',
    '',
    'kymo.example',
  ];
  for (const origin of foreign) expect(judgeOrigin(clear, { origin, host }), origin).toBe('foreign');
});

test('a Host that is none makes no origin its own', () => {
  const origin = 'http://evil.example';
  for (const host of [undefined, '', 'x@evil.example', 'evil.example/x', 'evil.example?x', 'a b'])
    expect(judgeOrigin(clear, { origin, host }), host).toBe('foreign');
});

test('behind TLS a page of clear text is foreign', () => {
  const host = 'kymo.example';
  expect(judgeOrigin(secure, { origin: 'http://kymo.example', host })).toBe('foreign');
  // Whoever puts TLS before a server that does not know of it has a page of https.
  expect(judgeOrigin(clear, { origin: 'https://kymo.example', host })).toBe('same');
});

test('listed origins are let in exactly', () => {
  const allowed = parseAllowedOrigins(' https://App.example.org:443/ ,capacitor://localhost,');
  const rule = { allowed, isSecure: true };
  const host = 'kymo.example';
  expect(judgeOrigin(rule, { origin: 'https://app.example.org', host })).toBe('allowed');
  expect(judgeOrigin(rule, { origin: 'capacitor://localhost', host })).toBe('allowed');
  expect(judgeOrigin(rule, { origin: 'https://app.example.org:8443', host })).toBe('foreign');
  expect(judgeOrigin(rule, { origin: 'https://x.app.example.org', host })).toBe('foreign');
});

test('a star lets all in but those who are nobody', () => {
  const rule = { allowed: parseAllowedOrigins('*'), isSecure: false };
  expect(judgeOrigin(rule, { origin: 'https://any.example', host: 'a' })).toBe('allowed');
  expect(judgeOrigin(rule, { origin: 'null', host: 'a' })).toBe('foreign');
});

test('what is no origin cannot be listed', () => {
  for (const entry of [
    'app.example.org',
    'https://a.example/path',
    'https://u@a.example',
    'null',
    'https://*',
  ])
    expect(() => parseAllowedOrigins(entry), entry).toThrow(AppError);
});

test('a refusal names the setting, and no more of the origin than fits', () => {
  expect(refusalOfOrigin(`https://${'a'.repeat(1000)}`).length).toBeLessThan(500);
  expect(refusalOfOrigin('https://a.example')).toContain('--allowed-origins');
});
