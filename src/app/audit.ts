/** Owns the audit log of a running server: its connections, its sealer and its metrics, and that both end after whoever records. */

import { systemClock, type Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { createAuditLog, type AuditLog } from '#clinic/audit-log.ts';
import { createAuditRecords, type AuditRecords } from '#clinic/audit-records.ts';
import { startAuditSealer, type AuditSealer } from '#clinic/audit-sealer.ts';
import { openAuditStore } from '#store/audit-store.ts';
import type { Pools } from '#store/pools.ts';
import type { Config } from '#app/config.ts';
import type { Lifecycle } from '#app/lifecycle.ts';
import type { Namers } from '#app/metrics.ts';

export interface OpenedAudit {
  readonly audit: AuditLog;
  readonly auditRecords: AuditRecords;
  readonly sealer: AuditSealer;
}

export function openAudit(options: {
  readonly config: Config;
  readonly pools: Pools;
  readonly clock: Clock;
  readonly log: Log;
  readonly lifecycle: Lifecycle;
}): OpenedAudit {
  const { config, pools, clock, log, lifecycle } = options;
  const store = openAuditStore(pools.auditUrl);
  const audit = createAuditLog({ store, clock });
  const sealer = startAuditSealer({ store, clock, log, keepDays: config['audit-days'] });
  lifecycle.add('audit log', async () => {
    await Promise.all([audit.flush(), sealer.stop()]);
    await store.close();
  });
  return { audit, auditRecords: createAuditRecords(pools.app), sealer };
}

/** Records what a command of whoever runs the server is about to do. Rejects when it cannot be: then it is not done. */
export async function recordCommand(
  pools: Pick<Pools, 'auditUrl'>,
  { orgId, command, session }: { readonly orgId: string; readonly command: string; readonly session: string },
): Promise<void> {
  const store = openAuditStore(pools.auditUrl);
  try {
    await createAuditLog({ store, clock: systemClock }).record({
      orgId,
      actor: { kind: 'system', role: 'service', subject: `kymo ${command}` },
      action: 'retention.manage',
      route: `kymo ${command}`,
      requestId: null,
      patientId: null,
      resource: { kind: 'session', id: session },
      status: null,
      address: null,
    });
  } finally {
    await store.close();
  }
}

export function addAuditMetrics({ counter, gauge }: Namers, { audit, sealer }: OpenedAudit): void {
  counter('kymo_audit_entries_total', 'accesses recorded', () => audit.counters.recorded);
  counter('kymo_audit_commits_total', 'commits that they took', () => audit.counters.commits);
  counter(
    'kymo_audit_refused_total',
    'accesses refused because too many waited to be recorded',
    () => audit.counters.refused,
  );
  counter('kymo_audit_failed_total', 'entries whose commit failed', () => audit.counters.failed);
  gauge('kymo_audit_pending', 'entries that wait for their commit', () => audit.pending);
  gauge('kymo_audit_unsealed_rows', 'entries in no block yet', () => sealer.counters.unsealed);
  counter('kymo_audit_sealed_rows_total', 'entries put into blocks', () => sealer.counters.sealed);
  counter('kymo_audit_seal_failures_total', 'steps of sealing that failed', () => sealer.counters.failures);
  counter(
    'kymo_audit_expired_blocks_total',
    'blocks whose entries were kept long enough',
    () => sealer.counters.expiredBlocks,
  );
}
