/** Owns who works in a test's clinic: principals of roles, and patients, without signing anybody in. */

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { Principal } from '#contract/principal.ts';
import { runAsOrg, type RolePool } from '#store/pools.ts';

/** A clinician of the organisation unless `over` says otherwise. */
export function person(orgId: string, over: Partial<Principal> = {}): Principal {
  return {
    kind: 'user',
    orgId,
    subject: uuidv7(systemClock),
    role: 'clinician',
    patientId: null,
    permissions: null,
    grants: null,
    expiresAtUs: Number.POSITIVE_INFINITY,
    revocationId: null,
    ...over,
  };
}

/** A patient with these consents; returns the id. */
export async function createPatient(
  app: RolePool,
  orgId: string,
  consents: readonly string[] = ['care', 'recording'],
): Promise<string> {
  const id = uuidv7(systemClock);
  const statement = {
    text: 'insert into kymo.patient (id, org_id, code, consents) values ($1, $2, $3, $4)',
    values: [id, orgId, `P-${id.slice(-12)}`, consents],
  };
  await runAsOrg(app, orgId, { statements: [statement], mode: 'change' });
  return id;
}
