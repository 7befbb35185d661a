/**
 * Owns the tables of roll-ups in PostgreSQL as a step sees them (rollup-step.ts): one connection of the role kymo_writer,
 * and what a keeper that waits or stands still may cost others.
 */

import type pg from 'pg';

import { chunkStatement, unpackChunks } from '#store/chunk-reader.ts';
import { int8ToEpoch } from '#store/epoch.ts';
import type { Statement } from '#store/pools.ts';
import {
  advanceStatement,
  candidatesStatement,
  clearMarkStatement,
  denseRow,
  lockedProgress,
  lockProgressStatement,
  openProgressStatement,
  rowsStatement,
  storeRowsStatement,
  type EpochName,
  type VisitPolicy,
} from '#store/rollup-statements.ts';
import type { RollupTables } from '#store/rollup-step.ts';

/** Nobody may wait longer for the progress of an epoch or its guard row; the step is tried again. */
const LOCK_MS = 2_000;

/** A keeper that stops within a step gives the epoch up: ten times what its own work between statements takes. */
const IDLE_IN_STEP_MS = 5_000;

/** Epochs to visit, those first that were not visited for longest. */
export async function findCandidates(
  client: pg.ClientBase,
  policy: VisitPolicy,
  limit: number,
): Promise<EpochName[]> {
  const { rows } = await query(client, candidatesStatement(policy, limit));
  return (rows as { stream_id: string; epoch: string }[]).map(({ stream_id: streamId, epoch }) => ({
    streamId,
    epoch: int8ToEpoch(epoch),
  }));
}

export function createRollupTables(client: pg.ClientBase): RollupTables {
  return {
    async begin() {
      await client.query(`begin; set local synchronous_commit = off; set local lock_timeout = ${LOCK_MS};
       set local idle_in_transaction_session_timeout = ${IDLE_IN_STEP_MS}`);
    },
    async open(name) {
      await query(client, openProgressStatement(name));
    },
    async lock(name) {
      const [row] = (await query(client, lockProgressStatement(name))).rows;
      return row === undefined ? null : lockedProgress(row);
    },
    async chunks(range, limit) {
      return unpackChunks((await query(client, chunkStatement(range, limit))).rows);
    },
    async rows(name, keys, axisCount) {
      const { rows } = await query(client, rowsStatement(name, keys));
      return rows.map((row) => denseRow(row, axisCount));
    },
    async store(name, orgId, rows) {
      await query(client, storeRowsStatement(name, orgId, rows));
    },
    async advance(name, rolled, facts) {
      await query(client, advanceStatement(name, rolled, facts));
    },
    async clear(name, rolled) {
      const { rowCount } = await query(client, clearMarkStatement(name, rolled));
      return rowCount !== 0;
    },
    async commit() {
      await client.query('commit');
    },
    async rollback() {
      await client.query('rollback');
    },
  };
}

function query(client: pg.ClientBase, { name, text, values = [] }: Statement): Promise<pg.QueryResult> {
  return client.query(
    name === undefined ? { text, values: [...values] } : { name, text, values: [...values] },
  );
}
