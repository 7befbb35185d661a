/**
 * Owns the product as a side of the channels benchmark: the real program with its own PostgreSQL, the bench's channel as an
 * extension, and viewers with an access key.
 */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { ChannelsSide } from '#bench/channels/sides.ts';
import { startKymo } from '#bench/ingest/kymo-server.ts';
import { createBenchDatabase, type BenchDatabase } from '#bench/support/bench-database.ts';
import type { BenchPostgres } from '#bench/support/bench-postgres.ts';
import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import { newKey } from '#identity/keys.ts';
import type { RunScope } from '#bench/support/run-scope.ts';

const COLLECT_MS = 20_000;
const EXTENSION = fileURLToPath(new URL('./extension', import.meta.url));
/** As Socket.IO's, so that idle connections are kept alive as often. */
const HEARTBEAT_MS = '25000';
/** Access keys that the connections share: what one person may publish in a second is limited. */
const PEOPLE = 128;
const COLLECTOR = fileURLToPath(new URL('./collect-on-signal.ts', import.meta.url));

export async function createKymoSide(
  scope: RunScope,
  postgres: BenchPostgres,
  profileDir: string,
): Promise<ChannelsSide> {
  let database: BenchDatabase | null = null;
  let keys: readonly string[] = [];
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
        flags: [
          '--extensions',
          EXTENSION,
          '--heartbeat-ms',
          HEARTBEAT_MS,
          ...(redisUrl === undefined ? [] : ['--redis-url', redisUrl]),
        ],
      });
      if (keys.length === 0) keys = await makePeople(database);
      return {
        child: kymo.child,
        port: kymo.port,
        keys,
        async collect() {
          process.kill(kymo.child.pid, 'SIGUSR2');
          await kymo.child.waitForLine((line) => (line === 'collected' ? true : undefined), COLLECT_MS);
        },
      };
    },
  };
}

/** Straight into the table, like the devices of the other benchmarks. */
async function makePeople(database: BenchDatabase): Promise<string[]> {
  const keys = Array.from({ length: PEOPLE }, () => newKey('access'));
  await database.query(
    `insert into kymo.access_key (id, org_id, name, key_hash, scope)
       select k.id, (select id from kymo.organisation order by created_at, id limit 1), 'bench', k.hash, 'read'
         from unnest($1::uuid[], $2::bytea[]) k(id, hash)`,
    [keys.map(() => uuidv7(systemClock)), keys.map(({ hash }) => hash)],
  );
  return keys.map(({ key }) => key);
}
