/** Owns which sessions are demo data: they are marked when they begin, and only marked ones are ever erased here. */

import { eraseSessions } from '#store/erasure.ts';
import { runAsOrg, type Pools } from '#store/pools.ts';

/** Makes the session ahead of its first stream, marked as demo. */
export async function markDemoSession(
  pools: Pick<Pools, 'app'>,
  demo: { orgId: string; session: string; label: string; synthetic: boolean },
): Promise<void> {
  await runAsOrg(pools.app, demo.orgId, {
    mode: 'change',
    statements: [
      {
        text: `insert into kymo.session (id, org_id, label, synthetic, demo) values ($1, $2, $3, $4, true)
          on conflict (id) do update set demo = true`,
        values: [demo.session, demo.orgId, demo.label, demo.synthetic],
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
