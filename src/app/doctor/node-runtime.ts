/** Owns the check of Node itself and of the native module that ws uses when it is there. */

import { createRequire } from 'node:module';

import { ok, problem, warning, type Check, type Finding } from '#app/doctor/finding.ts';

/** The first with stable type stripping and zstd. */
const NEEDED_MAJOR = 24;

export const checkNode: Check = () => [
  judgeNode(process.versions.node),
  judgeBufferutil(isBufferutilNative()),
];

export function judgeNode(version: string): Finding {
  return Number.parseInt(version, 10) >= NEEDED_MAJOR
    ? ok('Node', `Node ${version} is new enough.`)
    : problem(
        'Node',
        `Node ${version} is too old; Kymo needs ${NEEDED_MAJOR} or newer.`,
        'start through npm (`npm run kymo -- start`), which fetches one, or install Node 24 from nodejs.org',
      );
}

export function judgeBufferutil(isNative: boolean): Finding {
  return isNative
    ? ok('bufferutil', 'The native module for WebSocket frames is loaded.')
    : warning(
        'bufferutil',
        'The native module for WebSocket frames is not there: receiving at full load costs up to twice the processor time.',
        'npm install --no-save bufferutil && npm rebuild bufferutil',
      );
}

/** Without a build for this machine the package hands out the same functions in JavaScript. */
function isBufferutilNative(): boolean {
  const load = createRequire(import.meta.url);
  try {
    const [used, fallback] = [load('bufferutil'), load('bufferutil/fallback')] as { mask: unknown }[];
    return used?.mask !== fallback?.mask;
  } catch {
    return false;
  }
}
