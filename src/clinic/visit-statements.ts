/**
 * Owns how a visit is read: two statements of one round trip, the session's summary as lists have it and what people decided
 * about it, with everything that warnings are made of. Also what "in use" means for a device.
 */

import type { Visit } from '#contract/visit.ts';
import { isLiveSql, summaryOf, summaryStatement, type SummaryRow } from '#store/session-queries.ts';
import type { Statement } from '#store/pools.ts';
import { visitWarnings, type PlacementFacts } from '#clinic/visit-warnings.ts';

export const useLimits = {
  /** Devices that were asked to start, and have not yet, are taken for so long: a command lives ten minutes at most. */
  startingMinutes: 10,
  /** Sessions that are planned within this of each other may want one device at once. */
  besideMinutes: 120,
  /** A session that is planned for later than this may be given devices that are in use now. */
  laterMinutes: 60,
  /** The newest assignments of a device among which a session in progress is looked for: months of daily use. */
  assignments: 256,
} as const;

/**
 * SQL of the id of another session than `session` that uses the device now: it has an open stream there to which something
 * came lately, or it is assigned to a session in progress, or to one that was just asked to start. Both are columns.
 */
export function usedBySql(device: string, session: string): string {
  // Names of its own: a column that is handed in must not be taken for one of these tables.
  return `(select used.id from (
    (select other.id from kymo.stream running join kymo.session other on other.id = running.session_id
      where running.device_id = ${device} and running.ended_at is null and running.session_id <> ${session}
        and other.ended_at is null
        and (running.opened_at > now() - interval '1 minute' or ${isLiveSql('other.id')}) limit 1)
    union all
    (select other.id from (select given.session_id from kymo.placement given
                            where given.device_id = ${device} and given.session_id <> ${session}
                            order by given.assigned_at desc, given.session_id desc limit ${useLimits.assignments}) given
       join kymo.session other on other.id = given.session_id
      where other.ended_at is null
        and case when other.is_planned then other.start_asked_at > now() - interval '${useLimits.startingMinutes} minutes'
                 else ${isLiveSql('other.id')} end limit 1)) used limit 1)`;
}

/** For `visitOf`: of a session that the organisation has one row each, else none. */
export function visitStatements(sessionId: string): Statement[] {
  return [summaryStatement(sessionId), { name: 'visit', text: visitText, values: [sessionId] }];
}

interface VisitRow {
  readonly plan_revision: number;
  readonly created_by: string;
  readonly start_asked_at: Date | null;
  readonly end_asked_at: Date | null;
  readonly sealed_by: string;
  readonly has_patient: boolean;
  readonly consents: boolean;
  readonly is_archived: boolean;
  readonly protocol: Visit['protocol'];
  readonly placements: readonly PlacementRow[];
}

interface PlacementRow extends PlacementFacts {
  readonly assignedAt: string;
  readonly assignedBy: string;
  readonly isStreaming: boolean;
}

/** Of the rows of `visitStatements`, in their order; null: there is no such session. */
export function visitOf(results: readonly { readonly rows: readonly unknown[] }[]): Visit | null {
  const summary = results.at(-2)?.rows[0] as SummaryRow | undefined;
  const row = results.at(-1)?.rows[0] as VisitRow | undefined;
  if (summary === undefined || row === undefined) return null;
  return {
    session: summaryOf(summary),
    revision: row.plan_revision,
    protocol: row.protocol,
    createdBy: row.created_by,
    startAskedAt: row.start_asked_at?.toISOString() ?? null,
    endAskedAt: row.end_asked_at?.toISOString() ?? null,
    sealedBy: row.sealed_by === '' ? null : row.sealed_by,
    placements: row.placements.map(
      ({ deviceId, deviceName, segment, assignedAt, assignedBy, isStreaming }) => ({
        deviceId,
        deviceName,
        segment,
        assignedAt,
        assignedBy,
        isStreaming,
      }),
    ),
    warnings: visitWarnings({
      patient: row.has_patient ? { consents: row.consents, isArchived: row.is_archived } : null,
      protocol: row.protocol,
      placements: row.placements,
    }),
  };
}

// What was the last time, and is elsewhere, is of interest until the session is over.
const visitText = `
  select s.plan_revision, s.created_by, s.start_asked_at, s.end_asked_at, s.sealed_by,
         k.id is not null as has_patient, coalesce('recording' = any(k.consents), false) as consents,
         k.archived_at is not null as is_archived,
         case when r.protocol_id is null then null else json_build_object('id', r.protocol_id, 'revision', r.revision,
           'name', r.name, 'tasks', r.tasks, 'segments', r.segments) end as protocol,
         coalesce(w.placements, '[]') as placements
    from kymo.session s
    left join kymo.patient k on k.id = s.patient_id
    left join kymo.protocol_revision r on r.protocol_id = s.protocol_id and r.revision = s.protocol_revision
    left join lateral (
      select json_agg(json_build_object('deviceId', p.device_id, 'deviceName', d.name, 'segment', p.segment,
               'assignedAt', kymo.iso(p.assigned_at), 'assignedBy', p.assigned_by,
               'streams', coalesce(own.segments, '{}'), 'isStreaming', coalesce(own.is_streaming, false),
               'last', last.was, 'inUse', case when s.ended_at is null then ${usedBySql('p.device_id', 's.id')} end,
               'elsewhere', beside.id) order by p.segment, p.device_id) as placements
        from kymo.placement p
        join kymo.device d on d.id = p.device_id
        left join lateral (
          select array_agg(distinct t.segment) as segments, bool_or(t.ended_at is null) as is_streaming
            from kymo.stream t where t.session_id = s.id and t.device_id = p.device_id) own on true
        left join lateral (
          select json_build_object('session', b.session_id, 'segments', (
                   select json_agg(distinct t.segment) from kymo.stream t
                    where t.session_id = b.session_id and t.device_id = p.device_id)) as was
            from kymo.stream b
           where b.device_id = p.device_id and b.session_id <> s.id and s.ended_at is null
           order by b.opened_at desc limit 1) last on true
        left join lateral (
          select o.id from (select q.session_id from kymo.placement q
                             where q.device_id = p.device_id and q.session_id <> s.id and s.is_planned
                             order by q.assigned_at desc, q.session_id desc limit ${useLimits.assignments}) q
            join kymo.session o on o.id = q.session_id
           where o.is_planned and o.started_at between s.started_at - interval '${useLimits.besideMinutes} minutes'
                                                   and s.started_at + interval '${useLimits.besideMinutes} minutes'
           limit 1) beside on true
       where p.session_id = s.id) w on true
   where s.id = $1`;
