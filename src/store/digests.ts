/**
 * Owns the digest of a day: that it is put into the outbox once for each owner and clinician of an organisation, by one
 * statement that also notes the day. Whoever comes second finds it noted, also after a kill: all of it is there, or none. Bound:
 * a mail a person, which is gone before the next.
 */

import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';

/** A mail that says what happened yesterday is of no use tomorrow. */
const KEPT_MS = 18 * 3_600_000;

/** Puts the digests of the day before `now` (UTC) where they wait to be sent. Returns how many; 0 also when it was done before. */
export async function addDigests(app: RolePool, orgId: string, now: Date): Promise<number> {
  const [added] = await runAsOrg(app, orgId, { statements: [digestStatement(now)], mode: 'change' });
  return (added!.rows[0] as { added: number }).added;
}

/** For a transaction of kymo_app in one organisation. A day on which nothing happened is noted, and told to nobody. */
function digestStatement(now: Date): Statement {
  return {
    name: 'digest-add',
    text: `with noted as (
        insert into kymo.digest as d (org_id, day) values (kymo.current_org(), $1::date - 1)
        on conflict (org_id) do update set day = excluded.day where d.day < excluded.day
        returning d.org_id, d.day::timestamp at time zone 'UTC' as first, (d.day + 1)::timestamp at time zone 'UTC' as next),
      counted as (
        select n.org_id,
               (select count(*) from kymo.session s where s.ended_at >= n.first and s.ended_at < n.next) as sessions,
               (select count(*) from kymo.job j where j.kind = 'session-report' and j.state = 'done'
                   and j.finished_at >= n.first and j.finished_at < n.next) as reports,
               (select count(*) from kymo.job j where j.state = 'failed'
                   and j.finished_at >= n.first and j.finished_at < n.next) as failed,
               (select count(*) from kymo.webhook_endpoint e where not e.is_enabled and e.disabled_reason is not null)
                 as webhooks
          from noted n),
      told as (
        select gen_random_uuid() as id, c.*, p.email from counted c
          join kymo.member m on m.org_id = c.org_id and m.role in ('owner', 'clinician')
          join kymo.person p on p.id = m.person_id
         where c.sessions + c.reports + c.failed > 0),
      mailed as (
        insert into kymo.mail (id, org_id, kind, recipient, fields, expires_at)
        select id, org_id, 'digest', email, jsonb_build_object('sessions', sessions, 'reports', reports,
                 'failed', failed, 'webhooks', webhooks, 'path', ''), $2::timestamptz
          from told)
      select count(*)::integer as added from told`,
    values: [now.toISOString().slice(0, 10), new Date(now.getTime() + KEPT_MS)],
  };
}
