/**
 * Owns legal holds: a session under one is neither dropped by retention nor erased until the hold ends. Row-level
 * security keeps every organisation to its own sessions.
 */

import { runAsOrg, type RolePool } from '#store/pools.ts';

export const holdLimits = {
  /** A file number and a sentence; also what the table checks. */
  reasonCharacters: 500,
} as const;

export interface LegalHolds {
  /** Puts a session under hold, or changes the reason. False when there is no such session, or it is being erased. */
  hold(orgId: string, sessionId: string, reason: string): Promise<boolean>;
  /** Ends a hold. False when there was none. */
  release(orgId: string, sessionId: string): Promise<boolean>;
}

export function createLegalHolds(app: RolePool): LegalHolds {
  return {
    async hold(orgId, sessionId, reason) {
      const results = await runAsOrg(app, orgId, {
        mode: 'change',
        statements: [
          // An erasure locks this row too, so that either sees what the other did.
          { text: 'select from kymo.session where id = $1 for update', values: [sessionId] },
          {
            text: `insert into kymo.legal_hold (session_id, org_id, reason)
              select s.id, s.org_id, $2 from kymo.session s
               where s.id = $1 and not exists (
                 select from kymo.erased x where x.org_id = s.org_id
                    and x.kind = 'session' and x.id = s.id)
              on conflict (session_id) do update set reason = excluded.reason`,
            values: [sessionId, reason],
          },
        ],
      });
      return results[1]?.rowCount === 1;
    },
    async release(orgId, sessionId) {
      const [result] = await runAsOrg(app, orgId, {
        mode: 'change',
        statements: [{ text: 'delete from kymo.legal_hold where session_id = $1', values: [sessionId] }],
      });
      return result?.rowCount === 1;
    },
  };
}
