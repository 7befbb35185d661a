/**
 * Owns the address that a person is given: with a one-time link into the demo, with one to the set-up of the first owner
 * while nobody can sign in, else plain. What is used once stands in the fragment, which no browser sends to a server.
 */

import type { Clock } from '#base/clock.ts';
import { createLinks, DEMO_EMAIL, type Links, type MadeLink } from '#identity/links.ts';
import type { RolePool } from '#store/pools.ts';
import { isLoopbackHost } from '#app/config.ts';

export interface Entry {
  /** Where the server answers; what follows the host is not looked at. */
  readonly url: string;
  readonly orgId: string;
  /** A demo runs there. */
  readonly isDemo: boolean;
}

export interface EntryAddresses {
  /** After a start. */
  ofStart(entry: Entry): Promise<string>;
  /** A link into somebody's account: the demo's, the oldest owner's, or that of `email`. Null when there is none. */
  ofLink(entry: Entry, email: string | null): Promise<string | null>;
}

export function createEntryAddresses(parts: { authPool: RolePool; clock: Clock }): EntryAddresses {
  const links = createLinks(parts);
  return {
    async ofStart(entry) {
      const link = isOpenDemo(entry) ? await links.makeDemo(entry.orgId) : await links.makeSetUp(entry.orgId);
      return addressOf(entry.url, link);
    },
    async ofLink(entry, email) {
      const link = await linkInto(links, entry, email);
      return link === null ? null : addressOf(entry.url, link);
    },
  };
}

function linkInto(links: Links, entry: Entry, email: string | null): Promise<MadeLink | null> {
  const isLoopback = isLoopbackHost(hostOf(entry.url));
  const isDemo = isOpenDemo(entry) && (email === null || email.toLowerCase() === DEMO_EMAIL);
  return isDemo ? links.makeDemo(entry.orgId) : links.make(entry.orgId, { email, isLoopback });
}

/** The demo's account may everything, so nobody from elsewhere gets into it. */
function isOpenDemo({ url, isDemo }: Entry): boolean {
  return isDemo && isLoopbackHost(hostOf(url));
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[(.*)\]$/, '$1');
}

function addressOf(url: string, link: MadeLink | null): string {
  const { origin } = new URL(url);
  return link === null ? origin : `${origin}/#${link.kind}=${link.token}`;
}
