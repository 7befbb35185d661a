/**
 * Owns getting at the database without starting, making or changing anything: the external one by its URL, the embedded
 * one only when it runs already.
 */

import pg from 'pg';

import { messageOf } from '#base/errors.ts';
import type { Config } from '#app/config.ts';
import { findEmbeddedDatabase } from '#app/embedded-database.ts';

const CONNECT_MS = 5_000;

export type DatabaseState =
  /** The owner's connection. */
  | { readonly kind: 'connected'; readonly isEmbedded: boolean; readonly client: pg.Client }
  /** Embedded: there is none yet, or it does not run; a start brings it up. */
  | { readonly kind: 'new' | 'stopped'; readonly isEmbedded: true }
  | {
      readonly kind: 'unreachable';
      readonly isEmbedded: boolean;
      readonly reason: string;
      /** SQLSTATE, system error or our own code, when there is one. */
      readonly code: string | null;
    };

/** Connects where there is something to connect to. The caller ends the client. */
export async function reachDatabase(config: Config, stateDir: string): Promise<DatabaseState> {
  const isEmbedded = config['database-url'] === '';
  try {
    if (!isEmbedded) return await connect(config['database-url'], false);
    const found = findEmbeddedDatabase(stateDir);
    return found.ownerUrl === null
      ? { kind: found.kind, isEmbedded: true }
      : await connect(found.ownerUrl, true);
  } catch (error) {
    const { code } = error as { code?: unknown };
    const reason = messageOf(error) || String(code);
    return { kind: 'unreachable', isEmbedded, reason, code: typeof code === 'string' ? code : null };
  }
}

async function connect(connectionString: string, isEmbedded: boolean): Promise<DatabaseState> {
  const client = new pg.Client({
    connectionString,
    application_name: 'kymo doctor',
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: CONNECT_MS,
    // Whatever a check asks, it cannot change anything.
    options: '-c default_transaction_read_only=on',
  });
  client.on('error', () => undefined);
  await client.connect();
  return { kind: 'connected', isEmbedded, client };
}
