/** Owns the proof of which requests may come in clear text behind a declared proxy. */

import type { Socket } from 'node:net';

import { expect, test } from 'vitest';

import { createClearTextRule } from '#app/clear-text.ts';
import { readConfig } from '#app/config.ts';

const behindProxy = ['--host', '0.0.0.0', '--trusted-proxy', '192.0.2.9,2001:db8::/32'];

function refusal(
  args: readonly string[],
  from: string,
  { url = '/v1/sessions', headers = {} }: { url?: string; headers?: Record<string, string> } = {},
): string | null {
  const socket = { remoteAddress: from } as Socket;
  return createClearTextRule(readConfig({ args, env: {} }))({ socket, headers, url });
}

test.each(['192.0.2.9', '::ffff:192.0.2.9', '2001:db8::7', '127.0.0.1', '::1', '::ffff:127.0.0.1'])(
  'from %s a request is taken',
  (from) => expect(refusal(behindProxy, from)).toBeNull(),
);

test.each(['192.0.2.8', '::ffff:192.0.2.8', '10.0.0.1', '2001:db9::1', ''])(
  'from %j, past the proxy, it is refused',
  (from) => expect(refusal(behindProxy, from)).toContain('https address of the proxy'),
);

test('a header cannot make a stranger a proxy', () => {
  const headers = { 'x-forwarded-for': '192.0.2.9', 'x-forwarded-proto': 'https' };
  expect(refusal(behindProxy, '192.0.2.8', { headers })).not.toBeNull();
});

test.each(['/healthz', '/readyz', '/metrics', '/healthz?x'])('%s is open to direct probes', (url) => {
  expect(refusal(behindProxy, '192.0.2.8', { url })).toBeNull();
  expect(refusal(behindProxy, '192.0.2.8', { url: `/v1${url}` })).not.toBeNull();
});

test.each([
  ['http', true],
  ['ws', true],
  ['https', false],
  ['http, https', false],
  ['http, http', true],
])('what the proxy took as %s is refused: %s', (protocol, isRefused) => {
  const headers = { 'x-forwarded-proto': protocol };
  expect(refusal(behindProxy, '192.0.2.9', { headers }) !== null).toBe(isRefused);
});

test.each([
  ['--host', '127.0.0.1', '--trusted-proxy', '192.0.2.9'],
  ['--host', '0.0.0.0', '--trusted-proxy', '192.0.2.9', '--insecure'],
  ['--host', '0.0.0.0', '--trusted-proxy', '192.0.2.9', '--tls-cert', 'c', '--tls-key', 'k'],
  ['--host', '0.0.0.0', '--insecure'],
])('%s %s %s %s %s needs no such rule', (...args) => {
  expect(
    refusal(
      args.filter((word) => word !== undefined),
      '192.0.2.8',
    ),
  ).toBeNull();
});
