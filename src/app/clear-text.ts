/**
 * Owns which requests may come in clear text where TLS is the proxy's work: those of a declared proxy and of this
 * machine itself. Anyone else reached the server past its proxy, and would send a key in clear (DESIGN section 6).
 * What tells nothing about anybody (health, metrics) is left open to probes that come directly.
 */

import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

import { createTrust, plainAddress } from '#app/client-address.ts';
import { isLoopbackHost, type Config } from '#app/config.ts';

/** Why a request is refused; null when it may be answered. */
export type RefusalOf = (request: Pick<IncomingMessage, 'socket' | 'headers' | 'url'>) => string | null;

const openPaths: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

export function createClearTextRule(config: Config): RefusalOf {
  const isProxyOnly =
    config['trusted-proxy'] !== '' &&
    config['tls-cert'] === '' &&
    !config.insecure &&
    !isLoopbackHost(config.host);
  if (!isProxyOnly) return () => null;
  const isTrusted = createTrust(config['trusted-proxy']);
  return ({ socket, headers, url }) => {
    if (openPaths.has((url ?? '').split('?')[0]!)) return null;
    const address = plainAddress(socket.remoteAddress ?? '');
    if (isTrusted(address))
      return saysClearText(headers) ? 'use https: the proxy took this in clear text' : null;
    if (isLoopbackAddress(address)) return null;
    return 'this server takes requests from its proxy only: use the https address of the proxy';
  };
}

/** True when every proxy on the way says that its client spoke clear text. */
function saysClearText(headers: IncomingMessage['headers']): boolean {
  const said = [headers['x-forwarded-proto'] ?? []].flat().join(',').split(',');
  return said.every((protocol) => /^(http|ws)$/i.test(protocol.trim()));
}

function isLoopbackAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && loopback.check(address, family === 4 ? 'ipv4' : 'ipv6');
}
