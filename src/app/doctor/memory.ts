/** Owns the check of memory: what the process and its database may take, and the shared memory that PostgreSQL needs. */

import { existsSync, statfsSync } from 'node:fs';
import os from 'node:os';

import { ok, problem, warning, type Check, type Finding } from '#app/doctor/finding.ts';

const MIB = 1024 * 1024;
/** Node with 500 connections (docs/benchmarks.md). */
const PROCESS_MIB = 300;
/** Its shared buffers and some backends (embedded-postmaster.ts). */
const EMBEDDED_MIB = 400;
/** Parallel queries of PostgreSQL put their rows there; Docker gives 64 MiB unless told otherwise. */
const SHARED_MIB = 128;

export interface MemoryFacts {
  readonly allowedMib: number;
  readonly creditPoolMib: number;
  readonly isEmbedded: boolean;
  /** Null where PostgreSQL does not use /dev/shm. */
  readonly sharedMib: number | null;
}

export const checkMemory: Check = ({ config }) => {
  const limit = process.constrainedMemory();
  const total = os.totalmem();
  const isEmbedded = config['database-url'] === '';
  return judgeMemory({
    allowedMib: Math.floor((limit > 0 && limit < total ? limit : total) / MIB),
    creditPoolMib: config['credit-pool-mib'],
    isEmbedded,
    sharedMib: isEmbedded && existsSync('/dev/shm') ? sharedMib() : null,
  });
};

export function judgeMemory({
  allowedMib,
  creditPoolMib,
  isEmbedded,
  sharedMib: shared,
}: MemoryFacts): Finding[] {
  const neededMib = PROCESS_MIB + creditPoolMib + (isEmbedded ? EMBEDDED_MIB : 0);
  const text = `${allowedMib} MiB of memory for up to ${neededMib} MiB that Kymo may take at full load.`;
  const findings = [
    allowedMib >= neededMib
      ? ok('memory', text)
      : warning('memory', text, 'kymo start --credit-pool-mib 64, or give the machine more memory'),
  ];
  if (shared === 0)
    findings.push(
      problem(
        'shared memory',
        '/dev/shm is full: PostgreSQL cannot start there.',
        'df -h /dev/shm; remove what fills it',
      ),
    );
  else if (shared !== null && shared < SHARED_MIB)
    findings.push(
      warning(
        'shared memory',
        `/dev/shm has ${shared} MiB free; large reports may need ${SHARED_MIB}.`,
        'docker run --shm-size=256m, or mount -o remount,size=256m /dev/shm',
      ),
    );
  return findings;
}

function sharedMib(): number {
  const { bavail, bsize } = statfsSync('/dev/shm');
  return Math.floor((bavail * bsize) / MIB);
}
