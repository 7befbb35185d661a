/**
 * Owns consent by purpose: decisions are added and never changed; the newest of a purpose counts. What stands granted is
 * also on the patient's row, counted anew in the transaction of each decision, so that asking for it costs nothing.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { ConsentPurpose, ConsentRequest } from '#contract/clinic.ts';
import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import { authorOf } from '#clinic/author.ts';
import { rowsAsOrg, type JsonRow } from '#clinic/json-pages.ts';
import { jsonObject } from '#clinic/json-sql.ts';
import { noSuchPatient } from '#clinic/patient-sql.ts';
import { refuseUnstorable } from '#clinic/stored-text.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import type { RolePool, Statement } from '#store/pools.ts';

export const consentLimits = {
  /** Decisions of a patient: one a week for two years and five purposes. More are refused. */
  decisions: 500,
  /** How far the clock of whoever decided may be ahead. */
  aheadMs: 5 * 60_000,
} as const;

/** Answers are ConsentRecord as JSON (contract/clinic.ts). AppError `not-found`: there is no such patient. */
export interface Consents {
  read(principal: Principal, patientId: string): Promise<string>;
  /** Errors: `invalid-field`: decided in the future; `limit-exceeded`. */
  decide(principal: Principal, patientId: string, request: ConsentRequest): Promise<string>;
}

export function createConsents({
  app,
  clock,
  cache,
}: {
  app: RolePool;
  clock: Clock;
  cache: ReadCache;
}): Consents {
  return {
    async read(principal, patientId) {
      authorise(principal, 'patient.read', { patientId });
      return cache.read(
        principal,
        { name: 'consents', query: patientId, tags: [`patient:${patientId}`] },
        async () => {
          const statements = [recordStatement(patientId)];
          const [rows] = await rowsAsOrg<JsonRow>(app, principal, { statements, mode: 'snapshot' });
          if (rows!.length === 0) throw noSuchPatient();
          return rows![0]!.body;
        },
      );
    },
    async decide(principal, patientId, request) {
      authorise(principal, 'patient.write', { patientId });
      refuseUnstorable(request);
      const { purpose, decision, reference = '', decidedAt = null } = request;
      if (decidedAt !== null && Date.parse(decidedAt) > clock.nowUs() / 1000 + consentLimits.aheadMs)
        throw new AppError('invalid-field', 'body /decidedAt is in the future', { field: '/decidedAt' });
      const statements = [
        // One decision after the other: each counts what stands after those before.
        {
          name: 'lock-patient',
          text: 'select 1 from kymo.patient where id = $1 for update',
          values: [patientId],
        },
        consentStatement(
          { id: uuidv7(clock), orgId: principal.orgId, patientId, by: authorOf(principal) },
          { purpose, decision, reference, decidedAt },
        ),
        recountStatement(patientId),
        recordStatement(patientId),
      ];
      const [found, added, , record] = await cache.change(
        principal.orgId,
        ['patients', `patient:${patientId}`],
        () => rowsAsOrg<JsonRow>(app, principal, { statements, mode: 'change' }),
      );
      if (found!.length === 0) throw noSuchPatient();
      if (added!.length === 0)
        throw new AppError('limit-exceeded', `a patient has at most ${consentLimits.decisions} decisions`);
      return record![0]!.body;
    },
  };
}

/** Adds a decision; returns a row unless the patient does not exist or has too many. `decidedAt` null: now. */
export function consentStatement(
  owner: {
    readonly id: string;
    readonly orgId: string;
    readonly patientId: string;
    readonly by: string;
  },
  decided: {
    readonly purpose: ConsentPurpose;
    readonly decision: 'granted' | 'withdrawn';
    readonly reference: string;
    readonly decidedAt: string | null;
  },
): Statement {
  return {
    name: 'add-consent',
    text: `insert into kymo.patient_consent (id, org_id, patient_id, purpose, decision, decided_at, reference, recorded_by)
      select $1, p.org_id, p.id, $4, $5, coalesce($6::timestamptz, now()), $7, $8
        from kymo.patient p where p.id = $2 and p.org_id = $3
         and (select count(*) from kymo.patient_consent c where c.patient_id = p.id) < ${consentLimits.decisions}
      returning 1`,
    values: [
      owner.id,
      owner.patientId,
      owner.orgId,
      decided.purpose,
      decided.decision,
      decided.decidedAt,
      decided.reference,
      owner.by,
    ],
  };
}

function recountStatement(patientId: string): Statement {
  return {
    name: 'recount-consents',
    text: `update kymo.patient p set updated_at = now(), consents = coalesce((
        select array_agg(c.purpose order by c.purpose) from (
          select distinct on (purpose) purpose, decision from kymo.patient_consent
           where patient_id = p.id order by purpose, decided_at desc, id desc) c
         where c.decision = 'granted'), '{}') where p.id = $1`,
    values: [patientId],
  };
}

const decisionJson = jsonObject({
  id: 'c.id',
  purpose: 'c.purpose',
  decision: 'c.decision',
  decidedAt: 'kymo.iso(c.decided_at)',
  reference: 'c.reference',
  recordedAt: 'kymo.iso(c.recorded_at)',
  recordedBy: 'c.recorded_by',
});

function recordStatement(patientId: string): Statement {
  return {
    name: 'consents',
    text: `select ${jsonObject({
      granted: 'p.consents',
      history: `(select coalesce(json_agg(${decisionJson} order by c.decided_at desc, c.id desc), '[]')
        from kymo.patient_consent c where c.patient_id = p.id)`,
    })}::text as body from kymo.patient p where p.id = $1`,
    values: [patientId],
  };
}
