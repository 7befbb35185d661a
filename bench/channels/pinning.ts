/**
 * Owns which cores what runs on: servers on the first, the load on the last, so that neither takes the other's time and
 * a server of many threads has no more than one of a single one. Machines without `taskset` or a second core run unpinned.
 */

import { existsSync } from 'node:fs';
import os from 'node:os';

const TASKSET = '/usr/bin/taskset';
const cores = os.availableParallelism();

export const isPinning = cores >= 2 && existsSync(TASKSET);

export function pinned(
  role: 'server' | 'load',
  command: string,
  args: readonly string[],
): { command: string; args: readonly string[] } {
  if (!isPinning) return { command, args };
  return { command: TASKSET, args: ['-c', role === 'server' ? '0' : String(cores - 1), command, ...args] };
}
