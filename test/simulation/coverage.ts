/**
 * Owns what histories have reached: states and transitions of the machines, answers and closings with their codes, what
 * the database did, faults by kind. Counts add up over histories and workers. What is known to exist and was never reached
 * is named, so that a part of the product that no history exercises is seen.
 */

import { closeCodes } from '#protocol/codes.ts';
import { faultKinds } from '#test/simulation/scenario.ts';

export type CoverageGroup = keyof typeof known;

/** Counts by `group/name`: plain data, to be sent between threads. */
export type CoverageCounts = Record<string, number>;

export interface Coverage {
  count(group: CoverageGroup, name: string, times?: number): void;
  readonly counts: CoverageCounts;
}

/** What can be reached. What is counted and not named here is reported with the rest. */
const known = {
  fault: faultKinds,
  'device phase': [
    'idle > connecting',
    'connecting > greeting',
    'connecting > waiting',
    'greeting > online',
    'greeting > waiting',
    'greeting > stopped',
    'online > waiting',
    'online > stopped',
    'waiting > connecting',
    'stopped > connecting',
  ],
  'device event': [
    'command',
    'settled',
    'clock',
    'refused',
    'epoch',
    'discarded',
    'error',
    'loss',
    'store-full-disk',
    'store-disk-ok',
    'store-unreadable',
  ],
  'device says': [
    'hello',
    'open',
    'open with newest',
    'open after loss',
    'data new',
    'data live-only',
    'data replayed',
    'tombstone',
    'close',
    'probe',
    'clock',
    'reclaimed',
    'heartbeat',
    'bye',
  ],
  'server says': [
    'welcome',
    'opened',
    'opened with newest',
    'opened discarded',
    'ack',
    'ack with ranges',
    'closed',
    'credit',
    'reclaim',
    'rewind',
    'probe',
    'error',
    'heartbeat',
    'bye',
  ],
  channel: [
    'opening > open',
    'opening > refused',
    'refused > opening',
    'open > closing',
    'open > refused',
    'closing > closed',
    'open > discarded',
    'opening > discarded',
  ],
  'gateway session': [
    'hello > authenticating',
    'authenticating > ready',
    'authenticating > closed',
    'ready > closed',
  ],
  'error code': [
    'unknown-stream',
    'stream-mismatch',
    'stream-refused',
    'new-epoch-required',
    'too-many-fragments',
    'store-unavailable',
    'overloaded',
    'draining',
    'internal',
  ],
  'close code': ['1006', ...Object.values(closeCodes).map(String)],
  'writer phase': [
    'idle > locking',
    'locking > writing',
    'locking > committing',
    'locking > rollingBack',
    'writing > committing',
    'writing > rollingBack',
    'committing > idle',
    'committing > locking',
    'committing > rollingBack',
    'rollingBack > waiting',
    'rollingBack > idle',
    'rollingBack > locking',
    'waiting > locking',
    'waiting > idle',
  ],
  writer: [
    'flushes',
    'duplicateReadings',
    'declaredReadings',
    'refusedStreams',
    'unknownStreams',
    'fragmentRefusals',
    'failed gone',
    'failed blocked',
    'failed partition',
    'failed data',
    'bisections',
  ],
  gateway: [
    'superseded',
    'refusedGreetings',
    'overwrittenFrames',
    'credit shortage',
    'liveOnlyFrames',
    'historicalFrames',
    'lateFrames',
    'discardedFrames',
  ],
  hub: ['ticks', 'ticksEvicted', 'ticksSkipped', 'laggingViewers'],
  'live machine': [
    'closed > connecting',
    'connecting > open',
    'connecting > waiting',
    'open > waiting',
    'waiting > connecting',
  ],
  database: [
    'lockWaits',
    'lockTimeouts',
    'idleTimeouts',
    'deadlocks',
    'killedBackends',
    'terminatedBlockers',
    'lostCommits',
    'unknownCommits',
    'crashes',
  ],
  reckoning: ['stored', 'declared', 'ungathered', 'erased', 'unknownTail', 'takenForGood', 'refused'],
} as const satisfies Record<string, readonly string[]>;

export function createCoverage(): Coverage {
  const counts: CoverageCounts = {};
  return {
    counts,
    count(group, name, times = 1) {
      const key = `${group}/${name}`;
      counts[key] = (counts[key] ?? 0) + times;
    },
  };
}

export function addCounts(to: CoverageCounts, from: CoverageCounts): void {
  for (const [key, times] of Object.entries(from)) to[key] = (to[key] ?? 0) + times;
}

export interface CoverageGroupReport {
  readonly group: CoverageGroup;
  /** Most frequent first. */
  readonly reached: readonly (readonly [string, number])[];
  readonly unreached: readonly string[];
}

export function coverageReport(counts: CoverageCounts): CoverageGroupReport[] {
  return (Object.keys(known) as CoverageGroup[]).map((group) => {
    const prefix = `${group}/`;
    const reached = Object.entries(counts)
      .filter(([key, times]) => key.startsWith(prefix) && times > 0)
      .map(([key, times]) => [key.slice(prefix.length), times] as const)
      .sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
    const names = new Set(reached.map(([name]) => name));
    return { group, reached, unreached: known[group].filter((name) => !names.has(name)) };
  });
}
