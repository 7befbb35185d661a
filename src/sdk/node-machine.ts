/**
 * Owns what the file store asks of the machine that it runs on: which boot this is, and whether a process that once
 * wrote a lock still lives. On Linux both come from /proc; elsewhere the boot is known by its time, and a process by its
 * number alone.
 */

import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';

/** Two derived boot times this close are the same boot: uptime and wall clock are read one after the other. */
const BOOT_TOLERANCE_MS = 5000;

/** Names this boot of the machine: `boot:<uuid>`, or `since:<milliseconds since 1970>` where there is no /proc. */
export function currentBoot(wallUs: number): string {
  const id = readText('/proc/sys/kernel/random/boot_id');
  return id === null ? `since:${Math.round(wallUs / 1000 - uptime() * 1000)}` : `boot:${id.trim()}`;
}

/** True when both names are of one boot. */
export function isSameBoot(a: string, b: string): boolean {
  if (!a.startsWith('since:') || !b.startsWith('since:')) return a === b;
  return Math.abs(Number(a.slice(6)) - Number(b.slice(6))) < BOOT_TOLERANCE_MS;
}

/** Names a running process so that another one that gets its number later is told apart; null when it is gone. */
export function processName(pid: number): string | null {
  const status = readText(`/proc/${pid}/stat`);
  if (status !== null) {
    // The 22nd field is the start in clock ticks since boot; the 2nd, the program's name, may hold anything.
    const fields = status.slice(status.lastIndexOf(')') + 2).split(' ');
    // A zombie has died and only waits to be counted.
    return fields[0] === 'Z' || fields[0] === 'X' ? null : `${pid}@${fields[19]}`;
  }
  if (readText('/proc/self/stat') !== null) return null;
  try {
    process.kill(pid, 0);
    return String(pid);
  } catch (thrown) {
    // EPERM: it lives, and belongs to someone else.
    return thrown instanceof Error && 'code' in thrown && thrown.code === 'EPERM' ? String(pid) : null;
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
