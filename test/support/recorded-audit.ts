/** Owns an audit log in memory, for tests of what is recorded and of what happens when it cannot be. */

import type { Audit, AuditEntry } from '#contract/audit.ts';

export interface RecordedAudit extends Audit {
  readonly entries: AuditEntry[];
  /** When set, recording fails with it. */
  failure: Error | null;
}

export function createRecordedAudit(): RecordedAudit {
  const audit: RecordedAudit = {
    entries: [],
    failure: null,
    async record(entry) {
      if (audit.failure !== null) throw audit.failure;
      audit.entries.push(entry);
    },
  };
  return audit;
}
