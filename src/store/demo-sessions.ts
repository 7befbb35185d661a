/** Owns which sessions are demo data: they are marked when they begin, and only marked ones are ever erased here. */

import { eraseSessions } from '#store/erasure.ts';
import { runAsOrg, type Pools } from '#store/pools.ts';

/** Whom the demo shows walking: a code, with the consent to be recorded. */
export interface DemoPatient {
  readonly id: string;
  readonly consentId: string;
  readonly code: string;
  readonly diagnosis: string;
}

/** Makes the session ahead of its first stream, marked as demo, and its patient where there is none of that code yet. */
export async function markDemoSession(
  pools: Pick<Pools, 'app'>,
  demo: { orgId: string; session: string; label: string; synthetic: boolean; patient: DemoPatient },
): Promise<void> {
  const { patient } = demo;
  await runAsOrg(pools.app, demo.orgId, {
    mode: 'change',
    statements: [
      {
        text: `insert into kymo.patient (id, org_id, code, diagnosis, created_by) values ($1, $2, $3, $4, 'demo')
          on conflict (org_id, code) do nothing`,
        values: [patient.id, demo.orgId, patient.code, patient.diagnosis],
      },
      {
        text: `insert into kymo.patient_consent (id, patient_id, org_id, purpose, decision, decided_at, reference)
          select $1, p.id, p.org_id, 'recording', 'granted', now(), 'demo' from kymo.patient p
           where p.org_id = $2 and p.code = $3
             and not exists (select from kymo.patient_consent c where c.patient_id = p.id)`,
        values: [patient.consentId, demo.orgId, patient.code],
      },
      {
        text: `insert into kymo.session (id, org_id, label, synthetic, demo, patient_id)
          select $1, $2, $3, $4, true, (select p.id from kymo.patient p where p.org_id = $2 and p.code = $5)
          on conflict (id) do update set demo = true`,
        values: [demo.session, demo.orgId, demo.label, demo.synthetic, patient.code],
      },
    ],
  });
}

/** Erases all but the newest `kept` demo sessions; returns how many. */
export async function pruneDemoSessions(
  pools: Pick<Pools, 'app' | 'writer'>,
  orgId: string,
  kept: number,
): Promise<number> {
  const [old] = await runAsOrg(pools.app, orgId, {
    mode: 'snapshot',
    statements: [
      {
        text: 'select id from kymo.session where demo order by started_at desc, id desc offset $1',
        values: [kept],
      },
    ],
  });
  return eraseSessions(
    pools,
    orgId,
    (old?.rows ?? []).map((row: { id: string }) => row.id),
  );
}
