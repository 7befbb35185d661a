/**
 * Owns the clearing up after a torture run: reads what there is to clear from its input, a line each, and clears it when
 * the input closes, which it does when the run ends in whatever way.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { processesWorkingIn } from '#app/embedded-processes.ts';

const END_MS = 10_000;

const folders: string[] = [];
const mounts: string[] = [];
const namespaces: string[] = [];
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

for await (const line of createInterface({ input: process.stdin })) {
  const [kind, rest] = [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)];
  if (kind === 'folder') folders.push(rest);
  else if (kind === 'mount') mounts.push(rest);
  else namespaces.push(rest);
}
for (const folder of folders) if (existsSync(folder)) await endAllIn(realpathSync(folder));
for (const mounted of mounts.toReversed()) spawnSync('umount', ['-l', mounted], { stdio: 'ignore' });
for (const name of namespaces) spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
for (const folder of folders)
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });

/** The data is thrown away, so nothing has to be written; a stopped process ends only by SIGKILL. */
async function endAllIn(folder: string): Promise<void> {
  const giveUpAtMs = performance.now() + END_MS;
  for (let pids = processesWorkingIn(folder); pids.length > 0; pids = processesWorkingIn(folder)) {
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    if (performance.now() > giveUpAtMs) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
