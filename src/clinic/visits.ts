/**
 * Owns planning: making a planned session, changing its plan, saying whose recording a session is, and cancelling what was
 * never recorded. A session that a device began before anybody planned it (its id came first) takes the plan and stays what
 * it is. Changes name the revision that they were made from. Each is one transaction and one round trip.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import { authorise, type Resource } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import type { PatientBinding, PlanChange, PlanRequest, Visit } from '#contract/visit.ts';
import { authorOf } from '#clinic/author.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { sessionTags } from '#clinic/session-tags.ts';
import { refuseUnstorable } from '#clinic/stored-text.ts';
import { visitOf, visitStatements } from '#clinic/visit-statements.ts';
import { erasedSql } from '#store/erasure.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';

export interface Visits {
  read(principal: Principal, sessionId: string): Promise<Visit>;
  /** A new planned session. Errors: `invalid-field` (no such patient or protocol). */
  plan(principal: Principal, request: PlanRequest): Promise<Visit>;
  /**
   * With revision null: plans the session of this id, which may be recorded already; the same again answers the same. Errors:
   * `outdated`, `conflict` (sealed, or the id cannot be used), `invalid-field`.
   */
  change(principal: Principal, sessionId: string, change: PlanChange): Promise<Visit>;
  /** Errors: `outdated`, `conflict` (sealed), `invalid-field` (no such patient). */
  bind(principal: Principal, sessionId: string, binding: PatientBinding): Promise<Visit>;
  /** Removes a session that was planned and never recorded. Errors: `outdated`, `conflict` (recorded). */
  cancel(principal: Principal, sessionId: string, revision: number): Promise<void>;
}

export interface VisitParts {
  readonly app: RolePool;
  readonly cache: Pick<ReadCache, 'change' | 'invalidate'>;
  readonly clock: Clock;
}

export function createVisits(parts: VisitParts): Visits {
  const { app, cache, clock } = parts;
  const planned = async (principal: Principal, id: string, change: PlanChange): Promise<Visit> => {
    refuseUnstorable(change);
    return changeSession(
      parts,
      { principal, sessionId: id, statements: planStatements(principal, id, change) },
      (facts) => {
        const same = facts.isSame && change.revision === null && facts.author === authorOf(principal);
        if (facts.isDone || same) return;
        refuseAbsent(facts, change);
        if (!facts.isThere && change.revision === null)
          throw new AppError('conflict', 'this id cannot be used for a session');
        if (!facts.isThere) throw noSuchSession();
        refuseLocked(facts);
      },
    );
  };
  return {
    async read(principal, sessionId) {
      authorise(principal, 'session.read', ownOf(principal));
      const statements = visitStatements(sessionId);
      const visit = visitOf(await runAsOrg(app, principal, { statements, mode: 'snapshot' }));
      if (visit === null) throw noSuchSession();
      return visit;
    },
    async plan(principal, request) {
      authorise(principal, 'session.write', null);
      return planned(principal, uuidv7(clock), { ...request, revision: null });
    },
    async change(principal, sessionId, change) {
      authorise(principal, 'session.write', null);
      return planned(principal, sessionId, change);
    },
    async bind(principal, sessionId, binding) {
      authorise(principal, 'session.write', null);
      const statements = bindStatements(sessionId, binding);
      return changeSession(parts, { principal, sessionId, statements }, (facts) => {
        if (facts.isDone) return;
        if (!facts.isThere) throw noSuchSession();
        refuseAbsent(facts, { patientId: binding.patientId, protocolId: null });
        refuseLocked(facts);
      });
    },
    async cancel(principal, sessionId, revision) {
      authorise(principal, 'session.write', null);
      const [, deleted, left] = await cache.change(principal.orgId, sessionTags(sessionId, []), () =>
        runAsOrg(app, principal, { statements: cancelStatements(sessionId, revision), mode: 'change' }),
      );
      const gone = deleted?.rows[0] as { readonly patient_id: string | null } | undefined;
      if (gone !== undefined)
        return cache.invalidate(principal.orgId, sessionTags(sessionId, [gone.patient_id]));
      const found = left?.rows[0] as { readonly is_planned: boolean; readonly is_held: boolean } | undefined;
      if (found === undefined) throw noSuchSession();
      if (!found.is_planned)
        throw new AppError('conflict', 'the session was recorded: it can be erased, not cancelled');
      if (found.is_held) throw new AppError('conflict', 'the session is under a legal hold');
      throw outdated();
    },
  };
}

/** What an account of a patient may read is narrowed by the database to its own sessions. */
export function ownOf({ role, patientId }: Principal): Resource | null {
  return role === 'patient' ? { patientId } : null;
}

export function noSuchSession(): AppError {
  return new AppError('not-found', 'there is no such session');
}

export function outdated(): AppError {
  return new AppError('outdated', 'somebody has changed this meanwhile: read it again');
}

/** What a change met; the row of `factsStatement`. */
interface Facts {
  readonly isThere: boolean;
  readonly isDone: boolean;
  readonly isSealed: boolean;
  /** Patient, protocol, time and label are as asked. */
  readonly isSame: boolean;
  readonly author: string;
  readonly hasPatient: boolean;
  readonly hasProtocol: boolean;
}

interface Changing {
  readonly principal: Principal;
  readonly sessionId: string;
  /** `lockSession`, those that change, then one of `factsStatement`. */
  readonly statements: readonly Statement[];
}

/** Runs a change that ends with the visit as it is then; `refuse` throws for one that did nothing. */
async function changeSession(
  { app, cache }: VisitParts,
  { principal, sessionId, statements }: Changing,
  refuse: (facts: Facts) => void,
): Promise<Visit> {
  const all = [...statements, ...visitStatements(sessionId)];
  const results = await cache.change(principal.orgId, sessionTags(sessionId, []), () =>
    runAsOrg(app, principal, { statements: all, mode: 'change' }),
  );
  const changes = results.slice(1, statements.length - 1).flatMap(({ rows }) => rows as ChangeRow[]);
  const visit = visitOf(results);
  refuse({
    ...(results[statements.length - 1]!.rows[0] as Omit<Facts, 'isDone'>),
    isDone: changes.length > 0,
  });
  if (visit === null) throw noSuchSession();
  const patients = [...changes.map(({ was }) => was), visit.session.patient?.id ?? null];
  const tags = sessionTags(sessionId, patients);
  // The list of patients says when each was recorded last.
  const lists = changes.some(({ moved }) => moved) ? ['patients'] : [];
  await cache.invalidate(principal.orgId, [...tags, ...lists]);
  return visit;
}

/** `was`: the patient before; `moved`: it is another one, or none, now. */
interface ChangeRow {
  readonly was: string | null;
  readonly moved: boolean;
}

/** SQL: the organisation has this patient, and is not about to erase it with all recordings that are bound to it. */
function isPatientSql(patient: string): string {
  return `exists (select from kymo.patient k where k.id = ${patient}::uuid
    and not exists (select from kymo.erased_patient x where x.org_id = k.org_id and x.patient_id = k.id))`;
}

/**
 * SQL of what a session that was `changed` takes to its patient. Figures go along. Reports and exports say whose the recording
 * was, on paper and to the audit log, so they are removed: asked for again they say whose it is.
 */
function movedSql(patient: string): string {
  return `moved as (
      update kymo.session_summary set patient_id = ${patient}::uuid
       where session_id = $1 and exists (select from changed) and patient_id is distinct from ${patient}::uuid),
    outdated as (
      delete from kymo.job where session_id = $1 and exists (select from changed where was is distinct from ${patient}::uuid)
         and kind in ('session-report', 'session-export') and patient_id is distinct from ${patient}::uuid)`;
}

function refuseAbsent(facts: Facts, asked: Pick<PlanChange, 'patientId' | 'protocolId'>): void {
  if (asked.patientId !== null && !facts.hasPatient)
    throw new AppError('invalid-field', 'there is no such patient', { field: '/patientId' });
  if (asked.protocolId !== null && !facts.hasProtocol)
    throw new AppError('invalid-field', 'there is no such protocol', { field: '/protocolId' });
}

function refuseLocked({ isSealed }: Facts): never {
  throw isSealed ? new AppError('conflict', 'the session is sealed') : outdated();
}

/** Who changes a session comes after whoever is changing it. */
export function lockSession(sessionId: string): Statement {
  return {
    name: 'lock-session',
    text: 'select from kymo.session where id = $1 for no key update',
    values: [sessionId],
  };
}

// Two statements do the work: one makes what is absent, the other changes what is there; never both.
function planStatements(principal: Principal, id: string, change: PlanChange): Statement[] {
  const { label, plannedFor, patientId, protocolId, revision } = change;
  const asked = [id, label, plannedFor, patientId, protocolId];
  const usable = `($4::uuid is null or ${isPatientSql('$4')})
    and ($5::uuid is null or exists (select from kymo.protocol where id = $5::uuid and archived_at is null))`;
  return [
    lockSession(id),
    ...(revision === null
      ? [
          {
            name: 'plan-session',
            text: `insert into kymo.session (id, org_id, label, is_planned, planned_for, started_at, patient_id, protocol_id,
                protocol_revision, created_by)
              select $1, $6, $2, true, $3::timestamptz, coalesce($3::timestamptz, now()), $4::uuid, $5::uuid,
                     (select revision from kymo.protocol where id = $5::uuid), $7
               where ${usable} and not ${erasedSql('$6', '$1', '$1')}
              on conflict do nothing returning null::uuid as was, false as moved`,
            values: [...asked, principal.orgId, authorOf(principal)],
          },
        ]
      : []),
    {
      name: 'change-plan',
      text: `with was as (select patient_id, protocol_id from kymo.session where id = $1),
        changed as (
          update kymo.session s
             set label = case when $2 = '' and s.created_by = '' then s.label else $2 end,
                 planned_for = $3::timestamptz,
                 started_at = case when s.is_planned then coalesce($3::timestamptz, s.started_at) else s.started_at end,
                 patient_id = $4::uuid, protocol_id = $5::uuid,
                 protocol_revision = case when s.protocol_id = $5::uuid then s.protocol_revision
                   else (select revision from kymo.protocol where id = $5::uuid) end,
                 plan_revision = s.plan_revision + 1,
                 created_by = case when s.created_by = '' then $7 else s.created_by end
            from was
           where s.id = $1 and s.sealed_at is null
             and case when $6::integer is null then s.created_by = '' else s.plan_revision = $6::integer end
             and ($4::uuid is null or ${isPatientSql('$4')})
             and ($5::uuid is null or $5::uuid = was.protocol_id
                  or exists (select from kymo.protocol where id = $5::uuid and archived_at is null))
          returning was.patient_id as was),
        ${movedSql('$4')}
        select was, was is distinct from $4::uuid as moved from changed`,
      values: [...asked, revision, authorOf(principal)],
    },
    factsStatement(asked),
  ];
}

function bindStatements(id: string, { patientId, revision }: PatientBinding): Statement[] {
  return [
    lockSession(id),
    {
      name: 'bind-session',
      text: `with was as (select patient_id from kymo.session where id = $1),
        changed as (
          update kymo.session s set patient_id = $2::uuid, plan_revision = s.plan_revision + 1 from was
           where s.id = $1 and s.sealed_at is null and s.plan_revision = $3
             and ($2::uuid is null or ${isPatientSql('$2')})
          returning was.patient_id as was),
        ${movedSql('$2')}
        select was, was is distinct from $2::uuid as moved from changed`,
      values: [id, patientId, revision],
    },
    factsStatement([id, '', null, patientId, null]),
  ];
}

/** `asked`: id, label, plannedFor, patientId, protocolId. */
function factsStatement(asked: readonly unknown[]): Statement {
  return {
    name: 'plan-facts',
    text: `select s.id is not null as "isThere", s.sealed_at is not null as "isSealed", coalesce(s.created_by, '') as author,
        coalesce((s.label = $2 or $2 = '') and s.planned_for is not distinct from $3::timestamptz
          and s.patient_id is not distinct from $4::uuid and s.protocol_id is not distinct from $5::uuid, false) as "isSame",
        ${isPatientSql('$4')} as "hasPatient",
        exists (select from kymo.protocol where id = $5::uuid and (archived_at is null or id = s.protocol_id)) as "hasProtocol"
      from (values (1)) one left join kymo.session s on s.id = $1`,
    values: asked,
  };
}

function cancelStatements(id: string, revision: number): Statement[] {
  return [
    lockSession(id),
    {
      name: 'cancel-plan',
      text: `delete from kymo.session s
        where s.id = $1 and s.is_planned and s.plan_revision = $2
          and not exists (select from kymo.stream t where t.session_id = s.id)
          and not exists (select from kymo.legal_hold h where h.session_id = s.id)
        returning s.patient_id`,
      values: [id, revision],
    },
    {
      name: 'is-planned',
      text: `select s.is_planned, exists (select from kymo.legal_hold h where h.session_id = s.id) as is_held
        from kymo.session s where s.id = $1`,
      values: [id],
    },
  ];
}
