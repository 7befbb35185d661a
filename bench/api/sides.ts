/**
 * Owns who is measured by the API benchmark: the product as it is delivered, with and without its cache, a FastAPI and a bare
 * node:http server, with and without theirs. All answer the same requests from the same records with the same keys.
 */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { isPinning, pinned } from '#bench/channels/pinning.ts';
import { clinicianKey } from '#bench/api/dataset.ts';
import type { Scenario } from '#bench/api/scenario.ts';
import { startKymo } from '#bench/ingest/kymo-server.ts';
import { PYTHON } from '#bench/ingest/fastapi-peer.ts';
import type { BenchDatabase } from '#bench/support/bench-database.ts';
import { hear } from '#bench/support/control-channel.ts';
import type { RunScope } from '#bench/support/run-scope.ts';

export const sideNames = [
  'kymo',
  'kymo-uncached',
  'fastapi',
  'fastapi-uncached',
  'bare-node',
  'bare-node-uncached',
] as const;
export type SideName = (typeof sideNames)[number];

export interface Side {
  readonly name: SideName;
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** Header lines of each clinician. */
  readonly credentials: readonly string[];
  /** Answers given from a cache, and all that could have been; null where the server does not say. */
  readonly cacheCounts: (() => Promise<{ readonly hits: number; readonly reads: number }>) | null;
}

export interface SideParts {
  readonly scope: RunScope;
  readonly database: BenchDatabase;
  readonly redisUrl: string | null;
  readonly scenario: Scenario;
  /** For small files. */
  readonly folder: string;
  readonly isPinned: boolean;
  readonly profileDir: string;
}

/** Counted as always, and never reached: 200 clinicians here work faster than people. */
const highLimits = ['--limit-user', '1000000', '--limit-organisation', '1000000'];
const READY_MS = 30_000;
const BARE_NODE = fileURLToPath(new URL('../peers/bare-node-api.ts', import.meta.url));
const FASTAPI = fileURLToPath(new URL('../peers/fastapi/api.py', import.meta.url));

export function startSide(name: SideName, parts: SideParts): Promise<Side> {
  const isCached = !name.endsWith('-uncached');
  if (name.startsWith('kymo')) return startProduct(name, parts, isCached);
  if (name.startsWith('fastapi')) {
    const redis = isCached && parts.redisUrl !== null ? ['--redis', parts.redisUrl] : [];
    return startPeer(name, parts, [PYTHON, FASTAPI, '--database', parts.database.url, ...redis]);
  }
  const cache = isCached ? ['--cache'] : [];
  return startPeer(name, parts, [process.execPath, BARE_NODE, '--database', parts.database.url, ...cache]);
}

async function startProduct(name: SideName, parts: SideParts, isCached: boolean): Promise<Side> {
  const { scope, database, folder, isPinned, profileDir } = parts;
  const isProfiled = profileDir !== '' && isCached;
  const { child, port, accessKey } = await startKymo(scope, database, {
    devices: 0,
    stateDir: join(folder, name),
    isPinned,
    nodeArgs: isProfiled ? ['--cpu-prof', `--cpu-prof-dir=${profileDir}`] : [],
    flags: [...highLimits, ...(isCached ? [] : ['--no-cache'])],
  });
  const host = '127.0.0.1';
  return {
    name,
    host,
    port,
    pid: child.pid,
    credentials: credentialsOf(parts.scenario),
    async cacheCounts() {
      const answer = await fetch(`http://${host}:${port}/metrics`, {
        headers: { authorization: `Bearer ${accessKey}` },
      });
      const text = await answer.text();
      const sum = (metric: string): number =>
        [...text.matchAll(new RegExp(`^${metric}\\{[^}]*\\} (\\S+)$`, 'gm'))].reduce(
          (total, [, value]) => total + Number(value),
          0,
        );
      const hits = sum('kymo_cache_hits_total');
      return { hits, reads: hits + sum('kymo_cache_misses_total') };
    },
  };
}

async function startPeer(name: SideName, parts: SideParts, words: readonly string[]): Promise<Side> {
  const [program = '', ...args] = words;
  const started = parts.isPinned && isPinning ? pinned('server', program, args) : { command: program, args };
  const child = await parts.scope.start({ name, ...started });
  const { port } = await hear<{ type: 'ready'; port: number }>(child, 'ready', READY_MS);
  return {
    name,
    host: '127.0.0.1',
    port,
    pid: child.pid,
    credentials: credentialsOf(parts.scenario),
    cacheCounts: null,
  };
}

function credentialsOf({ clinicians }: Scenario): string[] {
  return Array.from({ length: clinicians }, (_, c) => `Authorization: Bearer ${clinicianKey(c)}\r\n`);
}
