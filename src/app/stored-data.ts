/**
 * Owns the opening of an installation's stored data for commands of its operator: as the owner, who sees every
 * organisation, and as the working roles, who change it the way the server does.
 */

import pg from 'pg';

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { storeError } from '#store/store-error.ts';
import { processSources, readConfig } from '#app/config.ts';
import { openDatabase } from '#app/database.ts';
import { createLog } from '#app/log.ts';

export interface StoredData {
  readonly pools: Pools;
  readonly owner: pg.Pool;
  /** As kymo_writer, without a limit on how long a statement takes. */
  readonly writer: pg.Pool;
}

export interface FoundSession {
  readonly id: string;
  readonly orgId: string;
  readonly organisation: string;
  readonly label: string;
  readonly startedAt: Date;
  readonly streams: number;
  readonly readings: number;
}

/** `settings`: the server's flags. */
export async function withStoredData(
  settings: readonly string[],
  work: (data: StoredData) => Promise<number>,
): Promise<number> {
  const config = readConfig(processSources(settings));
  const log = createLog(config['log-level']);
  const database = await openDatabase(config, { clock, log, onStep: () => undefined });
  try {
    const pools = await openPools(database.ownerUrl);
    const owner = openPool(database.ownerUrl);
    const writer = openPool(pools.writerUrl);
    try {
      return await work({ pools, owner, writer });
    } catch (error) {
      throw storeError(error);
    } finally {
      await Promise.all([owner.end(), writer.end(), pools.close()]);
    }
  } finally {
    await database.stop();
  }
}

/** One connection that is replaced when it breaks. */
export function openPool(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** The session of this id, whosever it is. Throws AppError `invalid-field` for what is no id; null: there is none. */
export async function findSession(owner: pg.Pool, id: string): Promise<FoundSession | null> {
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id))
    throw new AppError('invalid-field', `"${id}" is no session id: its page and GET /v1/sessions show it`);
  const { rows } = await owner.query<FoundSession>(
    `select s.id, s.org_id as "orgId", o.name as organisation, s.label, s.started_at as "startedAt",
            (select count(*)::int from kymo.stream t where t.session_id = s.id) as streams,
            (select coalesce(sum(upper(r) - lower(r)), 0)::float8
               from kymo.stream t join kymo.stream_epoch e on e.stream_id = t.id
              cross join lateral unnest(e.committed) r where t.session_id = s.id) as readings
       from kymo.session s join kymo.organisation o on o.id = s.org_id where s.id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

export function describeSession(session: FoundSession): string {
  const { label, startedAt, streams, readings, organisation } = session;
  const name = label === '' ? '' : `"${label}", `;
  return `${name}begun ${startedAt.toISOString().slice(0, 16).replace('T', ' ')} UTC, ${streams} streams, ${readings.toLocaleString('en')} readings, of ${organisation}`;
}
