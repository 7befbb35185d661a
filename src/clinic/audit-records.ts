/** Owns who may read the audit log: whoever has the permission `audit.read`, of its own organisation. */

import type { AuditPage } from '#contract/audit.ts';
import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import { listAuditEntries, type AuditFilter } from '#store/audit-queries.ts';
import type { RolePool } from '#store/pools.ts';

export interface AuditRecords {
  /** A page, newest first; null when the cursor is none of this list. */
  list(principal: Principal, filter: AuditFilter): Promise<AuditPage | null>;
}

export function createAuditRecords(app: RolePool): AuditRecords {
  return {
    async list(principal, filter) {
      authorise(principal, 'audit.read', null);
      return listAuditEntries(app, principal, filter);
    },
  };
}
