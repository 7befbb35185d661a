/**
 * Owns the Redis of a benchmark run: the machine's redis-server on a free port of the loopback, which keeps nothing. Where
 * there is none, it says what to install.
 */

import { existsSync } from 'node:fs';
import net from 'node:net';

import { installDebianPackages } from '#bench/support/debian-packages.ts';
import type { RunScope } from '#bench/support/run-scope.ts';

/** Where Debian puts it. */
const REDIS = '/usr/bin/redis-server';
const READY_MS = 10_000;

export interface BenchRedis {
  readonly url: string;
  readonly pid: number;
  readonly version: string;
}

export async function startBenchRedis(
  scope: RunScope,
  say: (text: string) => void,
): Promise<BenchRedis | { readonly absent: string }> {
  if (!existsSync(REDIS)) {
    const absent = await installDebianPackages('Redis', ['redis-server'], say);
    if (absent !== null) return { absent };
  }
  const port = await freePort();
  const child = await scope.start({
    name: 'redis-server',
    command: REDIS,
    args: [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--daemonize',
      'no',
    ],
  });
  let version = '';
  await child.waitForLine((line) => {
    version = /Redis version=([\d.]+)/.exec(line)?.[1] ?? version;
    return line.includes('Ready to accept connections') ? true : undefined;
  }, READY_MS);
  return { url: `redis://127.0.0.1:${port}`, pid: child.pid, version };
}

/** Redis cannot choose one itself. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
