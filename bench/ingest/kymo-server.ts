/**
 * Owns the product as a benchmark runs it: the real program as its own process, on a free port, with devices and keys
 * in its database.
 */

import { fileURLToPath } from 'node:url';

import { systemClock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import { pinned } from '#bench/channels/pinning.ts';
import type { BenchDatabase } from '#bench/support/bench-database.ts';
import type { Child, RunScope } from '#bench/support/run-scope.ts';
import { newKey } from '#identity/keys.ts';

const READY_MS = 60_000;
const MAIN = fileURLToPath(new URL('../../src/app/main.ts', import.meta.url));

export interface KymoServer {
  readonly child: Child;
  readonly port: number;
  /** May read everything of the organisation. */
  readonly accessKey: string;
  /** One for each device. */
  readonly deviceKeys: readonly string[];
}

export interface KymoOptions {
  readonly devices: number;
  /** For the program's small files. */
  readonly stateDir: string;
  /** Arguments of Node, e.g. a profiler's. */
  readonly nodeArgs?: readonly string[];
  /** Further flags of `kymo start`. */
  readonly flags?: readonly string[];
  /** On the core of the servers (channels/pinning.ts). */
  readonly isPinned?: boolean;
}

export async function startKymo(
  scope: RunScope,
  database: BenchDatabase,
  options: KymoOptions,
): Promise<KymoServer> {
  const { nodeArgs = [], flags = [], stateDir } = options;
  const args = [
    ...nodeArgs,
    MAIN,
    'start',
    '--port',
    '0',
    '--data',
    stateDir,
    '--database-url',
    database.url,
    '--print-key',
    ...flags,
  ];
  const started =
    options.isPinned === true
      ? pinned('server', process.execPath, args)
      : { command: process.execPath, args };
  const child = await scope.start({ name: 'kymo start', ...started });
  const ready = await child.waitForLine(parseReadyLine, READY_MS);
  return { child, ...ready, deviceKeys: await makeDevices(database, options.devices) };
}

/** The line that tells a person where to go: it holds the address and a key. */
function parseReadyLine(line: string): { port: number; accessKey: string } | undefined {
  const match = /^Kymo is ready: http:\/\/127\.0\.0\.1:(\d+)\/#key=(\S+)$/.exec(line);
  return match === null ? undefined : { port: Number(match[1]), accessKey: match[2]! };
}

/** Straight into the table: a benchmark of ingest is no benchmark of making devices. */
async function makeDevices(database: BenchDatabase, count: number): Promise<string[]> {
  const [organisation] = await database.query<{ id: string }>(
    'select id from kymo.organisation order by created_at, id limit 1',
  );
  if (organisation === undefined) throw new AppError('internal', 'the server made no organisation');
  const keys = Array.from({ length: count }, () => newKey('device'));
  await database.query(
    `insert into kymo.device (id, org_id, name, key_hash)
       select d.id, $1, 'bench', d.hash from unnest($2::uuid[], $3::bytea[]) d(id, hash)`,
    [organisation.id, keys.map(() => uuidv7(systemClock)), keys.map(({ hash }) => hash)],
  );
  return keys.map(({ key }) => key);
}
