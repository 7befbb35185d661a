/** Owns the check of how many files and sockets a process may open, and so how many connections a server can hold. */

import { readFileSync } from 'node:fs';

import { ok, problem, warning, type Check, type Finding } from '#app/doctor/finding.ts';

/** Files, pools, the listener and some room. */
const OWN_DESCRIPTORS = 100;
/** What docs/requirements.md promises: 500 devices, each with a viewer. */
const NEEDED_CONNECTIONS = 1_000;
const COMFORTABLE_CONNECTIONS = 10_000;

export const checkDescriptors: Check = ({ servers }) => {
  const process = servers[0]?.pid;
  const limit = readLimit(process === undefined ? 'self' : String(process));
  return limit === null
    ? [ok('descriptors', 'This system does not tell how many files a process may open; `ulimit -n` does.')]
    : [judgeDescriptors(limit)];
};

export function judgeDescriptors(limit: number): Finding {
  const connections = Math.max(0, limit - OWN_DESCRIPTORS);
  const text = `${limit} open files are allowed, enough for about ${connections} connections.`;
  if (connections >= COMFORTABLE_CONNECTIONS) return ok('descriptors', text);
  const fix = `ulimit -n 65536 before the start; LimitNOFILE=65536 in a systemd unit; --ulimit nofile=65536 with Docker`;
  return connections < NEEDED_CONNECTIONS
    ? problem('descriptors', text, fix)
    : warning('descriptors', text, fix);
}

/** The hard limit: Node raises the soft one to it when it starts. */
function readLimit(process: string): number | null {
  try {
    const row = /^Max open files +(\S+) +(\S+)/m.exec(readFileSync(`/proc/${process}/limits`, 'utf8'));
    if (row === null) return null;
    return row[2] === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(row[2]);
  } catch {
    return null;
  }
}
