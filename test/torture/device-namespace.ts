/**
 * Owns a network namespace for one device process, joined to this machine by a pair of virtual interfaces, where the
 * system permits it: there the kernel's own link goes down or becomes slow, and TCP itself finds out. The proxies of its
 * devices listen on the pair's address, which nothing else can reach. Elsewhere `absent` says why there is none.
 */

import { execFileSync } from 'node:child_process';

import { messageOf } from '#base/errors.ts';
import type { RunGuard } from '#test/torture/run-guard.ts';

export interface DeviceNamespace {
  /** Words before a command that is to run inside. */
  readonly prefix: readonly string[];
  /** Where those inside find the proxies. */
  readonly host: string;
  setDown(isDown: boolean): void;
  /** tc-tbf(8) drops what exceeds the rate for longer than QUEUE; null takes it away. */
  setRate(bytesPerSecond: number | null): void;
}

const QUEUE = '300ms';

export function openDeviceNamespace(guard: RunGuard): DeviceNamespace | { readonly absent: string } {
  // An interface's name has at most 15 characters; the range is for benchmarks, routed nowhere (RFC 2544).
  const own = process.pid % 2 ** 14;
  const [name, outer, inner] = [`kymo-torture-${own}`, `kymo-t${own}a`, `kymo-t${own}b`];
  const net = `198.18.${own >> 6}.`;
  const first = (own & 63) * 4;
  const [host, inside] = [`${net}${first + 1}`, `${net}${first + 2}`];
  try {
    guard.deleteNamespaceLater(name);
    run('ip', 'netns', 'add', name);
    // The pair goes with the namespace.
    run('ip', 'link', 'add', outer, 'type', 'veth', 'peer', 'name', inner, 'netns', name);
    run('ip', 'addr', 'add', `${host}/30`, 'dev', outer);
    run('ip', 'link', 'set', outer, 'up');
    run('ip', '-n', name, 'addr', 'add', `${inside}/30`, 'dev', inner);
    run('ip', '-n', name, 'link', 'set', inner, 'up');
  } catch (error) {
    return { absent: messageOf(error).trim().split('\n').at(-1) ?? '' };
  }
  return {
    prefix: ['nsenter', `--net=/run/netns/${name}`],
    host,
    setDown: (isDown) => run('ip', 'link', 'set', outer, isDown ? 'down' : 'up'),
    setRate(rate) {
      const device = ['dev', inner, 'root'];
      if (rate === null) run('tc', '-n', name, 'qdisc', 'del', ...device);
      else {
        const shape = ['rate', `${Math.round(rate * 8)}bit`, 'burst', '4kb', 'latency', QUEUE];
        run('tc', '-n', name, 'qdisc', 'replace', ...device, 'tbf', ...shape);
      }
    },
  };
}

function run(program: string, ...args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8', timeout: 10_000 });
}
