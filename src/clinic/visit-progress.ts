/**
 * Owns how a session goes on by what people say: its devices are asked to start, they are asked to stop, it ends, it is signed
 * off. Devices begin and end a recording themselves (store/catalogue.ts); this asks them, refuses a device that records another
 * session, and ends what devices no longer can. What is asked and told, and the summary of an ended session, is written by the
 * transaction that causes it: each call is one round trip, after which all of it stands or nothing.
 */

import { AppError } from '#base/errors.ts';
import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import type { Visit, VisitAsked } from '#contract/visit.ts';
import { authorOf } from '#clinic/author.ts';
import { inUse, lockDevicesSql } from '#clinic/placements.ts';
import { sessionTags } from '#clinic/session-tags.ts';
import { askedSql, commandExpiryUs, tellAsked, type DeviceAsking } from '#clinic/visit-commands.ts';
import { usedBySql, visitOf, visitStatements } from '#clinic/visit-statements.ts';
import { lockSession, noSuchSession, outdated, type VisitParts } from '#clinic/visits.ts';
import { endedOf, tellingStatement, type EndedSession, type SessionEndMessage } from '#store/catalogue.ts';
import { runAsOrg, type Statement } from '#store/pools.ts';

export interface ProgressParts extends VisitParts {
  readonly asking: DeviceAsking;
  /** What is said when a session ends, and that it was: app/session-news.ts. */
  readonly news: {
    endMessage(session: string): SessionEndMessage;
    ended(session: { orgId: string; id: string }, ended: EndedSession, message: SessionEndMessage): void;
  };
}

export interface VisitProgress {
  /**
   * Asks the assigned devices that do not record the session yet to start. Errors: `conflict`: it is over, no device is assigned,
   * or one is in use in another session, which the message names.
   */
  start(principal: Principal, sessionId: string): Promise<VisitAsked>;
  /**
   * Asks its devices to stop; the session ends with the last stream, at once when none is open. `now`: whatever they do. Errors:
   * `conflict`: nothing was recorded. What is over stays as it is.
   */
  end(principal: Principal, sessionId: string, options: { readonly now: boolean }): Promise<VisitAsked>;
  /** Signs it off. Errors: `outdated`, `conflict` (not ended, or sealed already). */
  seal(principal: Principal, sessionId: string, revision: number): Promise<Visit>;
}

export function createVisitProgress(parts: ProgressParts): VisitProgress {
  const { app, cache, clock, news, asking } = parts;
  const change = async (principal: Principal, sessionId: string, statements: readonly Statement[]) => {
    const all = [...statements, ...visitStatements(sessionId)];
    const results = await cache.change(principal.orgId, sessionTags(sessionId, []), () =>
      runAsOrg(app, principal, { statements: all, mode: 'change' }),
    );
    const visit = visitOf(results);
    if (visit === null) throw noSuchSession();
    await cache.invalidate(principal.orgId, sessionTags(sessionId, [visit.session.patient?.id ?? null]));
    return { visit, results };
  };
  return {
    async start(principal, sessionId) {
      authorise(principal, 'session.write', null);
      authorise(principal, 'device.command', null);
      const expiresAtUs = commandExpiryUs(asking, clock);
      const { visit, results } = await change(principal, sessionId, startStatements(sessionId, expiresAtUs));
      const rows = results[2]!.rows as StartFacts[];
      if (!rows[0]!.isDone) throw startRefusal(rows[0]!);
      return { visit, asked: tellAsked(asking, principal.orgId, rows) };
    },
    async end(principal, sessionId, { now }) {
      authorise(principal, 'session.write', null);
      authorise(principal, 'device.command', null);
      const told = news.endMessage(sessionId);
      const ending = { sessionId, now, told, expiresAtUs: commandExpiryUs(asking, clock) };
      const { visit, results } = await change(principal, sessionId, endStatements(ending));
      const ended = endedOf(results[3]!.rows);
      if (ended !== null) news.ended({ orgId: principal.orgId, id: sessionId }, ended, told);
      if (visit.session.state === 'planned')
        throw new AppError('conflict', 'nothing was recorded yet: the plan can be cancelled');
      return { visit, asked: tellAsked(asking, principal.orgId, results[1]!.rows) };
    },
    async seal(principal, sessionId, revision) {
      authorise(principal, 'session.seal', null);
      const statements = sealStatements(sessionId, revision, authorOf(principal));
      const { visit, results } = await change(principal, sessionId, statements);
      if (results[1]?.rowCount === 1) return visit;
      if (visit.session.sealedAt !== null) throw new AppError('conflict', 'the session is sealed already');
      if (visit.revision !== revision) throw outdated();
      throw new AppError('conflict', 'the session has not ended');
    },
  };
}

interface StartFacts {
  readonly isDone: boolean;
  readonly isOver: boolean;
  readonly isEmpty: boolean;
  readonly busy: string | null;
}

function startRefusal({ isOver, isEmpty, busy }: StartFacts): AppError {
  if (isOver) return new AppError('conflict', 'the session is over');
  if (isEmpty) return new AppError('conflict', 'no device is assigned to the session');
  return inUse(busy!);
}

// A device that was assigned to several segments gets a command for each. Those that record the session already are not asked.
const toStart = `select c.org_id, p.device_id, json_build_object('session', p.session_id, 'segment', p.segment) as params
  from changed c join kymo.placement p on p.session_id = c.id
 where not exists (select from kymo.stream s where s.session_id = c.id and s.device_id = p.device_id and s.ended_at is null)
 order by p.device_id, p.segment`;

function startStatements(id: string, expiresAtUs: number): Statement[] {
  return [
    lockSession(id),
    {
      name: 'lock-placed-devices',
      text: lockDevicesSql(
        'select distinct device_id as id from kymo.placement where session_id = $1 order by 1',
      ),
      values: [id],
    },
    {
      name: 'ask-to-start',
      text: `with target as (
          select s.id, s.ended_at is not null as is_over from kymo.session s where s.id = $1),
        placed as (select distinct p.device_id from kymo.placement p where p.session_id = $1),
        busy as (select ${usedBySql('p.device_id', 't.id')} as session_id from placed p, target t),
        changed as (
          update kymo.session s set start_asked_at = now(), end_asked_at = null from target t
           where s.id = t.id and not t.is_over and exists (select from placed)
             and not exists (select from busy where session_id is not null)
          returning s.id, s.org_id)
        select exists (select from changed) as "isDone", t.is_over as "isOver",
               not exists (select from placed) as "isEmpty",
               (select session_id from busy where session_id is not null limit 1) as busy, n.*
          from target t left join lateral ${askedSql('start', toStart, '$2')} n on true`,
      values: [id, expiresAtUs],
    },
  ];
}

const toStop = `select distinct t.org_id, t.device_id, jsonb_build_object('session', s.id) as params
  from kymo.stream t join kymo.session s on s.id = t.session_id
 where t.session_id = $1 and t.ended_at is null and s.ended_at is null order by t.device_id`;

interface Ending {
  readonly sessionId: string;
  readonly now: boolean;
  readonly told: SessionEndMessage;
  readonly expiresAtUs: number;
}

// As a device's own end of a stream (store/catalogue.ts): the session's row is locked first. Then channels, in the order of
// their names.
function endStatements({ sessionId: id, now, told, expiresAtUs }: Ending): Statement[] {
  const isGoing = 's.id = $1 and not s.is_planned and s.ended_at is null';
  return [
    lockSession(id),
    {
      name: 'ask-to-stop',
      text: `select n.* from ${askedSql('stop', toStop, '$2')} n`,
      values: [id, expiresAtUs],
    },
    now
      ? {
          name: 'end-streams',
          text: `update kymo.stream t set ended_at = now() from kymo.session s
            where t.session_id = s.id and t.ended_at is null and ${isGoing}`,
          values: [id],
        }
      : {
          name: 'ask-to-end',
          text: `update kymo.session s set end_asked_at = now() where ${isGoing}`,
          values: [id],
        },
    tellingStatement(
      {
        text: `update kymo.session s set ended_at = now() where ${isGoing}
          and not exists (select from kymo.stream t where t.session_id = s.id and t.ended_at is null)`,
        values: [id],
      },
      told,
    ),
  ];
}

// What was stored is counted in the transaction, so that everything after it is an amendment.
function sealStatements(id: string, revision: number, author: string): Statement[] {
  return [
    lockSession(id),
    {
      name: 'seal-session',
      text: `update kymo.session s
           set sealed_at = now(), sealed_by = $3, plan_revision = s.plan_revision + 1, sealed_streams = o.streams,
               sealed_readings = o.stored
          from (select count(distinct t.id) as streams,
                       coalesce(sum((select sum(upper(r) - lower(r)) from unnest(e.committed) r)), 0)::bigint as stored
                  from kymo.stream t left join kymo.stream_epoch e on e.stream_id = t.id where t.session_id = $1) o
         where s.id = $1 and s.ended_at is not null and s.sealed_at is null and s.plan_revision = $2`,
      values: [id, revision, author],
    },
  ];
}
