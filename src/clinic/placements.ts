/**
 * Owns which device is worn on which segment in a session. Devices are locked while they are assigned and while a session
 * starts, so that of two sessions that want one at the same instant the second sees the first; one in use elsewhere is refused.
 * What may be a mistake and may not, such as left and right, is said in the visit's warnings.
 */

import { AppError } from '#base/errors.ts';
import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import type { DevicePlacementPage, PlacementsChange, Visit } from '#contract/visit.ts';
import { authorOf } from '#clinic/author.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { sessionTags } from '#clinic/session-tags.ts';
import { refuseUnstorable } from '#clinic/stored-text.ts';
import { useLimits, usedBySql, visitOf, visitStatements } from '#clinic/visit-statements.ts';
import { lockSession, noSuchSession, outdated } from '#clinic/visits.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';

export interface Placements {
  /**
   * Replaces all placements of a session. Errors: `outdated`; `conflict`: the session is sealed, or a device is in use in another,
   * which the message names; `invalid-field`: no such device, or one segment twice of one device.
   */
  assign(principal: Principal, sessionId: string, change: PlacementsChange): Promise<Visit>;
  /** Where a device was, newest first. Errors: `not-found`, `invalid-field` (cursor). */
  history(
    principal: Principal,
    deviceId: string,
    page: { readonly limit: number; readonly cursor: string | null },
  ): Promise<DevicePlacementPage>;
}

/** Of the advisory locks of devices that are assigned; the number is arbitrary. */
const DEVICE_LOCK = 5_962_141;

/** To the end of the transaction, after `lockSession`. In the order of ids, so that two never wait for each other. */
export function lockDevicesSql(devices: string): string {
  return `select pg_advisory_xact_lock(${DEVICE_LOCK}, hashtext(d.id::text)) from (${devices}) d`;
}

export function createPlacements(parts: {
  readonly app: RolePool;
  readonly cache: Pick<ReadCache, 'change' | 'invalidate'>;
}): Placements {
  const { app, cache } = parts;
  return {
    async assign(principal, sessionId, change) {
      authorise(principal, 'session.write', null);
      refuseUnstorable(change.placements, '/placements');
      refuseTwice(change);
      const statements = [...assignStatements(principal, sessionId, change), ...visitStatements(sessionId)];
      const results = await cache.change(principal.orgId, sessionTags(sessionId, []), () =>
        runAsOrg(app, principal, { statements, mode: 'change' }),
      );
      const visit = visitOf(results);
      const [facts] = (results[2]?.rows ?? []) as AssignFacts[];
      if (visit === null || facts === undefined) throw noSuchSession();
      if (!facts.isDone) throw refusalOf(facts, change);
      await cache.invalidate(principal.orgId, sessionTags(sessionId, [visit.session.patient?.id ?? null]));
      return visit;
    },
    async history(principal, deviceId, { limit, cursor }) {
      authorise(principal, 'device.read', null);
      const statements = historyStatements(deviceId, { limit, cursor });
      const [device, rows] = await runAsOrg(app, principal, { statements, mode: 'snapshot' });
      if (device?.rowCount === 0) throw new AppError('not-found', 'there is no such device');
      const found = (rows?.rows ?? []) as HistoryRow[];
      const shown = found.slice(0, limit);
      const last = shown.at(-1);
      return {
        placements: shown.map(({ session, segment, assignedAt, state }) => ({
          session,
          segment,
          assignedAt,
          state,
        })),
        next: found.length > limit && last !== undefined ? last.cursor : null,
      };
    },
  };
}

/** A device that records more than one segment has a placement for each. */
function refuseTwice({ placements }: PlacementsChange): void {
  const seen = new Set<string>();
  for (const [i, { deviceId, segment }] of placements.entries()) {
    const key = `${deviceId.toLowerCase()} ${segment}`;
    if (seen.has(key))
      throw new AppError('invalid-field', 'a device is assigned to a segment once', {
        field: `/placements/${i}`,
      });
    seen.add(key);
  }
}

interface AssignFacts {
  readonly isDone: boolean;
  readonly isCurrent: boolean;
  readonly isSealed: boolean;
  readonly unknown: string | null;
  readonly busy: { readonly device: string; readonly session: string } | null;
}

function refusalOf(facts: AssignFacts, { placements }: PlacementsChange): AppError {
  const fieldOf = (device: string): string =>
    `/placements/${placements.findIndex(({ deviceId }) => deviceId.toLowerCase() === device)}/deviceId`;
  if (facts.isSealed) return new AppError('conflict', 'the session is sealed');
  if (!facts.isCurrent) return outdated();
  if (facts.unknown !== null)
    return new AppError('invalid-field', 'there is no such device, or it was revoked', {
      field: fieldOf(facts.unknown),
    });
  const { device, session } = facts.busy!;
  return inUse(session, fieldOf(device));
}

/** A device of one session is recording another. */
export function inUse(session: string, field?: string): AppError {
  return new AppError(
    'conflict',
    `the device is in use in session ${session}`,
    field === undefined ? {} : { field },
  );
}

// A session that is over may be corrected, whatever its devices do now; one for later may have what is in use now.
function assignStatements(
  principal: Principal,
  id: string,
  { placements, revision }: PlacementsChange,
): Statement[] {
  const devices = placements.map(({ deviceId }) => deviceId.toLowerCase());
  return [
    lockSession(id),
    {
      name: 'lock-devices',
      text: lockDevicesSql('select distinct id from unnest($1::uuid[]) id order by id'),
      values: [devices],
    },
    {
      name: 'assign-devices',
      text: `with wanted as (select distinct device_id, segment from unnest($3::uuid[], $4::text[]) as w (device_id, segment)),
        target as (
          select s.id, s.org_id, s.sealed_at is not null as is_sealed, s.plan_revision = $2 as is_current,
                 s.ended_at is not null as is_over,
                 s.is_planned and s.started_at > now() + interval '${useLimits.laterMinutes} minutes' as is_later
            from kymo.session s where s.id = $1),
        unknown as (
          select w.device_id from wanted w
           where not exists (select from kymo.device d where d.id = w.device_id
             and (d.revoked_at is null
                  or exists (select from kymo.placement p where p.session_id = $1 and p.device_id = w.device_id)))),
        busy as (
          select u.device_id, ${usedBySql('u.device_id', 't.id')} as session_id
            from target t, (select distinct device_id from wanted) u where not t.is_over and not t.is_later),
        allowed as (
          select t.id, t.org_id from target t
           where not t.is_sealed and t.is_current and not exists (select from unknown)
             and not exists (select from busy where session_id is not null)),
        gone as (
          delete from kymo.placement p using allowed
           where p.session_id = allowed.id
             and not exists (select from wanted w where w.device_id = p.device_id and w.segment = p.segment)),
        made as (
          insert into kymo.placement (session_id, device_id, segment, org_id, assigned_by)
          select allowed.id, w.device_id, w.segment, allowed.org_id, $5 from wanted w, allowed
          on conflict do nothing),
        changed as (
          update kymo.session s set plan_revision = s.plan_revision + 1 from allowed where s.id = allowed.id returning 1)
        select exists (select from changed) as "isDone", t.is_current as "isCurrent", t.is_sealed as "isSealed",
               (select device_id from unknown limit 1) as unknown,
               (select json_build_object('device', b.device_id, 'session', b.session_id) from busy b
                 where b.session_id is not null limit 1) as busy
          from target t`,
      values: [id, revision, devices, placements.map(({ segment }) => segment), authorOf(principal)],
    },
  ];
}

interface HistoryRow {
  readonly session: string;
  readonly segment: string;
  readonly assignedAt: string;
  readonly state: DevicePlacementPage['placements'][number]['state'];
  readonly cursor: string;
}

// As many characters as a segment has, of any script.
const cursorPattern = /^(\d{1,16})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(.{1,64})$/su;

function historyStatements(deviceId: string, page: { limit: number; cursor: string | null }): Statement[] {
  const values: unknown[] = [deviceId, page.limit + 1];
  let after = '';
  if (page.cursor !== null) {
    const match = cursorPattern.exec(Buffer.from(page.cursor, 'base64url').toString());
    if (match === null || match[3]!.includes('\u0000'))
      throw new AppError('invalid-field', 'querystring /cursor is not the `next` of a page of this list', {
        field: '/cursor',
      });
    values.push(match[1], match[2], match[3]);
    after = `and (p.assigned_at, p.session_id, p.segment) <
      ('epoch'::timestamptz + $3::bigint * interval '1 microsecond', $4::uuid, $5)`;
  }
  return [
    { name: 'device', text: 'select from kymo.device where id = $1', values: [deviceId] },
    {
      name: page.cursor === null ? 'device-placements' : 'device-placements-after',
      text: `select p.session_id as session, p.segment, kymo.iso(p.assigned_at) as "assignedAt",
          case when s.is_planned then 'planned' when s.sealed_at is not null then 'sealed'
               when s.ended_at is not null then 'ended' else 'going' end as state,
          translate(encode(convert_to((extract(epoch from p.assigned_at) * 1000000)::bigint || '.' || p.session_id || '.' || p.segment,
            'UTF8'), 'base64'), E'+/=\\n', '-_') as cursor
        from kymo.placement p join kymo.session s on s.id = p.session_id
        where p.device_id = $1 ${after}
        order by p.assigned_at desc, p.session_id desc, p.segment desc limit $2`,
      values,
    },
  ];
}
