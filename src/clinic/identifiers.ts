/**
 * Owns what names a patient: sealed under the patient's key before it leaves this process, opened only for a request that
 * asks for it. An exact value is found by its blind index. Nothing of it is ever kept in memory, logged or cached.
 */

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import type { IdentifiersRequest, PatientIdentifiers } from '#contract/clinic.ts';
import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import { authorOf } from '#clinic/author.ts';
import { rowsAsOrg } from '#clinic/json-pages.ts';
import type { KeyStore } from '#clinic/key-store.ts';
import {
  blindOf,
  identifierContext,
  identifierKinds,
  open,
  seal,
  searchedKinds,
  unwrapKey,
  type IdentifierKind,
  type MasterKeys,
  type SearchedKind,
} from '#clinic/master-keys.ts';
import { noSuchPatient } from '#clinic/patient-sql.ts';
import { refuseUnstorable } from '#clinic/stored-text.ts';
import type { OrgScope, RolePool, Statement } from '#store/pools.ts';

/** AppError `not-found`: there is no such patient. */
export interface Identifiers {
  /** Errors: `conflict` when the master key is not here, or the patient's key was destroyed. */
  read(principal: Principal, patientId: string): Promise<PatientIdentifiers>;
  /** Stores what is given and removes what is null; returns all that is known then. Errors: `conflict` (record number). */
  change(principal: Principal, patientId: string, request: IdentifiersRequest): Promise<PatientIdentifiers>;
}

export function createIdentifiers(parts: {
  app: RolePool;
  keys: KeyStore;
  masters: MasterKeys;
}): Identifiers {
  const { app, keys } = parts;
  return {
    async read(principal, patientId) {
      authorise(principal, 'patient.read', { patientId });
      return readIdentifiers(parts, principal, patientId);
    },
    async change(principal, patientId, request) {
      authorise(principal, 'patient.write', { patientId });
      refuseUnstorable(request);
      const key = await keys.patientKey(principal, patientId);
      if (key === null) throw noSuchPatient();
      const indexKey = await keys.indexKey(principal, { make: true });
      assert(indexKey !== null, 'a key that was asked for is made');
      const owner = { orgId: principal.orgId, patientId, by: authorOf(principal), key, indexKey };
      const statements = identifierStatements(owner, request);
      await rowsAsOrg(app, principal, { statements, mode: 'change' });
      return readIdentifiers(parts, principal, patientId);
    },
  };
}

/** All that is known of who a patient is. The caller was authorised. Errors as of `Identifiers.read`. */
export async function readIdentifiers(
  { app, masters }: { readonly app: RolePool; readonly masters: MasterKeys },
  scope: OrgScope,
  patientId: string,
): Promise<PatientIdentifiers> {
  const statements = [sealedStatement(patientId)];
  const [rows] = await rowsAsOrg<SealedRow>(app, scope, { statements, mode: 'snapshot' });
  const [first] = rows!;
  if (first === undefined) throw noSuchPatient();
  if (first.kind === null) return {};
  const owner = { orgId: scope.orgId, patientId };
  if (first.wrapped === null)
    throw new AppError('conflict', 'the key of this patient was destroyed: nobody can read this any more');
  const wrapped = { wrapped: first.wrapped, masterKeyId: first.master_key_id! };
  return openAll(owner, await unwrapKey(masters, owner, wrapped), rows!);
}

export interface SealingOwner {
  readonly orgId: string;
  readonly patientId: string;
  /** Who writes it. */
  readonly by: string;
  readonly key: Buffer;
  readonly indexKey: Buffer;
}

/** Statements that store what is text and remove what is null. */
export function identifierStatements(owner: SealingOwner, request: IdentifiersRequest): Statement[] {
  return identifierKinds
    .filter((kind) => request[kind] !== undefined)
    .map((kind) => identifierStatement(owner, kind, request[kind] ?? null));
}

function identifierStatement(owner: SealingOwner, kind: IdentifierKind, text: string | null): Statement {
  const { orgId, patientId, by, key, indexKey } = owner;
  if (text === null)
    return {
      name: 'remove-identifier',
      text: 'delete from kymo.patient_identifier where patient_id = $1 and kind = $2',
      values: [patientId, kind],
    };
  const sealed = seal(key, identifierContext(orgId, patientId, kind), Buffer.from(text, 'utf8'));
  return {
    name: 'store-identifier',
    text: `insert into kymo.patient_identifier (patient_id, org_id, kind, sealed, blind, updated_by)
      values ($1, $2, $3, $4, $5, $6)
      on conflict (patient_id, kind) do update
        set sealed = excluded.sealed, blind = excluded.blind, updated_by = excluded.updated_by, updated_at = now()`,
    values: [patientId, orgId, kind, sealed, isSearched(kind) ? blindOf(indexKey, kind, text) : null, by],
  };
}

function isSearched(kind: IdentifierKind): kind is SearchedKind {
  return (searchedKinds as readonly string[]).includes(kind);
}

interface SealedRow {
  readonly wrapped: Buffer | null;
  readonly master_key_id: string | null;
  readonly kind: IdentifierKind | null;
  readonly sealed: Buffer | null;
}

// At least one row of a patient who exists.
function sealedStatement(patientId: string): Statement {
  return {
    name: 'patient-identifiers',
    text: `select k.wrapped, k.master_key_id, i.kind, i.sealed from kymo.patient p
      left join kymo.patient_key k on k.patient_id = p.id
      left join kymo.patient_identifier i on i.patient_id = p.id where p.id = $1`,
    values: [patientId],
  };
}

function openAll(
  owner: { readonly orgId: string; readonly patientId: string },
  key: Buffer,
  rows: readonly SealedRow[],
): PatientIdentifiers {
  const found: Partial<Record<IdentifierKind, string>> = {};
  for (const { kind, sealed } of rows) {
    if (kind === null || sealed === null) continue;
    const plain = open(key, identifierContext(owner.orgId, owner.patientId, kind), sealed);
    if (plain === null)
      throw new AppError(
        'conflict',
        'an identifier was changed in the database, or is sealed for another patient',
      );
    found[kind] = plain.toString('utf8');
  }
  return found;
}
