/**
 * Owns where a webhook may go: to https on the public internet. A name is resolved once, every address that it has must be
 * public, and the connection is made to one of just those, so a name that answers differently a moment later (DNS rebinding)
 * reaches nothing else. Private, loopback, link-local, carrier, multicast, documentation, mapped and tunnel addresses are not
 * public (IANA special-purpose registries, RFC 6890). Only global unicast (2000::/3) is public of IPv6.
 */

import { BlockList, isIP } from 'node:net';

import { AppError } from '#base/errors.ts';

export interface TargetRules {
  /** Private addresses, other ports and plain HTTP too: for a receiver beside the server. */
  readonly allowPrivate: boolean;
}

export interface Address {
  readonly address: string;
  readonly family: 4 | 6;
}

/** Every address of a name; rejects when there is none. */
export type Resolve = (hostname: string) => Promise<readonly Address[]>;

const special = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  special.addSubnet(network, prefix, 'ipv4');
for (const [network, prefix] of [
  // IETF protocol assignments with Teredo, documentation, 6to4, documentation.
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  special.addSubnet(network, prefix, 'ipv6');
const global6 = new BlockList();
global6.addSubnet('2000::', 3, 'ipv6');

/** False too for what is no address. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !special.check(address, 'ipv4');
  // A zone is of one link.
  if (family !== 6 || address.includes('%')) return false;
  return global6.check(address, 'ipv6') && !special.check(address, 'ipv6');
}

/** Port 443, or one above those of the system's services. */
const FIRST_FREE_PORT = 1024;

/** Throws AppError `invalid-field` with what is wrong; what a name resolves to is not looked at. */
export function parseTarget(text: string, { allowPrivate }: TargetRules): URL {
  const wrong = (why: string): AppError => new AppError('invalid-field', why, { field: '/url' });
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw wrong('this is not an address');
  }
  if (url.protocol !== 'https:' && !(allowPrivate && url.protocol === 'http:'))
    throw wrong('webhooks go to https addresses only');
  if (url.username !== '' || url.password !== '')
    throw wrong('an address of a webhook has no user and password');
  if (url.hash !== '') throw wrong('an address of a webhook has no fragment');
  if (allowPrivate) return url;
  const port = url.port === '' ? 443 : Number(url.port);
  if (port !== 443 && port < FIRST_FREE_PORT)
    throw wrong(`webhooks go to port 443 or one above ${FIRST_FREE_PORT - 1}`);
  const host = literalOf(url);
  if (isIP(host) !== 0 && !isPublicAddress(host)) throw wrong('webhooks go to public addresses only');
  if (/(?:^|\.)(?:localhost|local|internal|home\.arpa)\.?$/.test(url.hostname))
    throw wrong('webhooks go to public names only');
  return url;
}

/**
 * The one address that may be connected to. Throws AppError `forbidden`, in the same words for a name that leads nowhere and
 * one that leads to a private address: else the log of deliveries would tell which names there are inside.
 */
export async function resolveTarget(url: URL, rules: TargetRules, resolve: Resolve): Promise<Address> {
  const host = literalOf(url);
  const family = isIP(host);
  const found: readonly Address[] =
    family === 0 ? await resolved(host, rules, resolve) : [{ address: host, family: family as 4 | 6 }];
  const [first] = found;
  // One private address among public ones is how rebinding begins.
  if (first === undefined || (!rules.allowPrivate && !found.every(({ address }) => isPublicAddress(address))))
    throw new AppError('forbidden', 'the name leads to no address, or to one that is not public');
  return first;
}

async function resolved(host: string, rules: TargetRules, resolve: Resolve): Promise<readonly Address[]> {
  try {
    return await resolve(host);
  } catch (error) {
    if (rules.allowPrivate) throw error;
    return [];
  }
}

/** Without the brackets of IPv6. */
function literalOf({ hostname }: URL): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}
