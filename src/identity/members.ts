/**
 * Owns who belongs to an organisation as what, and who is invited. Everything runs under row-level security as the asking
 * actor. Nobody gives or takes a role that may more than the actor itself, and an organisation always keeps an owner:
 * changes of one organisation's members come one after the other. Bounds: `members` and `openInvitations` of
 * contract/account.ts.
 */

import type pg from 'pg';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import {
  accountLimits,
  type Invitation,
  type InvitationCreated,
  type InvitationPage,
  type InvitationRequest,
  type Member,
  type MemberChange,
  type MemberList,
} from '#contract/account.ts';
import { actionsOfRole, authorise, may, type MemberRole } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import type { SendIdentityMail } from '#identity/entrances.ts';
import type { IdentityEventKind, OnIdentityEvent, Visitor } from '#identity/identity-events.ts';
import { newKey } from '#identity/keys.ts';
import type { EndedSignIn } from '#identity/own-account.ts';
import type { SignIns } from '#identity/sign-ins.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';

/** Of the advisory locks of member changes; the number is arbitrary. */
const MEMBER_LOCK = 5_962_131;

/** Methods throw AppError `forbidden`, `not-found`, `conflict`, `invalid-field`, `limit-exceeded`, and the store's. */
export interface Members {
  /** Accounts of patients, who have names here, are listed to whoever manages accounts alone. */
  list(actor: Principal): Promise<MemberList>;
  /** The person's sign-ins here end, so that what is open has the new role; they are returned. */
  change(
    actor: Principal,
    member: MemberChange & { readonly personId: string },
    visitor: Visitor,
  ): Promise<readonly EndedSignIn[]>;
  remove(actor: Principal, personId: string, visitor: Visitor): Promise<readonly EndedSignIn[]>;
  invite(actor: Principal, request: InvitationRequest, visitor: Visitor): Promise<InvitationCreated>;
  /** Newest first. `cursor`: `next` of the page before. Null when it is not one. */
  listInvitations(
    actor: Principal,
    page: { readonly cursor: string | null; readonly limit: number },
  ): Promise<InvitationPage | null>;
  /** False when there is no such invitation, or it was accepted. Idempotent. */
  revokeInvitation(actor: Principal, invitationId: string, visitor: Visitor): Promise<boolean>;
}

interface MemberState {
  readonly role: MemberRole | null;
  readonly owners: number;
  readonly has_patient: boolean;
}

export function createMembers(parts: {
  readonly appPool: RolePool;
  readonly clock: Clock;
  readonly signIns: Pick<SignIns, 'revokeAll'>;
  /** Null: invitations are handed over by whoever makes them. */
  readonly sendMail: SendIdentityMail | null;
  readonly onEvent: OnIdentityEvent;
}): Members {
  const { appPool, clock, signIns } = parts;

  const run = (actor: Principal, ...statements: Statement[]): Promise<pg.QueryResult[]> =>
    runAsOrg(appPool, actor, { statements, mode: 'change' });

  const tell = (
    kind: IdentityEventKind,
    actor: Principal,
    told: { visitor: Visitor; detail: string },
  ): void =>
    parts.onEvent({
      kind,
      orgId: actor.orgId,
      personId: actor.kind === 'user' ? actor.subject : null,
      role: actor.role,
      address: told.visitor.address,
      detail: told.detail,
    });

  /**
   * Runs `statement` where the rules allow it; they are in its own condition too, and read here to say what was wrong.
   * Sign-ins end before it, since a person's last membership takes them along, and after it, for those made in between.
   */
  async function changeMember(
    actor: Principal,
    target: {
      readonly personId: string;
      readonly role: MemberRole | null;
      readonly patientId: string | null;
    },
    statement: Statement,
  ): Promise<readonly EndedSignIn[]> {
    const { personId, role } = target;
    const [before] = await run(actor, stateStatement(target));
    refuseChange(actor, stateOf(before), role);
    const ended = await signIns.revokeAll(personId, { orgId: actor.orgId });
    const results = await run(
      actor,
      lockStatement(actor),
      stateStatement(target),
      statement,
      endInvitationsStatement(target),
    );
    if (results[2]?.rowCount !== 1) {
      refuseChange(actor, stateOf(results[1]), role);
      throw new AppError('conflict', 'this member was changed meanwhile: look again');
    }
    return [...ended, ...(await signIns.revokeAll(personId, { orgId: actor.orgId }))];
  }

  return {
    async list(actor) {
      authorise(actor, 'organisation.read', null);
      const [result] = await run(actor, {
        name: 'members',
        text: listText,
        values: [accountLimits.members, may(actor, 'organisation.manage')],
      });
      return { members: (result!.rows as MemberRow[]).map(shownMember) };
    },
    async change(actor, { personId, role, patientId }, visitor) {
      authorise(actor, 'organisation.manage', null);
      refuseMoreThanOwn(actor, role);
      const patient = patientOf(role, patientId);
      const ended = await changeMember(
        actor,
        { personId, role, patientId: patient },
        {
          text: `update kymo.member set role = $2, patient_id = $3 where person_id = $1
            and (role <> 'owner' or $2 = 'owner' or ${anotherOwner})
            and (role <> 'owner' or $4) and ($3::uuid is null or exists (select from kymo.patient where id = $3))`,
          values: [personId, role, patient, mayGive(actor, 'owner')],
        },
      );
      tell('member-changed', actor, { visitor, detail: `${personId} ${role}` });
      return ended;
    },
    async remove(actor, personId, visitor) {
      authorise(actor, 'organisation.manage', null);
      const ended = await changeMember(
        actor,
        { personId, role: null, patientId: null },
        {
          text: `delete from kymo.member where person_id = $1
            and (role <> 'owner' or ($2 and ${anotherOwner}))`,
          values: [personId, mayGive(actor, 'owner')],
        },
      );
      tell('member-removed', actor, { visitor, detail: personId });
      return ended;
    },
    async invite(actor, request, visitor) {
      authorise(actor, 'organisation.manage', null);
      refuseMoreThanOwn(actor, request.role);
      const email = request.email.toLowerCase();
      const patient = patientOf(request.role, request.patientId);
      const { key, hash } = newKey('link');
      const lifeMs = request.days === undefined ? accountLimits.invitationMs : request.days * 86_400_000;
      const expiresAt = new Date(clock.nowUs() / 1000 + lifeMs);
      const id = uuidv7(clock);
      const results = await run(
        actor,
        lockStatement(actor),
        { text: inviteStateText, values: [email, patient] },
        {
          text: inviteText,
          values: [
            id,
            actor.orgId,
            email,
            request.role,
            patient,
            hash,
            `${actor.kind}:${actor.subject}`,
            expiresAt,
          ],
        },
      );
      const row = results[2]?.rows[0] as InvitationRow | undefined;
      if (row === undefined) throw refusalOfInvitation(results[1]);
      tell('invited', actor, { visitor, detail: `${id} ${request.role}` });
      const isMailed = parts.sendMail !== null;
      await parts.sendMail?.({
        kind: 'invitation',
        to: email,
        orgId: actor.orgId,
        fragment: `invitation=${key}`,
        expiresAt,
      });
      return { invitation: shownInvitation(row, clock.nowUs() / 1000), token: key, isMailed };
    },
    async listInvitations(actor, { cursor, limit }) {
      authorise(actor, 'organisation.manage', null);
      if (cursor !== null && !idPattern.test(cursor)) return null;
      const [result] = await run(actor, { text: invitationsText, values: [cursor, limit + 1] });
      const rows = result!.rows as InvitationRow[];
      const shown = rows.slice(0, limit);
      return {
        invitations: shown.map((row) => shownInvitation(row, clock.nowUs() / 1000)),
        next: rows.length > limit ? (shown.at(-1)?.id ?? null) : null,
      };
    },
    async revokeInvitation(actor, invitationId, visitor) {
      authorise(actor, 'organisation.manage', null);
      const [result] = await run(actor, {
        text: `update kymo.invitation set revoked_at = coalesce(revoked_at, now())
          where id = $1 and accepted_at is null`,
        values: [invitationId],
      });
      if (result?.rowCount !== 1) return false;
      tell('invitation-revoked', actor, { visitor, detail: invitationId });
      return true;
    },
  };
}

const idPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const anotherOwner = `exists (select from kymo.member o where o.role = 'owner' and o.person_id <> $1)`;

const listText = `select m.person_id, p.email, p.name, m.role, m.patient_id, m.created_at,
    exists (select from kymo.two_factor t where t.person_id = m.person_id and t.confirmed_at is not null) as has_totp
  from kymo.member m join kymo.person p on p.id = m.person_id where $2::boolean or m.role <> 'patient'
  order by p.name, m.person_id limit $1`;

const invitationColumns = 'id, email, role, patient_id, created_at, expires_at, accepted_at, revoked_at';

const inviteStateText = `select
    exists (select from kymo.member m join kymo.person p on p.id = m.person_id where p.email = $1) as is_member,
    ($2::uuid is null or exists (select from kymo.patient where id = $2)) as has_patient`;

const inviteText = `insert into kymo.invitation (id, org_id, email, role, patient_id, token_hash, invited_by, expires_at)
  select $1, $2, $3, $4, $5, $6, $7, $8
   where not exists (select from kymo.member m join kymo.person p on p.id = m.person_id where p.email = $3)
     and ($5::uuid is null or exists (select from kymo.patient where id = $5))
     and (select count(*) from kymo.invitation
           where accepted_at is null and revoked_at is null and expires_at > now()) < ${accountLimits.openInvitations}
  returning ${invitationColumns}`;

const invitationsText = `select ${invitationColumns} from kymo.invitation
  where $1::uuid is null or (created_at, id) < (select created_at, id from kymo.invitation where id = $1::uuid)
  order by created_at desc, id desc limit $2`;

/** Changes of one organisation's members, one after the other: each sees what the one before left. */
function lockStatement(actor: Principal): Statement {
  return { text: `select pg_advisory_xact_lock(${MEMBER_LOCK}, hashtext($1))`, values: [actor.orgId] };
}

function stateStatement(target: { personId: string; patientId: string | null }): Statement {
  return {
    text: `select (select role from kymo.member where person_id = $1) as role,
      (select count(*) from kymo.member where role = 'owner') as owners,
      ($2::uuid is null or exists (select from kymo.patient where id = $2)) as has_patient`,
    values: [target.personId, target.patientId],
  };
}

/**
 * Whoever is a member no more, or another one now, invites nobody by what was made before: the token may be in that very
 * hand. Nothing when the member is still what it was.
 */
function endInvitationsStatement({
  personId,
  role,
}: {
  personId: string;
  role: MemberRole | null;
}): Statement {
  return {
    text: `update kymo.invitation set revoked_at = now()
      where invited_by = 'user:' || $1::text and accepted_at is null and revoked_at is null
        and (select role from kymo.member where person_id = $1::uuid) is not distinct from $2`,
    values: [personId, role],
  };
}

function stateOf(result: pg.QueryResult | undefined): MemberState {
  return result!.rows[0] as MemberState;
}

/** `role`: what the member is to become; null: nothing. */
function refuseChange(actor: Principal, state: MemberState, role: MemberRole | null): void {
  if (state.role === null) throw new AppError('not-found', 'nobody of this organisation has this id');
  refuseMoreThanOwn(actor, state.role);
  if (!state.has_patient) throw unknownPatient();
  if (state.role === 'owner' && role !== 'owner' && state.owners === 1)
    throw new AppError('conflict', 'an organisation keeps at least one owner: make somebody else one first');
}

function mayGive(actor: Principal, role: MemberRole): boolean {
  return actionsOfRole[role].every((action) => may(actor, action));
}

function refuseMoreThanOwn(actor: Principal, role: MemberRole): void {
  if (!mayGive(actor, role))
    throw new AppError(
      'forbidden',
      `the role ${role} may more than you may here, so it is not yours to give or take`,
    );
}

function patientOf(role: MemberRole, patientId: string | undefined): string | null {
  if ((role === 'patient') !== (patientId !== undefined))
    throw new AppError('invalid-field', 'the role patient, and no other, names a patient', {
      field: '/patientId',
    });
  return patientId?.toLowerCase() ?? null;
}

function unknownPatient(): AppError {
  return new AppError('invalid-field', 'there is no such patient here', { field: '/patientId' });
}

function refusalOfInvitation(result: pg.QueryResult | undefined): AppError {
  const { is_member: isMember, has_patient: hasPatient } = result!.rows[0] as {
    is_member: boolean;
    has_patient: boolean;
  };
  if (isMember) return new AppError('conflict', 'this e-mail address belongs to a member already');
  if (!hasPatient) return unknownPatient();
  return new AppError(
    'limit-exceeded',
    `at most ${accountLimits.openInvitations} invitations wait at a time`,
  );
}

interface MemberRow {
  readonly person_id: string;
  readonly email: string;
  readonly name: string;
  readonly role: MemberRole;
  readonly patient_id: string | null;
  readonly created_at: Date;
  readonly has_totp: boolean;
}

function shownMember(row: MemberRow): Member {
  return {
    id: row.person_id,
    email: row.email,
    name: row.name,
    role: row.role,
    patientId: row.patient_id,
    hasTotp: row.has_totp,
    since: row.created_at.toISOString(),
  };
}

interface InvitationRow {
  readonly id: string;
  readonly email: string;
  readonly role: MemberRole;
  readonly patient_id: string | null;
  readonly created_at: Date;
  readonly expires_at: Date;
  readonly accepted_at: Date | null;
  readonly revoked_at: Date | null;
}

function shownInvitation(row: InvitationRow, nowMs: number): Invitation {
  const state =
    row.accepted_at !== null
      ? 'accepted'
      : row.revoked_at !== null
        ? 'revoked'
        : row.expires_at.getTime() <= nowMs
          ? 'expired'
          : 'open';
  return {
    id: row.id,
    email: row.email,
    role: row.role,
    patientId: row.patient_id,
    state,
    createdAt: row.created_at.toISOString(),
    expiresAt: row.expires_at.toISOString(),
  };
}
