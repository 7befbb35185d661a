/**
 * Owns the wrapping of all stored keys with another master key, a batch at a time, as the owner of the tables: no key is
 * missing at any moment, and a rotation that stops half way goes on where it is called again. What the keys seal stays.
 */

import type pg from 'pg';

import { unwrapKey, wrapKey, type KeyOwner, type MasterKeys } from '#clinic/master-keys.ts';

/** Of one statement: some 40 kB. */
const BATCH_KEYS = 500;

export interface Rotation {
  readonly rewrapped: number;
  /** Wrapped with master keys that are not here; left as they are. */
  readonly unknown: number;
}

interface KeyRow {
  readonly id: string;
  readonly org_id: string;
  readonly wrapped: Buffer;
  readonly master_key_id: string;
}

/** Wraps every key of every organisation with `masters.current()`. */
export async function rewrapKeys(owner: pg.Pool, masters: MasterKeys): Promise<Rotation> {
  const total = { rewrapped: 0, unknown: 0 };
  for (const table of ['organisation_key', 'patient_key'] as const) {
    const { rewrapped, unknown } = await rewrapTable({ owner, masters, table });
    total.rewrapped += rewrapped;
    total.unknown += unknown;
  }
  return total;
}

/** The ids of the master keys that some stored key is wrapped with. */
export async function usedMasterKeys(owner: pg.Pool): Promise<ReadonlySet<string>> {
  const { rows } = await owner.query<{ id: string }>(
    `select master_key_id as id from kymo.patient_key union select master_key_id from kymo.organisation_key`,
  );
  return new Set(rows.map(({ id }) => id));
}

async function rewrapTable(parts: {
  owner: pg.Pool;
  masters: MasterKeys;
  table: 'organisation_key' | 'patient_key';
}): Promise<Rotation> {
  const { owner, masters, table } = parts;
  const column = table === 'patient_key' ? 'patient_id' : 'org_id';
  const current = await masters.current();
  let rewrapped = 0;
  let unknown = 0;
  let after = '00000000-0000-0000-0000-000000000000';
  for (;;) {
    const { rows } = await owner.query<KeyRow>(
      `select ${column} as id, org_id, wrapped, master_key_id from kymo.${table}
        where master_key_id <> $1 and ${column} > $2 order by ${column} limit ${BATCH_KEYS}`,
      [current.id, after],
    );
    if (rows.length === 0) return { rewrapped, unknown };
    after = rows.at(-1)!.id;
    const changed: { id: string; before: Buffer; wrapped: Buffer }[] = [];
    for (const row of rows) {
      if ((await masters.find(row.master_key_id)) === null) {
        unknown++;
        continue;
      }
      const keyOwner: KeyOwner = { orgId: row.org_id, patientId: table === 'patient_key' ? row.id : null };
      const key = await unwrapKey(masters, keyOwner, {
        wrapped: row.wrapped,
        masterKeyId: row.master_key_id,
      });
      changed.push({ id: row.id, before: row.wrapped, wrapped: wrapKey(current, keyOwner, key).wrapped });
    }
    const { rowCount } = await owner.query(
      `update kymo.${table} k set wrapped = n.wrapped, master_key_id = $4
         from unnest($1::uuid[], $2::bytea[], $3::bytea[]) n(id, before, wrapped)
        where k.${column} = n.id and k.wrapped = n.before`,
      [
        changed.map(({ id }) => id),
        changed.map(({ before }) => before),
        changed.map(({ wrapped }) => wrapped),
        current.id,
      ],
    );
    rewrapped += rowCount ?? 0;
  }
}
