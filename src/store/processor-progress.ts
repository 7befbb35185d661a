/**
 * Owns how far a processor of an extension has come with the windows of each organisation, and that one server at a time
 * runs it: a lock on its connection, which goes with it. Runs as kymo_writer, which sees the windows of all.
 */

import type pg from 'pg';

import type { WindowName } from '#store/window-queries.ts';

/** Of the advisory locks; the number is arbitrary. Two processors with one hash take turns by server, no more. */
const PROCESSOR_LOCK = 5_962_124;

/** Windows of one organisation that changed since it was advanced last, in the order of changes. */
export interface ProcessorPage {
  readonly orgId: string;
  readonly windows: readonly WindowName[];
  /** Of the last of them. */
  readonly change: number;
}

export interface ProcessorProgress {
  /** True: this connection runs it. */
  claim(): Promise<boolean>;
  /** Of every organisation with something new, at most `limit` windows. */
  pages(limit: number): Promise<readonly ProcessorPage[]>;
  advance(page: ProcessorPage): Promise<void>;
}

export function createProcessorProgress(
  client: pg.ClientBase,
  { algorithm, version }: { readonly algorithm: string; readonly version: number },
): ProcessorProgress {
  let isClaimed = false;
  return {
    async claim() {
      if (isClaimed) return true;
      const { rows } = await client.query<{ mine: boolean }>(
        'select pg_try_advisory_lock($1::int, hashtext($2)) as mine',
        [PROCESSOR_LOCK, algorithm],
      );
      isClaimed = rows[0]?.mine === true;
      return isClaimed;
    },
    async pages(limit) {
      const { rows } = await client.query<{
        org_id: string;
        session_ids: string[];
        starts_us: string[];
        change: string;
      }>(
        // Numbers that are smaller than where it stands are those of a database that was restored: it begins again.
        `select c.org_id, w.session_ids, w.starts_us, w.change::text
           from kymo.window_counter c
           left join kymo.processor_progress p on p.org_id = c.org_id and p.algorithm = $1 and p.version = $2
          cross join lateral (
            select array_agg(n.session_id::text order by n.change) as session_ids,
                   array_agg(n.start_us::text order by n.change) as starts_us, max(n.change) as change
              from (select session_id, start_us, change from kymo.session_window
                     where org_id = c.org_id and revision > 0
                       and change > case when p.change <= c.newest then p.change else 0 end
                     order by change limit $3) n) w
          where c.newest <> coalesce(p.change, 0) and w.change is not null`,
        [algorithm, version, limit],
      );
      return rows.map((row) => ({
        orgId: row.org_id,
        windows: row.session_ids.map((sessionId, i) => ({ sessionId, startUs: Number(row.starts_us[i]) })),
        change: Number(row.change),
      }));
    },
    async advance({ orgId, change }) {
      await client.query(
        `insert into kymo.processor_progress (org_id, algorithm, version, change) values ($1, $2, $3, $4)
         on conflict (org_id, algorithm, version) do update set change = excluded.change`,
        [orgId, algorithm, version, change],
      );
    },
  };
}
