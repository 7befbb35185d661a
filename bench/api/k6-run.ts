/** Owns the running of deploy/k6/clinic.js by k6, where that is installed, against a server of the benchmark. */

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { clinicianKey } from '#bench/api/dataset.ts';
import type { Scenario } from '#bench/api/scenario.ts';

const SCRIPT = fileURLToPath(new URL('../../deploy/k6/clinic.js', import.meta.url));

/** Writes the clinicians' keys where k6 reads them. */
export function writeKeys(scenario: Scenario, folder: string): string {
  const file = join(folder, 'keys.txt');
  const keys = Array.from({ length: scenario.clinicians }, (_, c) => clinicianKey(c));
  writeFileSync(file, `${keys.join('\n')}\n`);
  return file;
}

export function k6Words(load: {
  readonly url: string;
  readonly keys: string;
  readonly ratePerS: number;
  readonly seconds: number;
}): string[] {
  const values = { KYMO_URL: load.url, KEYS: load.keys, RATE: load.ratePerS, DURATION: `${load.seconds}s` };
  return ['run', ...Object.entries(values).flatMap(([name, value]) => ['-e', `${name}=${value}`]), SCRIPT];
}

/** What came of it in a few words. */
export function runK6(words: readonly string[]): string {
  const { error, status } = spawnSync('k6', words, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (error !== undefined) return 'not run here: k6 is not installed';
  return status === 0 ? 'passed' : `failed with exit code ${status}`;
}
