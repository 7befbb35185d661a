/** Owns the reading of a session's figures: one row, kept by the read cache until the session or its figures change. */

import { AppError } from '#base/errors.ts';
import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { noSuchSession, ownOf } from '#clinic/visits.ts';
import { runAsOrg, type RolePool } from '#store/pools.ts';

export interface SessionSummaries {
  /** SessionFigures as JSON text. Errors: `not-found`, also while there are none yet. */
  read(principal: Principal, sessionId: string): Promise<string>;
}

export function createSessionSummaries(parts: {
  readonly app: RolePool;
  readonly cache: Pick<ReadCache, 'read'>;
}): SessionSummaries {
  const { app, cache } = parts;
  return {
    async read(principal, sessionId) {
      authorise(principal, 'session.read', ownOf(principal));
      const what = { name: 'session-summary', query: sessionId, tags: [`session:${sessionId}`] };
      return cache.read(principal, what, async () => {
        const statement = { name: 'session-figures', text: figuresText, values: [sessionId] };
        const [result] = await runAsOrg(app, principal, { statements: [statement], mode: 'snapshot' });
        const row = result?.rows[0] as { readonly body: string | null } | undefined;
        if (row === undefined) throw noSuchSession();
        if (row.body === null) throw new AppError('not-found', 'the session has no figures yet');
        return row.body;
      });
    },
  };
}

const figuresText = `
  select case when m.session_id is not null then json_build_object('session', s.id, 'patientId', m.patient_id,
           'startedAt', kymo.iso(m.started_at), 'durationS', m.duration_s, 'figures', m.figures, 'quality', m.quality,
           'algorithm', m.algorithm, 'algorithmVersion', m.algorithm_version, 'inputRevision', m.input_revision,
           'computedAt', kymo.iso(m.computed_at))::text end as body
    from kymo.session s left join kymo.session_summary m on m.session_id = s.id where s.id = $1`;
