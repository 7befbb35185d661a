/**
 * Owns the wrapped keys in the database: one of each patient, never kept in memory, so that destroying it counts at once
 * everywhere; and one of each organisation for its blind indexes, kept for at most `indexKeys` of them.
 */

import { LRUCache } from 'lru-cache';

import { newKey, unwrapKey, wrapKey, type MasterKeys } from '#clinic/master-keys.ts';
import { rowsAsOrg } from '#clinic/json-pages.ts';
import type { OrgScope, RolePool, Statement } from '#store/pools.ts';

export const keyLimits = {
  /** 32 bytes each; the least recently used goes first. */
  indexKeys: 4_096,
} as const;

interface KeyRow {
  readonly wrapped: Buffer;
  readonly master_key_id: string;
}

export interface KeyStore {
  /** A key for a patient who is made in the same transaction, and the statement that stores it. */
  newPatientKey(orgId: string, patientId: string): Promise<{ key: Buffer; statement: Statement }>;
  /** The key of a patient, made where there is none; null when there is no such patient, or it is being erased. */
  patientKey(scope: OrgScope, patientId: string): Promise<Buffer | null>;
  /** The key of an organisation's blind indexes; null when it has none and none is to be made. */
  indexKey(scope: OrgScope, options: { make: boolean }): Promise<Buffer | null>;
}

export function createKeyStore({ app, masters }: { app: RolePool; masters: MasterKeys }): KeyStore {
  const indexKeys = new LRUCache<string, Buffer>({ max: keyLimits.indexKeys });

  const storing = async (
    orgId: string,
    patientId: string,
  ): Promise<{ key: Buffer; values: readonly unknown[] }> => {
    const key = newKey();
    const { wrapped, masterKeyId } = wrapKey(await masters.current(), { orgId, patientId }, key);
    return { key, values: [patientId, orgId, wrapped, masterKeyId] };
  };

  return {
    async newPatientKey(orgId, patientId) {
      const { key, values } = await storing(orgId, patientId);
      return {
        key,
        statement: {
          name: 'new-patient-key',
          text: 'insert into kymo.patient_key (patient_id, org_id, wrapped, master_key_id) values ($1, $2, $3, $4)',
          values,
        },
      };
    },
    async patientKey(scope, patientId) {
      const owner = { orgId: scope.orgId, patientId };
      const find: Statement = {
        name: 'patient-key',
        text: 'select wrapped, master_key_id from kymo.patient_key where patient_id = $1',
        values: [patientId],
      };
      const [found] = await rowsAsOrg<KeyRow>(app, scope, { statements: [find], mode: 'snapshot' });
      let row = found![0];
      if (row === undefined) {
        const { values } = await storing(scope.orgId, patientId);
        const make: Statement = {
          name: 'make-patient-key',
          text: `insert into kymo.patient_key (patient_id, org_id, wrapped, master_key_id)
            select p.id, p.org_id, $3, $4 from kymo.patient p where p.id = $1 and p.org_id = $2
              and not exists (select from kymo.erased_patient x where x.org_id = p.org_id and x.patient_id = p.id)
            on conflict do nothing`,
          values,
        };
        const statements = [make, find];
        row = (await rowsAsOrg<KeyRow>(app, scope, { statements, mode: 'change' }))[1]![0];
      }
      if (row === undefined) return null;
      return unwrapKey(masters, owner, { wrapped: row.wrapped, masterKeyId: row.master_key_id });
    },
    async indexKey(scope, { make }) {
      const kept = indexKeys.get(scope.orgId);
      if (kept !== undefined) return kept;
      const owner = { orgId: scope.orgId, patientId: null };
      const find: Statement = {
        name: 'index-key',
        text: 'select wrapped, master_key_id from kymo.organisation_key where org_id = $1',
        values: [scope.orgId],
      };
      const [found] = await rowsAsOrg<KeyRow>(app, scope, { statements: [find], mode: 'snapshot' });
      let row = found![0];
      if (row === undefined) {
        if (!make) return null;
        const { wrapped, masterKeyId } = wrapKey(await masters.current(), owner, newKey());
        const insert: Statement = {
          name: 'make-index-key',
          text: `insert into kymo.organisation_key (org_id, wrapped, master_key_id) values ($1, $2, $3)
            on conflict do nothing`,
          values: [scope.orgId, wrapped, masterKeyId],
        };
        const statements = [insert, find];
        row = (await rowsAsOrg<KeyRow>(app, scope, { statements, mode: 'change' }))[1]![0]!;
      }
      const key = await unwrapKey(masters, owner, { wrapped: row.wrapped, masterKeyId: row.master_key_id });
      indexKeys.set(scope.orgId, key);
      return key;
    },
  };
}
