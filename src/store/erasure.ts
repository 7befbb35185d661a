/**
 * Owns the removal of whole sessions with all that was stored of them. Ranges go first, then readings, and the
 * definitions under row-level security last, so that a crash in between leaves an empty session, which the next call
 * removes, and never readings that nothing refers to.
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
  const ids = (streams?.rows ?? []).map((row: { id: string }) => row.id);
  await eraseStreams(pools, ids);
  const [sessions] = await runAsOrg(pools.app, orgId, {
    mode: 'change',
    statements: [{ text: 'delete from kymo.session where id = any($1::uuid[])', values: [sessionIds] }],
  });
  // While the definitions still stood, a device that was sending may have opened its stream again.
  await eraseStreams(pools, ids);
  return sessions?.rowCount ?? 0;
}

async function eraseStreams(pools: Pick<Pools, 'writer'>, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  // A transaction of its own: a flush that is under way then finds no guard rows and stores nothing more, and none waits
  // for the readings to be removed. Locked in the guard's order, so that it and a flush never wait for each other.
  await pools.writer.run([
    {
      text: `with erased as (
          select stream_id, epoch from kymo.stream_epoch where stream_id = any($1::uuid[])
           order by stream_id, epoch for update)
        delete from kymo.stream_epoch e using erased
         where e.stream_id = erased.stream_id and e.epoch = erased.epoch`,
      values: [ids],
    },
  ]);
  await pools.writer.run([
    { text: 'delete from kymo.loss where stream_id = any($1::uuid[])', values: [ids] },
    { text: 'delete from kymo.chunk where stream_id = any($1::uuid[])', values: [ids] },
  ]);
}
