/**
 * Owns the question whether a request comes from a browser or program on this very machine, and meant this server. The
 * address alone does not say so: a foreign page may point a name of its own at 127.0.0.1 (DNS rebinding), so the Host
 * must be a loopback name and the Origin, when there is one, the same. What a proxy passed on came from elsewhere.
 */

export interface RequestOrigin {
  /** The socket's remote address. */
  readonly remoteAddress: string | undefined;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  /** True when a Forwarded or X-Forwarded-* header is there. */
  readonly isForwarded: boolean;
}

export function isOwnMachine({ remoteAddress, host, origin, isForwarded }: RequestOrigin): boolean {
  if (isForwarded || !isLoopbackAddress(remoteAddress ?? '')) return false;
  if (host === undefined || !isLoopbackHost(host)) return false;
  return origin === undefined || origin === `http://${host}` || origin === `https://${host}`;
}

/** 127.0.0.0/8 and ::1 (RFC 6890), also as IPv4 in IPv6. */
export function isLoopbackAddress(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address);
}

function isLoopbackHost(host: string): boolean {
  const name = host.replace(/:\d{1,5}$/, '').toLowerCase();
  return name === 'localhost' || name === '[::1]' || isLoopbackAddress(name);
}
