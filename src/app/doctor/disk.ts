/** Owns the check of the data directory: whether it can be written, how much fits, and whether it will still be there. */

import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import path from 'node:path';

import { neededMib } from '#app/disk-error.ts';
import { ok, problem, warning, type Check, type Finding } from '#app/doctor/finding.ts';

const MIB = 1024 * 1024;
/** PostgreSQL's log may take 2 GB between checkpoints (embedded-postmaster.ts), and the log must never be short. */
const COMFORTABLE_MIB = 4 * 1024;
/** Seven sensors at 200 Hz, 43 bytes a stored reading of nine axes (docs/benchmarks.md). */
const PERSON_MIB_PER_HOUR = (7 * 200 * 43 * 3600) / MIB;
const MIN_INODES = 10_000;

/** Magic numbers of statfs(2) for places where a database should not be. */
const doubtfulFileSystems: Record<number, string> = {
  0x01021994: 'lies in memory (tmpfs) and is gone after a restart of the machine',
  0x794c7630: 'lies in the layer of a container and is gone with the container',
  0x6969: 'is a network file system (NFS), whose fsync may promise less than a disk',
  0xff534d42: 'is a network file system (CIFS), whose fsync may promise less than a disk',
  0xfe534d42: 'is a network file system (SMB), whose fsync may promise less than a disk',
};

export interface DiskFacts {
  readonly freeMib: number;
  readonly freeInodes: number;
  readonly type: number;
}

export const checkDisk: Check = ({ stateDir, config }) => {
  if (config['database-url'] !== '' && !existsSync(stateDir))
    return [ok('data directory', `${stateDir} is made at the first start and holds a few keys only.`)];
  const place = nearestExisting(stateDir);
  const isThere = place === path.resolve(stateDir);
  const refused = whyNotWritable(place);
  if (refused !== null)
    return [
      problem(
        'data directory',
        `${stateDir} cannot be ${isThere ? 'written' : 'made'}: ${refused}.`,
        'choose another with --data FOLDER, or run as the user that it belongs to',
      ),
    ];
  const { bavail, bsize, ffree, files, type } = statfsSync(place);
  const freeInodes = files === 0 ? Number.POSITIVE_INFINITY : ffree;
  const facts: DiskFacts = { freeMib: Math.floor((bavail * bsize) / MIB), freeInodes, type };
  const isNew = isThere ? '' : ' It is made at the first start.';
  return judgeDisk(stateDir, facts).map((finding) =>
    finding.state === 'ok' ? { ...finding, text: finding.text + isNew } : finding,
  );
};

export function judgeDisk(directory: string, { freeMib, freeInodes, type }: DiskFacts): Finding[] {
  const findings = [judgeSpace(directory, freeMib)];
  if (freeInodes < MIN_INODES)
    findings.push(
      warning(
        'disk',
        `The disk of ${directory} has room for ${freeInodes} more files only.`,
        `df -i ${quote(directory)}`,
      ),
    );
  const doubt = doubtfulFileSystems[type];
  if (doubt !== undefined)
    findings.push(
      warning('disk', `${directory} ${doubt}.`, 'put the data on a disk of its own with --data FOLDER'),
    );
  return findings;
}

function judgeSpace(directory: string, freeMib: number): Finding {
  const hours = Math.floor(Math.max(0, freeMib - COMFORTABLE_MIB / 2) / PERSON_MIB_PER_HOUR);
  const free = freeMib < 10 * 1024 ? `${freeMib} MiB` : `${Math.floor(freeMib / 1024)} GiB`;
  const fix = `df -h ${quote(directory)} shows what fills it; or choose another place with --data FOLDER`;
  if (freeMib < neededMib)
    return problem(
      'disk',
      `The disk of ${directory} has ${free} free; Kymo needs ${neededMib} MiB to work.`,
      fix,
    );
  if (freeMib < COMFORTABLE_MIB)
    return warning('disk', `The disk of ${directory} has only ${free} free.`, fix);
  return ok(
    'disk',
    `${directory} has ${free} free, about ${hours} hours of one person with seven sensors at 200 Hz.`,
  );
}

function nearestExisting(directory: string): string {
  let at = path.resolve(directory);
  while (!existsSync(at) && at !== path.dirname(at)) at = path.dirname(at);
  return at;
}

function whyNotWritable(place: string): string | null {
  const owner = statSync(place).uid;
  const uid = process.getuid?.();
  try {
    accessSync(place, constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    if ((error as { code?: string }).code === 'EROFS') return 'the disk is read-only';
    return owner === uid
      ? `${place} is closed to writing`
      : `${place} belongs to user ${owner}, and this is user ${uid}`;
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
