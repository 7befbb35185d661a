/**
 * Owns the making of a patient: the row, the patient's key, what names the patient, and the first consents, in one
 * transaction and one round trip. Asking again with the same id and code answers what is there.
 */

import { randomInt } from 'node:crypto';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { PatientRequest } from '#contract/clinic.ts';
import type { Principal } from '#contract/principal.ts';
import { authorOf } from '#clinic/author.ts';
import { consentStatement } from '#clinic/consents.ts';
import { identifierStatements } from '#clinic/identifiers.ts';
import { rowsAsOrg, type JsonRow } from '#clinic/json-pages.ts';
import type { KeyStore } from '#clinic/key-store.ts';
import { patientJson } from '#clinic/patient-sql.ts';
import type { RolePool, Statement } from '#store/pools.ts';

export interface CreationParts {
  readonly app: RolePool;
  readonly clock: Clock;
  readonly keys: KeyStore;
}

/** Patient as JSON. The caller was authorised. Errors: `conflict` names the field; `erased`: the id was a patient's before. */
export async function createPatient(
  parts: CreationParts,
  principal: Principal,
  request: PatientRequest,
): Promise<string> {
  const made = {
    ...request,
    id: request.id?.toLowerCase() ?? uuidv7(parts.clock),
    code: request.code ?? newCode(),
  };
  const statements = await creationStatements(parts, principal, made);
  try {
    const results = await rowsAsOrg<JsonRow>(parts.app, principal, { statements, mode: 'change' });
    return results.at(-1)![0]!.body;
  } catch (error) {
    if (!(error instanceof AppError && error.code === 'conflict')) throw error;
    const same = await sameAsBefore(parts.app, principal, { id: made.id, code: request.code ?? null });
    if (same !== null) return same;
    if (error.field !== '/recordNumber') throw error;
    throw new AppError(error.code, error.message, { field: `/identifiers${error.field}`, cause: error });
  }
}

// Letters and digits that nobody mistakes for each other (Crockford's base 32), a thousand million of them.
const codeSigns = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

function newCode(): string {
  return `P-${Array.from({ length: 6 }, () => codeSigns[randomInt(codeSigns.length)]!).join('')}`;
}

/** The patient of this id when it is the same that was asked for before. */
async function sameAsBefore(
  app: RolePool,
  principal: Principal,
  { id, code }: { id: string; code: string | null },
): Promise<string | null> {
  const statement = {
    name: 'same-patient',
    text: `select ${patientJson}::text as body from kymo.patient p
      where p.id = $1 and ($2::text is null or p.code = $2)`,
    values: [id, code],
  };
  const [rows] = await rowsAsOrg<JsonRow>(app, principal, { statements: [statement], mode: 'snapshot' });
  return rows![0]?.body ?? null;
}

async function creationStatements(
  { keys, clock }: CreationParts,
  principal: Principal,
  request: PatientRequest & { readonly id: string; readonly code: string },
): Promise<Statement[]> {
  const { orgId } = principal;
  const { id: patientId, consents = [] } = request;
  const by = authorOf(principal);
  const { key, statement: storeKey } = await keys.newPatientKey(orgId, patientId);
  const named = Object.keys(request.identifiers ?? {}).length > 0;
  const indexKey = named ? await keys.indexKey(principal, { make: true }) : null;
  return [
    patientStatement(principal, request),
    storeKey,
    ...(indexKey === null
      ? []
      : identifierStatements({ orgId, patientId, by, key, indexKey }, request.identifiers ?? {})),
    ...consents.map((purpose) =>
      consentStatement(
        { id: uuidv7(clock), orgId, patientId, by },
        { purpose, decision: 'granted', reference: '', decidedAt: null },
      ),
    ),
    {
      name: 'created-patient',
      text: `select ${patientJson}::text as body from kymo.patient p where p.id = $1`,
      values: [patientId],
    },
  ];
}

// An id that was erased makes nothing, and what follows then has no patient to refer to.
function patientStatement(
  principal: Principal,
  request: PatientRequest & { readonly id: string; readonly code: string },
): Statement {
  return {
    name: 'create-patient',
    text: `insert into kymo.patient
        (id, org_id, code, birth_year, sex, height_m, mass_kg, affected_side, diagnosis, consents, created_by)
      select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
       where not exists (select from kymo.erased_patient x where x.org_id = $2 and x.patient_id = $1)`,
    values: [
      request.id,
      principal.orgId,
      request.code,
      request.birthYear ?? null,
      request.sex ?? null,
      request.heightM ?? null,
      request.massKg ?? null,
      request.affectedSide ?? null,
      request.diagnosis ?? '',
      (request.consents ?? []).toSorted(),
      authorOf(principal),
    ],
  };
}
