import { expect, test } from 'vitest';

import { createAddressOf } from '#app/client-address.ts';

const request = (remoteAddress: string | undefined, forwarded?: string | string[]) =>
  ({
    socket: { remoteAddress },
    headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
  }) as Parameters<ReturnType<typeof createAddressOf>>[0];

test('without a proxy the other end of the socket counts, whatever the header says', () => {
  const addressOf = createAddressOf(null);
  expect(addressOf(request('192.0.2.1', '198.51.100.7'))).toBe('192.0.2.1');
  expect(addressOf(request(undefined))).toBe('');
});

test('a declared proxy is believed, and the newest address that is none of them counts', () => {
  const addressOf = createAddressOf('10.0.0.0/8, 2001:db8::5');
  expect(addressOf(request('10.1.2.3', '198.51.100.7'))).toBe('198.51.100.7');
  expect(addressOf(request('10.1.2.3', '203.0.113.1, 198.51.100.7, 10.9.9.9'))).toBe('198.51.100.7');
  expect(addressOf(request('::ffff:10.1.2.3', '198.51.100.7'))).toBe('198.51.100.7');
  expect(addressOf(request('2001:db8::5', ['198.51.100.7', '2001:db8::9']))).toBe('2001:db8::9');
});

test('whoever is no declared proxy is not believed', () => {
  const addressOf = createAddressOf('10.0.0.1');
  expect(addressOf(request('10.0.0.2', '198.51.100.7'))).toBe('10.0.0.2');
});

test('a header that is missing or no address leaves the proxy', () => {
  const addressOf = createAddressOf('10.0.0.1');
  expect(addressOf(request('10.0.0.1'))).toBe('10.0.0.1');
  expect(addressOf(request('10.0.0.1', 'unknown'))).toBe('10.0.0.1');
  expect(addressOf(request('10.0.0.1', '10.0.0.1'))).toBe('10.0.0.1');
});

test.each(['proxy.example.org', '10.0.0.0/33', '10.0.0.0/', '::1/129', '10.0.0.1/-1', '10.0.0.1/x'])(
  '"%s" is refused as a proxy',
  (text) => {
    expect(() => createAddressOf(text)).toThrow('--trusted-proxy');
  },
);
