/** Owns the moving of processes that run already, and of what they will start, to the cores of channels/pinning.ts. */

import { execFileSync } from 'node:child_process';

import { isPinning, pinned } from '#bench/channels/pinning.ts';

export function pinTree(pids: readonly number[], role: 'server' | 'load'): void {
  if (!isPinning) return;
  const { command, args } = pinned(role, '', []);
  const cores = args[1]!;
  for (const pid of pids) execFileSync(command, ['-a', '-c', '-p', cores, String(pid)], { stdio: 'ignore' });
}
