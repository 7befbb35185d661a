/**
 * Owns who may do what: the roles, the actions, and the one function that every route, service and channel asks first.
 * A role gives actions; a key may narrow them, never widen them; a patient's account reaches that patient alone. Pure and
 * without state: the table below is the whole truth, and row-level security (store) is the second wall behind it.
 */

import { AppError } from '#base/errors.ts';

/** Each is something that somebody may be refused. The name's first part is what it is done to. */
export const actions = [
  /** Its name, its people and their roles. */
  'organisation.read',
  /** People, invitations, roles, settings, webhooks. */
  'organisation.manage',
  'audit.read',
  'device.read',
  /** Make, rename, rotate the key of, revoke. */
  'device.manage',
  /** Start and stop recordings from afar. */
  'device.command',
  'key.manage',
  /** Retention classes and legal holds. */
  'retention.manage',
  /** Records of a patient: consent, history, notes, goals, programmes, progress. */
  'patient.read',
  'patient.write',
  /** What was done of a programme of exercises: also by the patient, of the own one. */
  'programme.record',
  'patient.export',
  'patient.erase',
  'protocol.write',
  /** Recordings and everything computed from them. */
  'session.read',
  /** Plan, assign sensors, start, end, annotate, edit the body model. */
  'session.write',
  'session.seal',
  'job.read',
  'job.run',
  /** Let in users of another back end, and call their tokens back. */
  'channel.vouch',
  /** Publish the results of a processor. */
  'window.write',
] as const;
export type Action = (typeof actions)[number];

export const roles = ['owner', 'clinician', 'assistant', 'patient', 'device', 'service'] as const;
export type Role = (typeof roles)[number];
/** What a person can be in an organisation. */
export const memberRoles = ['owner', 'clinician', 'assistant', 'patient'] as const satisfies Role[];
export type MemberRole = (typeof memberRoles)[number];

/** What a role may do at most. A service's key says which of it. */
export const actionsOfRole: Readonly<Record<Role, readonly Action[]>> = {
  owner: actions,
  clinician: [
    'organisation.read',
    'device.read',
    'device.manage',
    'device.command',
    'patient.read',
    'patient.write',
    'programme.record',
    'patient.export',
    'protocol.write',
    'session.read',
    'session.write',
    'session.seal',
    'job.read',
    'job.run',
  ],
  assistant: [
    'organisation.read',
    'device.read',
    'device.command',
    'patient.read',
    'programme.record',
    'session.read',
    'session.write',
    'job.read',
    'job.run',
  ],
  patient: ['patient.read', 'programme.record', 'session.read'],
  // A device sends readings and takes commands, by routes of its own.
  device: [],
  service: actions,
};

/** Who asks. Part of every Principal (contract/principal.ts). */
export interface Actor {
  readonly orgId: string;
  readonly role: Role;
  /** The one patient whom an account of role patient belongs to; null for everybody else. */
  readonly patientId: string | null;
  /** Null: whatever the role allows. Else only this of it. */
  readonly permissions: readonly Action[] | null;
}

/** What it is done to, as far as it matters to who may. */
export interface Resource {
  /** Whose record or recording it is; null: nobody's yet, such as a session that was bound to no patient. */
  readonly patientId: string | null;
}

/** Whether `actor` may do `action` at all, to something of its own organisation. */
export function may(actor: Actor, action: Action): boolean {
  return (
    actionsOfRole[actor.role].includes(action) &&
    (actor.permissions === null || actor.permissions.includes(action))
  );
}

/**
 * Throws AppError `forbidden` when the actor may never do this, and `not-found` when it may not do it to this `resource`:
 * whether somebody else's record exists is nobody's business. Without a resource it is about the organisation as a whole,
 * which an account of role patient never reaches.
 */
export function authorise(actor: Actor, action: Action, resource: Resource | null): void {
  if (!may(actor, action))
    throw new AppError('forbidden', `this needs the permission ${action}, which you do not have here`);
  if (actor.role !== 'patient') return;
  if (resource === null)
    throw new AppError('forbidden', 'a patient’s account reaches its own records and recordings only');
  if (actor.patientId === null || resource.patientId !== actor.patientId)
    throw new AppError('not-found', 'there is no such thing, or it is not yours');
}
