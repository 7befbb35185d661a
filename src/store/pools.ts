/**
 * Owns the connections of the working roles: one small pool each, so that reading never starves opening, and neither
 * the writer. A caller waits at most `waitMs` for a connection and at most `maxWaiting` callers wait; beyond that the
 * answer is `overloaded`, counted. Every statement of the application role runs inside a transaction that names its
 * organisation; row-level security does the rest, and a forgotten organisation reads nothing.
 */

import pg from 'pg';

import { systemClock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { refuseUnsafeDatabase, roleUrls, type RoleName } from '#store/roles.ts';
import { sendBatch } from '#store/statement-batch.ts';
import { storeError } from '#store/store-error.ts';

export const poolLimits = {
  /** Reading and opening streams; two cores run no more than a few queries at once. */
  appConnections: 6,
  /** Key look-ups are cached (identity/identity.ts). */
  authConnections: 2,
  /** Epoch rows of opening streams; the chunk writer has connections of its own. */
  writerConnections: 2,
  /** Every stream of a full server opening at once after a restart: 500 devices of 7 streams, and some readers. */
  maxWaiting: 4096,
  /** How long a caller waits for a connection: twice what `maxWaiting` openings take on two busy cores. */
  waitMs: 8_000,
  /** A statement that runs longer is cancelled by the server. */
  statementMs: 10_000,
  /** A lock that a stopped process holds must not hold up its waiters for longer. */
  lockMs: 2_000,
  /** A connection that nobody needs goes after this. */
  idleMs: 30 * 60_000,
  /** A server that does not even answer a cancelled statement is gone. */
  answerMs: 15_000,
} as const;

export interface Statement {
  /** Same name, same text: PostgreSQL then plans it once a connection. For what runs often. */
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

export interface RolePool {
  /**
   * Sends `statements` at once, so that they cost one round trip, in one transaction. Returns a result each, or
   * throws what the first failing one met: AppError `overloaded` or `store-unavailable`, else a bug.
   */
  run(statements: readonly Statement[], mode?: TransactionMode): Promise<pg.QueryResult[]>;
  readonly stats: PoolStats;
}

/** `snapshot`: read only, and all statements see the same state. */
export type TransactionMode = 'change' | 'snapshot';

/** `disk`: a change is durable when it returns. `later`: soon after, and before any later change that is. */
export type Durability = 'disk' | 'later';

export interface PoolStats {
  readonly connections: number;
  readonly idle: number;
  readonly waiting: number;
  /** How long the caller has waited who waits longest; 0: nobody does. */
  readonly longestWaitMs: number;
  /** Callers sent away since the start because too many waited already, or too long. */
  readonly refused: number;
}

export interface Pools {
  readonly app: RolePool;
  readonly auth: RolePool;
  /** Opens epochs, with durability `later`: see store/catalogue.ts. */
  readonly writer: RolePool;
  /** For the chunk writer, which keeps its own connections. */
  readonly writerUrl: string;
  /** For the audit log, which keeps a connection of its own (clinic/audit-log.ts). */
  readonly auditUrl: string;
  /** For connections that listen; as `app`, they see what row-level security and grants let them. */
  readonly appUrl: string;
  /** For runners of jobs (jobs/runner.ts), which keep connections of their own. */
  readonly jobsUrl: string;
  /** For pools of another thread: `openPoolsAt`. */
  readonly urls: Readonly<Record<RoleName, string>>;
  /** The database is another one than before: connections made until now serve no new caller. */
  renew(): void;
  close(): Promise<void>;
}

/**
 * Pools for the database at `ownerUrl`, which must be migrated. Throws when the application role could bypass
 * row-level security. `onLost` hears of idle connections that broke; the pools replace them by themselves.
 */
export async function openPools(
  ownerUrl: string,
  onLost: (role: RoleName, error: Error) => void = () => undefined,
): Promise<Pools> {
  return openPoolsAt(await readRoleUrls(ownerUrl), onLost);
}

/** The same with the addresses of the roles, for a thread that shall not know the owner's. */
export async function openPoolsAt(
  urls: Readonly<Record<RoleName, string>>,
  onLost: (role: RoleName, error: Error) => void = () => undefined,
): Promise<Pools> {
  const open = (role: RoleName, connections: number, durability: Durability): pg.Pool =>
    openPool(urls[role], { role, connections, durability, onLost });
  const app = open('kymo_app', poolLimits.appConnections, 'disk');
  const auth = open('kymo_auth', poolLimits.authConnections, 'disk');
  const writer = open('kymo_writer', poolLimits.writerConnections, 'later');
  const close = async (): Promise<void> => {
    await Promise.all([app.end(), auth.end(), writer.end()]);
  };
  try {
    await refuseUnsafeDatabase(app);
  } catch (error) {
    await close();
    throw storeError(error);
  }
  const roles = { app: createRolePool(app), auth: createRolePool(auth), writer: createRolePool(writer) };
  return {
    ...roles,
    writerUrl: urls.kymo_writer,
    auditUrl: urls.kymo_audit,
    appUrl: urls.kymo_app,
    jobsUrl: urls.kymo_jobs,
    urls,
    renew() {
      for (const pool of Object.values(roles)) pool.renew();
    },
    close,
  };
}

/** Of the statement that names the organisation. */
const setOrgName = 'set-org';

/** Whose rows exist: those of an organisation, or of one patient of it. Every Principal is one. */
export interface OrgScope {
  readonly orgId: string;
  readonly patientId: string | null;
}

/**
 * Statements of the application role on behalf of one organisation (or, by a scope, one patient), in one transaction and
 * one round trip. Rows of others do not exist for them. Returns a result for each of `statements`.
 */
export async function runAsOrg(
  app: RolePool,
  scope: string | OrgScope,
  work: { statements: readonly Statement[]; mode: TransactionMode; durability?: Durability },
): Promise<pg.QueryResult[]> {
  const { orgId, patientId } = typeof scope === 'string' ? { orgId: scope, patientId: null } : scope;
  const setOrg = {
    name: setOrgName,
    text: `select set_config('kymo.org', $1, true), set_config('kymo.patient', $3, true), set_config('synchronous_commit',
      case when $2::boolean then 'off' else current_setting('synchronous_commit') end, true)`,
    values: [orgId, work.durability === 'later', patientId ?? ''],
  };
  const results = await app.run([setOrg, ...work.statements], work.mode);
  return results.slice(1);
}

async function readRoleUrls(ownerUrl: string): Promise<Record<RoleName, string>> {
  const owner = new pg.Pool({
    connectionString: ownerUrl,
    max: 1,
    connectionTimeoutMillis: poolLimits.waitMs,
  });
  owner.on('error', () => undefined);
  owner.on('connect', (client) => client.on('error', () => undefined));
  try {
    return await roleUrls(owner, ownerUrl);
  } catch (error) {
    throw storeError(error);
  } finally {
    await owner.end();
  }
}

function openPool(
  url: string,
  options: {
    role: RoleName;
    connections: number;
    durability: Durability;
    onLost: (role: RoleName, error: Error) => void;
  },
): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.connections,
    // Statements go out without waiting for the answer to the one before (PostgreSQL's extended query protocol).
    pipeline: true,
    application_name: options.role,
    ...(options.durability === 'later' ? { options: '-c synchronous_commit=off' } : {}),
    connectionTimeoutMillis: poolLimits.waitMs,
    statement_timeout: poolLimits.statementMs,
    lock_timeout: poolLimits.lockMs,
    idle_in_transaction_session_timeout: poolLimits.answerMs,
    query_timeout: poolLimits.answerMs,
    // A new connection plans everything anew, which costs more the more days there are.
    idleTimeoutMillis: poolLimits.idleMs,
    keepAlive: true,
    types: { getTypeParser },
  });
  pool.on('error', (error) => options.onLost(options.role, error));
  // A connection that breaks while it is lent out emits `error` too; its statements have failed by then.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

const INT8 = 20;

// int8 comes as a number where that is exact. What may be larger (epochs) is selected as text.
const getTypeParser = ((oid: number, format?: 'text' | 'binary') =>
  oid === INT8 && format !== 'binary'
    ? parseInt8
    : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser;

function parseInt8(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

function createRolePool(pool: pg.Pool): RolePool & { renew(): void } {
  let refused = 0;
  /** Callers without a connection, in the order in which they came; at most maxWaiting and as many as are served at once. */
  const waits = new Set<{ readonly sinceMs: number }>();
  /** Counts renewals; a connection that was made before the last one is old. */
  let age = 0;
  const ages = new WeakMap<pg.PoolClient, number>();
  pool.on('connect', (client) => ages.set(client, age));
  const connect = async (): Promise<pg.PoolClient> => {
    for (;;) {
      const client = await pool.connect();
      if (ages.get(client) === age) return client;
      client.release(true);
    }
  };
  const acquire = async (): Promise<pg.PoolClient> => {
    if (pool.waitingCount >= poolLimits.maxWaiting) {
      refused++;
      throw new AppError('overloaded', 'too many requests wait for the database', { temporary: true });
    }
    const wait = { sinceMs: systemClock.monotonicMs() };
    waits.add(wait);
    try {
      return await connect();
    } catch (thrown) {
      const error = storeError(thrown);
      if (error instanceof AppError && error.code === 'overloaded') refused++;
      throw error;
    } finally {
      waits.delete(wait);
    }
  };
  return {
    renew: () => void age++,
    async run(statements, mode = 'change') {
      const client = await acquire();
      try {
        return await runInTransaction(client, statements, mode);
      } catch (error) {
        throw storeError(error);
      } finally {
        // The pool itself drops a connection that broke.
        client.release();
      }
    },
    get stats() {
      return {
        connections: pool.totalCount,
        idle: pool.idleCount,
        waiting: pool.waitingCount,
        longestWaitMs: longestOf(waits),
        refused,
      };
    },
  };
}

function longestOf(waits: ReadonlySet<{ readonly sinceMs: number }>): number {
  for (const { sinceMs } of waits) return systemClock.monotonicMs() - sinceMs;
  return 0;
}

const snapshot: readonly [Statement, Statement] = [
  { name: 'begin-snapshot', text: 'begin isolation level repeatable read read only' },
  { name: 'commit', text: 'commit' },
];

async function runInTransaction(
  client: pg.PoolClient,
  statements: readonly Statement[],
  mode: TransactionMode,
): Promise<pg.QueryResult[]> {
  // A lone statement sees one state anyway, and a change as a whole is one transaction.
  const looks = statements.filter(({ name }) => name !== setOrgName).length;
  if (mode === 'change' || looks <= 1) return sendBatch(client, statements);
  try {
    const results = await sendBatch(client, [snapshot[0], ...statements, snapshot[1]]);
    return results.slice(1, -1);
  } catch (error) {
    // What was skipped was also the end.
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}
