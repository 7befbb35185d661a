/**
 * Owns the connections of the audit log: one that adds, one that seals and expires, both as the role kymo_audit, which may
 * call four functions (migration 0019) and neither read nor change a row. A statement that takes longer than `statementMs`
 * is given up, so that a database which hangs shows as refused requests.
 */

import pg from 'pg';

import { storeError } from '#store/store-error.ts';

export const auditStoreLimits = {
  /** A request that waits for longer has long been given up. */
  statementMs: 5_000,
  /** Sealing and expiring are cut into steps well below this. */
  upkeepMs: 30_000,
  connectMs: 5_000,
} as const;

export interface AuditStore {
  /** Commits entries: a JSON array as kymo.audit_append takes it. */
  append(entries: string): Promise<void>;
  /** Puts what is committed into blocks, at most `maxRows` of it. */
  seal(maxRows: number): Promise<{ readonly sealed: number; readonly unsealed: number }>;
  /** Removes the entries of at most `maxBlocks` blocks older than `days`; returns of how many. */
  expire(days: number, maxBlocks: number): Promise<number>;
  close(): Promise<void>;
}

export function openAuditStore(auditUrl: string): AuditStore {
  const open = (statementMs: number): pg.Pool => {
    const pool = new pg.Pool({
      connectionString: auditUrl,
      max: 1,
      application_name: 'kymo_audit',
      connectionTimeoutMillis: auditStoreLimits.connectMs,
      statement_timeout: statementMs,
      query_timeout: statementMs + 1_000,
      keepAlive: true,
      idleTimeoutMillis: 0,
    });
    // A connection that breaks shows itself in the statement that uses it; unheard, it would end the process.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => client.on('error', () => undefined));
    return pool;
  };
  const adding = open(auditStoreLimits.statementMs);
  const upkeep = open(auditStoreLimits.upkeepMs);
  const ask = async <T extends pg.QueryResultRow>(
    pool: pg.Pool,
    query: { name: string; text: string; values: unknown[] },
  ): Promise<T> => {
    try {
      return (await pool.query<T>(query)).rows[0]!;
    } catch (error) {
      throw storeError(error);
    }
  };
  return {
    async append(entries) {
      const text = 'select kymo.audit_append($1::json)';
      await ask(adding, { name: 'audit-append', text, values: [entries] });
    },
    async seal(maxRows) {
      await ask(upkeep, { name: 'audit-mark', text: 'select kymo.audit_mark()', values: [] });
      // Counts come as text: they are int8.
      const { sealed, unsealed } = await ask<{ sealed: string; unsealed: string }>(upkeep, {
        name: 'audit-seal',
        text: 'select sealed::text, unsealed::text from kymo.audit_seal($1)',
        values: [maxRows],
      });
      return { sealed: Number(sealed), unsealed: Number(unsealed) };
    },
    async expire(days, maxBlocks) {
      const text = 'select kymo.audit_expire($1, $2) as expired';
      const values = [days, maxBlocks];
      return (await ask<{ expired: number }>(upkeep, { name: 'audit-expire', text, values })).expired;
    },
    async close() {
      await Promise.all([adding.end(), upkeep.end()]);
    },
  };
}
