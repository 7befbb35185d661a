/**
 * Owns the removal of whole sessions with all that was stored of them. Readings and ranges go first, in one transaction,
 * and the definitions under row-level security last, so that a crash in between leaves an empty session, which the next
 * call removes, and never readings that nothing refers to.
 */

import { runAsOrg, type Pools } from '#store/pools.ts';

/** Removes sessions of one organisation; ids of others are ignored. Returns how many there were. */
export async function eraseSessions(
  pools: Pick<Pools, 'app' | 'writer'>,
  orgId: string,
  sessionIds: readonly string[],
): Promise<number> {
  if (sessionIds.length === 0) return 0;
  const [streams] = await runAsOrg(pools.app, orgId, {
    mode: 'snapshot',
    statements: [
      { text: 'select id from kymo.stream where session_id = any($1::uuid[])', values: [sessionIds] },
    ],
  });
  await eraseStreams(
    pools,
    (streams?.rows ?? []).map((row: { id: string }) => row.id),
  );
  const [sessions] = await runAsOrg(pools.app, orgId, {
    mode: 'change',
    statements: [{ text: 'delete from kymo.session where id = any($1::uuid[])', values: [sessionIds] }],
  });
  return sessions?.rowCount ?? 0;
}

/** Guard rows first: a flush that is under way then finds none and stores nothing more. */
async function eraseStreams(pools: Pick<Pools, 'writer'>, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await pools.writer.run([
    { text: 'delete from kymo.stream_epoch where stream_id = any($1::uuid[])', values: [ids] },
    { text: 'delete from kymo.loss where stream_id = any($1::uuid[])', values: [ids] },
    { text: 'delete from kymo.chunk where stream_id = any($1::uuid[])', values: [ids] },
  ]);
}
