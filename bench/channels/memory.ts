/** Owns what the kernel holds for sockets, from /proc/net/sockstat: of the whole machine, both ends of a connection. */

import { readFileSync } from 'node:fs';

const PAGE_BYTES = 4096;

/** Bytes in TCP's send and receive buffers. The sockets' own structures, about 2 KiB an end, are not in it. */
export function tcpBufferBytes(): number {
  return parseSockstat(readFileSync('/proc/net/sockstat', 'latin1'));
}

/** The line `TCP: inuse N orphan N tw N alloc N mem PAGES`. */
function parseSockstat(text: string): number {
  const pages = /^TCP:.* mem (\d+)$/m.exec(text)?.[1];
  return Number(pages ?? Number.NaN) * PAGE_BYTES;
}

/** Open files that a process may have here. */
export function descriptorLimit(): number {
  const line = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
  return line?.[1] === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(line?.[1] ?? 1024);
}
