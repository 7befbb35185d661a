/**
 * Owns whose address a connection counts for: the other end of the socket, or, when that is a declared proxy, the last
 * address in X-Forwarded-For that no declared proxy has. Anyone can write that header, so nobody else is believed.
 */

import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

import { AppError } from '#base/errors.ts';

export type AddressOf = (request: Pick<IncomingMessage, 'socket' | 'headers'>) => string;

/** `trustedProxies`: addresses or networks (`10.0.0.0/8`), separated by commas; null when there are none. */
export function createAddressOf(trustedProxies: string | null): AddressOf {
  const isTrusted = createTrust(trustedProxies ?? '');
  return ({ socket, headers }) => {
    let address = socket.remoteAddress ?? '';
    const forwarded = [headers['x-forwarded-for'] ?? []].flat().join(',').split(',');
    while (isTrusted(address)) {
      const before = forwarded.pop()?.trim() ?? '';
      if (isIP(before) === 0) break;
      address = before;
    }
    return address;
  };
}

/** Whether an address belongs to one of these proxies. Throws AppError `invalid-field` for what is no address. */
export function createTrust(trustedProxies: string): (address: string) => boolean {
  const trusted = parseProxies(trustedProxies);
  return (address) => {
    const plain = plainAddress(address);
    const family = isIP(plain);
    return family !== 0 && trusted.check(plain, family === 4 ? 'ipv4' : 'ipv6');
  };
}

/** IPv4 as itself where it comes mapped into IPv6 (RFC 4291 section 2.5.5.2). */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}

function parseProxies(text: string): BlockList {
  const list = new BlockList();
  for (const entry of text.split(',').map((part) => part.trim())) {
    if (entry === '') continue;
    const [address = '', bits] = entry.split('/');
    const family = isIP(address);
    const width = family === 4 ? 32 : 128;
    const prefix = bits === undefined ? width : Number(/^\d+$/.test(bits) ? bits : Number.NaN);
    if (family === 0 || !(prefix <= width))
      throw new AppError(
        'invalid-field',
        `--trusted-proxy is "${entry}": it takes addresses or networks such as 10.0.0.0/8, separated by commas`,
        { field: 'trusted-proxy' },
      );
    if (prefix === 0)
      throw new AppError(
        'invalid-field',
        `--trusted-proxy is "${entry}", which is everybody: name the proxies, or say --insecure if clear text is meant`,
        { field: 'trusted-proxy' },
      );
    list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}
