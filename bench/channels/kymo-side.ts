/**
 * Owns the product as a side of the channels benchmark: the real program with its own PostgreSQL, the bench's channel as an
 * extension, and viewers with an access key.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import type { ChannelsSide } from '#bench/channels/sides.ts';
import { startKymo } from '#bench/ingest/kymo-server.ts';
import { createBenchDatabase, type BenchDatabase } from '#bench/support/bench-database.ts';
import type { BenchPostgres } from '#bench/support/bench-postgres.ts';
import type { RunScope } from '#bench/support/run-scope.ts';

/** The signal's handler runs when the server's loop comes to it, and takes as long as a collection does. */
const COLLECT_MS = 2_000;
const COLLECTOR = fileURLToPath(new URL('./collect-on-signal.ts', import.meta.url));

export async function createKymoSide(
  scope: RunScope,
  postgres: BenchPostgres,
  profileDir: string,
): Promise<ChannelsSide> {
  let database: BenchDatabase | null = null;
  let servers = 0;
  return {
    name: 'kymo',
    dialect: 'kymo',
    async startServer(stepScope, { redisUrl }) {
      database ??= await createBenchDatabase(scope, postgres.databases, `kymo_bench_${process.pid}`);
      const kymo = await startKymo(stepScope, database, {
        devices: 0,
        stateDir: join(postgres.folder, `server-${servers++}`),
        nodeArgs: [
          '--expose-gc',
          '--import',
          COLLECTOR,
          ...(profileDir === '' ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`]),
        ],
        flags: redisUrl === undefined ? [] : ['--redis-url', redisUrl],
      });
      return {
        child: kymo.child,
        port: kymo.port,
        key: kymo.accessKey,
        async collect() {
          process.kill(kymo.child.pid, 'SIGUSR2');
          await sleep(COLLECT_MS);
        },
      };
    },
  };
}
