/**
 * Owns the end of what tests start: a process of its own that outlives the test process, however that ends. It reads
 * directories from its input, one a line; when the input closes, PostgreSQL in them is ended at once and they are
 * removed. A line that starts with `-` releases a directory that was cleared already.
 */

import { existsSync, realpathSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { processesWorkingIn } from '#app/embedded-processes.ts';

const watched = new Set<string>();
// Ctrl-C ends the tests, and that closes our input.
process.on('SIGINT', () => undefined);

for await (const line of createInterface({ input: process.stdin })) {
  if (line.startsWith('-')) watched.delete(line.slice(1));
  else watched.add(line);
}
for (const directory of watched) {
  if (!existsSync(directory)) continue;
  killAll(processesWorkingIn(realpathSync(directory)));
  rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}

// The data is thrown away, so nothing has to be written; a stopped process ends only by SIGKILL.
function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  }
}
