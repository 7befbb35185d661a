/**
 * Owns how a session goes on by what people say: its devices are asked to start, they are asked to stop, it ends, it is signed
 * off. Devices begin and end a recording themselves (store/catalogue.ts); this asks them, refuses a device that records another
 * session, and ends what devices no longer can. The end is told, and its summary enqueued, in the transaction that ends it.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import type { Visit, VisitAsked } from '#contract/visit.ts';
import { authorOf } from '#clinic/author.ts';
import { inUse, lockDevicesSql } from '#clinic/placements.ts';
import { sessionTags } from '#clinic/session-tags.ts';
import { usedBySql, visitOf, visitStatements } from '#clinic/visit-statements.ts';
import { lockSession, noSuchSession, outdated, type VisitParts } from '#clinic/visits.ts';
import { endedOf, tellingStatement, type EndedSession, type SessionEndMessage } from '#store/catalogue.ts';
import { runAsOrg, type Statement } from '#store/pools.ts';

/** What a device is asked. Its outcome is told in the channel of its commands. */
export interface VisitCommand {
  readonly id: string;
  readonly command: 'start' | 'stop';
  readonly params: Readonly<Record<string, string>>;
}

export interface ProgressParts extends VisitParts {
  /** Resolves when the command is kept; throws AppError when it cannot be. */
  readonly ask: (
    of: { readonly orgId: string; readonly device: string },
    command: VisitCommand,
  ) => Promise<void>;
  /** What is said when a session ends, and that it was: app/session-news.ts. */
  readonly news: {
    endMessage(session: string): SessionEndMessage;
    ended(session: { orgId: string; id: string }, ended: EndedSession, message: SessionEndMessage): void;
  };
  readonly clock: Clock;
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
  const { app, cache, clock, news } = parts;
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
      const { visit, results } = await change(principal, sessionId, startStatements(sessionId));
      const facts = results[2]!.rows[0] as StartFacts;
      if (!facts.isDone) throw startRefusal(facts);
      return { visit, asked: await askEach(parts, principal, startCommands(visit, clock)) };
    },
    async end(principal, sessionId, { now }) {
      authorise(principal, 'session.write', null);
      authorise(principal, 'device.command', null);
      const told = news.endMessage(sessionId);
      const { visit, results } = await change(principal, sessionId, endStatements(sessionId, now, told));
      const ended = endedOf(results[3]!.rows);
      if (ended !== null) news.ended({ orgId: principal.orgId, id: sessionId }, ended, told);
      if (visit.session.state === 'planned')
        throw new AppError('conflict', 'nothing was recorded yet: the plan can be cancelled');
      const open = (results[1]!.rows as { readonly device_id: string }[]).map(({ device_id }) => device_id);
      return { visit, asked: await askEach(parts, principal, stopCommands(sessionId, open, clock)) };
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

type Asking = VisitCommand & { readonly device: string };

/** One after the other: as many as a session has devices. */
async function askEach(
  { ask }: ProgressParts,
  { orgId }: Principal,
  commands: readonly Asking[],
): Promise<VisitAsked['asked']> {
  for (const { device, ...command } of commands) await ask({ orgId, device }, command);
  return commands.map(({ device, id }) => ({ deviceId: device, command: id }));
}

/** A device that was assigned to several segments gets a command for each. */
function startCommands({ session, placements }: Visit, clock: Clock): Asking[] {
  return placements
    .filter(({ isStreaming }) => !isStreaming)
    .map(({ deviceId, segment }) => ({
      device: deviceId,
      id: uuidv7(clock),
      command: 'start',
      params: { session: session.id, segment },
    }));
}

function stopCommands(session: string, devices: readonly string[], clock: Clock): Asking[] {
  return [...new Set(devices)].map((device) => ({
    device,
    id: uuidv7(clock),
    command: 'stop',
    params: { session },
  }));
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

function startStatements(id: string): Statement[] {
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
          returning 1)
        select exists (select from changed) as "isDone", t.is_over as "isOver",
               not exists (select from placed) as "isEmpty",
               (select session_id from busy where session_id is not null limit 1) as busy
          from target t`,
      values: [id],
    },
  ];
}

// As a device's own end of a stream (store/catalogue.ts): the session's row is locked first.
function endStatements(id: string, now: boolean, told: SessionEndMessage): Statement[] {
  const isGoing = 's.id = $1 and not s.is_planned and s.ended_at is null';
  return [
    lockSession(id),
    {
      name: 'open-streams',
      text: `select t.device_id from kymo.stream t join kymo.session s on s.id = t.session_id
        where t.session_id = $1 and t.ended_at is null and s.ended_at is null`,
      values: [id],
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
