/**
 * Owns the question who listens on a TCP port of this machine. Linux tells in /proc (proc(5), proc_net_tcp): the
 * socket's inode, and for our own processes, or all of them as root, who has it open. Elsewhere nobody is named.
 */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface PortOwner {
  readonly pid: number;
  /** The command line, its words separated by blanks, at most MAX_COMMAND characters. */
  readonly command: string;
  readonly workingDirectory: string | undefined;
}

/** A line of a terminal. */
const MAX_COMMAND = 100;
/** State TCP_LISTEN of the kernel's include/net/tcp_states.h. */
const LISTENING = '0A';

/** The process that listens on `port`; undefined when none does or the system does not tell. */
export function portOwner(port: number): PortOwner | undefined {
  const inodes = new Set(
    ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => listeningInodes(readText(file), port)),
  );
  if (inodes.size === 0) return undefined;
  for (const name of listDirectory('/proc').filter((entry) => /^\d+$/.test(entry))) {
    if (!holdsSocket(`/proc/${name}/fd`, inodes)) continue;
    const command = readText(`/proc/${name}/cmdline`).split('\0').filter(Boolean).join(' ');
    const shown = command.length > MAX_COMMAND ? `${command.slice(0, MAX_COMMAND)}...` : command;
    return { pid: Number(name), command: shown, workingDirectory: readLink(`/proc/${name}/cwd`) };
  }
  return undefined;
}

/** Who has the port, as the end of a sentence: `process 12 (nginx: master process)`, or `another program`. */
export function describePortOwner(port: number): string {
  const owner = portOwner(port);
  if (owner === undefined) return 'another program';
  const place = owner.workingDirectory === undefined ? '' : ` in ${owner.workingDirectory}`;
  return `process ${owner.pid} (${owner.command || 'unnamed'}${place})`;
}

/** Rows are: number, local address and port in hexadecimal, remote, state, ..., uid, time-out, inode. */
function listeningInodes(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table.split('\n').flatMap((row) => {
    const fields = row.trim().split(/\s+/);
    const isOurs = fields[1]?.endsWith(suffix) === true && fields[3] === LISTENING;
    return isOurs && fields[9] !== undefined ? [fields[9]] : [];
  });
}

function holdsSocket(directory: string, inodes: ReadonlySet<string>): boolean {
  return listDirectory(directory).some((descriptor) => {
    const inode = /^socket:\[(\d+)\]$/.exec(readLink(`${directory}/${descriptor}`) ?? '')?.[1];
    return inode !== undefined && inodes.has(inode);
  });
}

// Processes end while they are looked at, and those of others are closed to us: both count as not there.
function listDirectory(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function readLink(file: string): string | undefined {
  try {
    return readlinkSync(file);
  } catch {
    return undefined;
  }
}
