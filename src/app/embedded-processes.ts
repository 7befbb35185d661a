/**
 * Owns the question whether a process is still the one we mean. A process id alone is reused by the system, so an
 * identity is the id with the time the process started. A zombie counts as gone: it holds nothing any more.
 */

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** When the process started, as an opaque text that differs for a later process with the same id. */
export function processStart(pid: number): string | undefined {
  return process.platform === 'linux' ? linuxProcessStart(pid) : psField(pid, 'lstart=');
}

// proc(5): the fields after the command, which is in parentheses and may hold anything; state is field 3 and the
// start in clock ticks since boot is field 22. The boot id keeps a process of an earlier boot apart.
function linuxProcessStart(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  return `${fields[19]}@${readText('/proc/sys/kernel/random/boot_id')?.trim() ?? ''}`;
}

/** True when `pid` runs and started at `start`, as processStart told it. */
export function isSameProcess(pid: number, start: string): boolean {
  return processStart(pid) === start;
}

/** When this process started. */
export function ownStart(): string {
  return processStart(process.pid) ?? '';
}

/** True when the process is a PostgreSQL server process (postmaster or backend) of the cluster in `directory`. */
export function belongsToCluster(pid: number, directory: string): boolean {
  if (processStart(pid) === undefined) return false;
  if (process.platform !== 'linux') return psField(pid, 'command=')?.includes(` -D ${directory}`) === true;
  // Every server process works in its data directory; nothing else has a reason to.
  return workingDirectory(pid) === directory;
}

/** The processes that work in `directory` or below it; empty where the system does not tell. */
export function processesWorkingIn(directory: string): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => `${workingDirectory(pid) ?? ''}/`.startsWith(`${directory}/`));
}

/** The working directory of a process on Linux; undefined when it has ended or is somebody else's. */
function workingDirectory(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined;
  }
}

function psField(pid: number, field: string): string | undefined {
  try {
    return execFileSync('ps', ['-o', field, '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
