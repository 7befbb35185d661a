/**
 * Owns what processes cost: CPU time and resident memory of a process and all its descendants, read from /proc (Linux).
 * CPU of children that ended is in their parent's figure once it has waited for them, so a tree's sum never shrinks
 * while its root lives. Resolution is one clock tick, 10 ms.
 */

import { readdirSync, readFileSync } from 'node:fs';

import { AppError } from '#base/errors.ts';

/** Linux reports times in units of 1/100 s to every program, whatever the kernel was built with (proc(5), USER_HZ). */
const TICKS_PER_S = 100;
/** Every platform that the benchmarks run on has pages of 4 KiB; others would show a wrong memory figure only. */
const PAGE_BYTES = 4096;

export interface ProcessStat {
  readonly pid: number;
  readonly parentPid: number;
  /** utime + stime of the process itself. */
  readonly ownTicks: number;
  /** The same of its children that ended and were waited for. */
  readonly reapedTicks: number;
  readonly residentBytes: number;
}

export interface TreeUsage {
  readonly cpuS: number;
  readonly rssMiB: number;
  readonly processes: number;
  readonly pids: readonly number[];
}

/** Fields of /proc/PID/stat. The program's name may hold blanks and brackets: fields are counted from its end. */
export function parseStat(text: string): ProcessStat {
  const afterName = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (n: number): number => Number(afterName[n - 3]);
  return {
    pid: Number.parseInt(text, 10),
    parentPid: field(4),
    ownTicks: field(14) + field(15),
    reapedTicks: field(16) + field(17),
    residentBytes: field(24) * PAGE_BYTES,
  };
}

/** All processes that can be seen now; a process that ends while it is read is left out. */
function readProcesses(): ProcessStat[] {
  const stats: ProcessStat[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const text = readOrNull(`/proc/${name}/stat`);
    if (text !== null) stats.push(parseStat(text));
  }
  return stats;
}

/** Usage of the tree of which `rootPid` is the root. Throws when the root is gone. */
export function treeUsage(rootPid: number): TreeUsage {
  return sumTree(readProcesses(), rootPid);
}

export function sumTree(processes: readonly ProcessStat[], rootPid: number): TreeUsage {
  const byParent = new Map<number, ProcessStat[]>();
  for (const stat of processes) {
    const siblings = byParent.get(stat.parentPid);
    if (siblings === undefined) byParent.set(stat.parentPid, [stat]);
    else siblings.push(stat);
  }
  const root = processes.find((stat) => stat.pid === rootPid);
  if (root === undefined) throw new AppError('not-found', `process ${rootPid} is gone`);
  const waiting = [root];
  let ticks = 0;
  let residentBytes = 0;
  const pids: number[] = [];
  for (let stat = waiting.pop(); stat !== undefined; stat = waiting.pop()) {
    ticks += stat.ownTicks + stat.reapedTicks;
    residentBytes += stat.residentBytes;
    pids.push(stat.pid);
    waiting.push(...(byParent.get(stat.pid) ?? []));
  }
  return { cpuS: ticks / TICKS_PER_S, rssMiB: residentBytes / 2 ** 20, processes: pids.length, pids };
}

/** CPU time that the whole machine has spent on anything since it started, time stolen by its host included. */
export function machineCpuS(): number {
  return parseMachineCpuS(readFileSync('/proc/stat', 'latin1'));
}

/** The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal, in ticks. */
export function parseMachineCpuS(text: string): number {
  const line = text.slice(0, text.indexOf('\n'));
  const [user, nice, system, , , irq, softirq, steal] = line.trim().split(/\s+/).slice(1).map(Number);
  return (user! + nice! + system! + irq! + softirq! + (steal ?? 0)) / TICKS_PER_S;
}

/** The parent of a process: from a backend's pid to its postmaster. */
export function parentOf(pid: number): number {
  const text = readOrNull(`/proc/${pid}/stat`);
  if (text === null) throw new AppError('not-found', `process ${pid} is gone`);
  return parseStat(text).parentPid;
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return null;
  }
}
