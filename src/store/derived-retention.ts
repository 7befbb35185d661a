/**
 * Owns the SQL that ends what was derived from readings: results of windows, figures, and states of the analysis are kept as
 * long as roll-ups, since both tell of the readings without being them. Windows themselves stay, like committed ranges.
 * Runs as kymo_writer. Bound: `rows` results a statement.
 */

import type { Statement } from '#store/pools.ts';

/**
 * Of one session whose streams are all of the class and received their last readings on or before the day, and of which no
 * stream is among `held` (SQL); gives `rows`, 0 when there was none.
 */
export function endDerivedStatement(
  { retentionClass, lastDay, rows }: { retentionClass: number; lastDay: string; rows: number },
  held: string,
): Statement {
  return {
    text: `with old as (
        select l.session_id from kymo.window_ledger l
         where (exists (select from kymo.window_result r where r.session_id = l.session_id)
                or exists (select from kymo.motion_checkpoint c where c.session_id = l.session_id)
                or exists (select from kymo.motion_analysis a where a.session_id = l.session_id and a.summary is not null))
           and exists (select from kymo.stream t where t.session_id = l.session_id)
           and not exists (
             select from kymo.stream t left join kymo.stream_epoch e on e.stream_id = t.id
              where t.session_id = l.session_id
                and (t.retention_class <> $1 or t.id in ${held} or e.last_commit_day > $2::date))
         limit 1),
      results as (
        delete from kymo.window_result where ctid = any(array(
          select r.ctid from kymo.window_result r join old using (session_id) limit $3))
        returning 1),
      states as (delete from kymo.motion_checkpoint where session_id in (select session_id from old) returning 1),
      analyses as (
        update kymo.motion_analysis
           set summary = null, is_dirty = false, failure = 'results are kept no longer than roll-ups, and were removed'
         where session_id in (select session_id from old) returning 1)
      select (select count(*) from results) + (select count(*) from states)
           + (select count(*) from analyses) as rows`,
    values: [retentionClass, lastDay, rows],
  };
}
