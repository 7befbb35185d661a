/** Owns what the rules of the built-in channels have in common: ids in names, and who belongs to a session's circle. */

import { Type } from 'typebox';

import type { ChannelServices, SessionScope } from '#contract/channel-definition.ts';
import { may } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';

/** A UUID in lower case with hyphens, as everywhere (docs/protocol.md). */
export const Id = Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' });

/**
 * Those who work here, with the permission to read recordings; back ends and whom they vouch for, who have their grants instead.
 * Devices send readings and take commands, and watch nobody; patients watch their own sessions only.
 */
export function watches(identity: Principal): boolean {
  const { kind, role } = identity;
  if (kind === 'device' || role === 'patient') return false;
  return kind === 'server' || kind === 'token' || may(identity, 'session.read');
}

interface SessionContext {
  readonly identity: Principal;
  readonly params: { readonly session: string };
  readonly services: ChannelServices;
}

/** Everyone who works in the organisation, and the patient whose session it is. */
export function isSessionVisible(context: SessionContext): boolean | Promise<boolean> {
  const { identity, params, services } = context;
  const scope = scopeOf(identity);
  return scope !== null && services.sessionExists(scope, params.session);
}

/** Everyone who works in the organisation. */
export function isSessionOfColleagues(context: SessionContext): boolean | Promise<boolean> {
  return watches(context.identity) && isSessionVisible(context);
}

/** The newest sessions that are visible, for pattern subscriptions. */
export async function listSessions(context: {
  readonly identity: Principal;
  readonly services: ChannelServices;
}): Promise<readonly { readonly session: string }[]> {
  const scope = scopeOf(context.identity);
  if (scope === null) return [];
  return (await context.services.sessionIds(scope)).map((session) => ({ session }));
}

export async function listSessionsOfColleagues(
  context: Parameters<typeof listSessions>[0],
): Promise<readonly { readonly session: string }[]> {
  return watches(context.identity) ? listSessions(context) : [];
}

/** Null: sees no session. */
function scopeOf(identity: Principal): SessionScope | null {
  if (watches(identity)) return identity.orgId;
  const { role, orgId, patientId } = identity;
  return role === 'patient' && patientId !== null ? { orgId, patientId } : null;
}
