/**
 * Owns the list of sessions as JSON text, kept for a moment: whatever people do to a session, and its beginning and end, ends
 * what is kept at once. How much is stored, and that a session went silent, comes from its readings, which tell nobody; so a
 * list is at most `ageMs` old (twice that when another instance has read it).
 */

import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import { invalidCursor } from '#clinic/json-pages.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { ownOf } from '#clinic/visits.ts';
import { createSessionQueries, type SessionFilter } from '#store/session-queries.ts';
import type { RolePool } from '#store/pools.ts';

export const sessionListLimits = {
  /** A page that watches sessions asks every few seconds; flushes come four times a second. */
  ageMs: 1_000,
} as const;

export interface SessionLists {
  /** SessionPage as JSON text. Errors: `invalid-field`: the cursor is none of this list. */
  list(
    principal: Principal,
    page: { readonly limit: number; readonly cursor: string | null; readonly filter: SessionFilter },
  ): Promise<string>;
}

export function createSessionLists({
  app,
  cache,
}: {
  readonly app: RolePool;
  readonly cache: Pick<ReadCache, 'read'>;
}): SessionLists {
  const sessions = createSessionQueries(app);
  return {
    async list(principal, { limit, cursor, filter }) {
      authorise(principal, 'session.read', ownOf(principal));
      const { patientId, state, from, to } = filter;
      const query = JSON.stringify([limit, cursor, patientId, state, from, to]);
      const what = { name: 'sessions', query, tags: ['sessions'], ageMs: sessionListLimits.ageMs };
      return cache.read(principal, what, async () => {
        const page = await sessions.list(principal, { limit, cursor, filter });
        if (page === null) throw invalidCursor();
        return JSON.stringify(page);
      });
    },
  };
}
