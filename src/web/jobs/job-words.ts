/** Owns how jobs read on a page: what they make, and where they are. */

import type { Job, JobState } from '#contract/jobs.ts';

const kindWords: Readonly<Record<string, string>> = {
  'session-export': 'Export of a session',
  'session-report': 'Report of a session',
  'session-summary': 'Figures of a session',
  'patient-export': 'Export of a patient',
  'patient-erasure': 'Erasure of a patient',
};

export function jobWords(kind: string): string {
  const known = kindWords[kind];
  if (known !== undefined) return known;
  const words = kind.replaceAll('-', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export const jobStateWords: Readonly<Record<JobState, string>> = {
  queued: 'Waiting',
  running: 'Running',
  done: 'Done',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

export const jobStates = Object.keys(jobStateWords) as JobState[];

export function isUnderWay({ state }: Pick<Job, 'state'>): boolean {
  return state === 'queued' || state === 'running';
}

const KB = 1_000;
const MB = 1_000_000;

/** Bytes for people: 812 B, 48 kB, 3.1 MB. */
export function formatBytes(bytes: number): string {
  if (bytes < KB) return `${bytes}\u202fB`;
  if (bytes < MB) return `${Math.round(bytes / KB)}\u202fkB`;
  return `${(bytes / MB).toFixed(1)}\u202fMB`;
}
