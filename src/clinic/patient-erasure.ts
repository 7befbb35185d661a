/**
 * Owns the erasing of a patient: first, in one transaction, a tombstone, the destruction of the patient's key and what it
 * sealed, and the tombstones of the recordings, so that from then on nobody reads who it was, holds a recording or adds one;
 * then the recordings (store/erasure.ts), then every row of the patient. Refused under a legal hold, with nothing changed.
 * A crash between any two steps leaves what the same call finishes.
 */

import { AppError } from '#base/errors.ts';
import { authorise, type Actor } from '#contract/permissions.ts';
import { rowsAsOrg } from '#clinic/json-pages.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { erasedTags } from '#clinic/session-tags.ts';
import { erase } from '#store/erasure.ts';
import { runAsOrg, type Pools, type Statement } from '#store/pools.ts';

/** `held`: a recording is under a legal hold, and nothing was changed. `not-found`: there is, and was, no such patient. */
export type PatientErasure = 'erased' | 'held' | 'not-found';

export interface ErasureParts {
  readonly pools: Pick<Pools, 'app' | 'writer'>;
  readonly cache: Pick<ReadCache, 'invalidate'>;
  /** Told how many of the recordings are gone. */
  readonly onProgress?: (erased: number, of: number) => void;
}

/** A recording that is bound to the patient while the others are erased is taken by the next round. */
const MAX_ROUNDS = 5;

export async function erasePatient(
  parts: ErasureParts,
  actor: Actor,
  patientId: string,
): Promise<PatientErasure> {
  authorise(actor, 'patient.erase', { patientId });
  const { pools, cache, onProgress } = parts;
  const forget = (sessions: readonly string[]): Promise<void> =>
    cache.invalidate(actor.orgId, tagsOf(patientId, sessions));
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    const marked = await rowsAsOrg<Standing>(pools.app, actor, {
      statements: markStatements(actor.orgId, patientId),
      mode: 'change',
    });
    const { erased, held, exists, sessions } = marked.at(-1)![0]!;
    if (!erased) return held ? 'held' : 'not-found';
    await forget(sessions);
    for (const [i, id] of sessions.entries()) {
      await erase(pools, actor.orgId, { kind: 'session', id });
      onProgress?.(i + 1, sessions.length);
    }
    if (!exists || (await removeRows(parts, actor, patientId))) {
      await forget(sessions);
      return 'erased';
    }
  }
  throw new AppError('conflict', 'recordings are bound to this patient again and again: try later', {
    temporary: true,
  });
}

interface Standing {
  readonly erased: boolean;
  readonly held: boolean;
  readonly exists: boolean;
  readonly sessions: readonly string[];
}

// Whoever binds a recording to the patient, or puts one under a hold, locks the same rows: either comes before all of this or
// after it, and then sees the tombstones.
function markStatements(orgId: string, patientId: string): Statement[] {
  const held = `exists (select from kymo.legal_hold h join kymo.session s on s.id = h.session_id where s.patient_id = $1)`;
  const erased = `exists (select from kymo.erased_patient x where x.org_id = $2 and x.patient_id = $1)`;
  const values = [patientId, orgId];
  return [
    { text: 'select from kymo.patient where id = $1 for update', values: [patientId] },
    { text: 'select from kymo.session where patient_id = $1 order by id for update', values: [patientId] },
    {
      text: `insert into kymo.erased_patient (org_id, patient_id)
        select p.org_id, p.id from kymo.patient p where p.id = $1 and not ${held} on conflict do nothing`,
      values: [patientId],
    },
    {
      text: `insert into kymo.erased (org_id, kind, id) select s.org_id, 'session', s.id from kymo.session s
         where s.patient_id = $1 and ${erased} on conflict do nothing`,
      values,
    },
    { text: `delete from kymo.patient_identifier where patient_id = $1 and ${erased}`, values },
    { text: `delete from kymo.patient_key where patient_id = $1 and ${erased}`, values },
    {
      text: `update kymo.patient set archived_at = coalesce(archived_at, now()), revision = revision + 1
         where id = $1 and ${erased}`,
      values,
    },
    {
      text: `select ${erased} as erased, ${held} as held, exists (select from kymo.patient where id = $1) as exists,
        array(select s.id from kymo.session s where s.patient_id = $1 order by s.id) as sessions`,
      values,
    },
  ];
}

/** Everything that refers to the patient goes along (migration 0016). False: a recording was bound meanwhile. */
async function removeRows({ pools }: ErasureParts, actor: Actor, patientId: string): Promise<boolean> {
  const statements = [
    // Of recordings that were taken from the patient again after they had been analysed.
    { text: 'delete from kymo.session_summary where patient_id = $1', values: [patientId] },
    { text: 'delete from kymo.patient where id = $1', values: [patientId] },
  ];
  return runAsOrg(pools.app, actor, { statements, mode: 'change' }).then(
    () => true,
    (error: unknown) => {
      const { code, constraint } = error as { readonly code?: unknown; readonly constraint?: unknown };
      if (code === '23503' && constraint === 'session_patient_id_fkey') return false;
      throw error;
    },
  );
}

function tagsOf(patientId: string, sessions: readonly string[]): string[] {
  const own = ['patient', 'notes', 'history', 'goals', 'programmes'].map((tag) => `${tag}:${patientId}`);
  return ['patients', ...own, ...sessions.flatMap((id) => erasedTags(id, null))];
}
