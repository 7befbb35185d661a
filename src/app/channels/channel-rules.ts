/** Owns what the rules of the built-in channels have in common: ids in names, and who belongs to a session's circle. */

import { Type } from 'typebox';

import type { ChannelServices } from '#contract/channel-definition.ts';
import type { Principal } from '#contract/principal.ts';

/** A UUID in lower case with hyphens, as everywhere (docs/protocol.md). */
export const Id = Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' });

/** Devices send readings and take commands, and watch nobody. */
export function watches({ kind, role }: Principal): boolean {
  return kind !== 'device' && role !== 'patient';
}

/** Everyone of the organisation but its devices and its patients. */
export function isSessionVisible(context: {
  readonly identity: Principal;
  readonly params: { readonly session: string };
  readonly services: ChannelServices;
}): boolean | Promise<boolean> {
  const { identity, params, services } = context;
  return watches(identity) && services.sessionExists(identity.orgId, params.session);
}

/** The newest sessions of the organisation, for pattern subscriptions. */
export async function listSessions(context: {
  readonly identity: Principal;
  readonly services: ChannelServices;
}): Promise<readonly { readonly session: string }[]> {
  const { identity, services } = context;
  if (!watches(identity)) return [];
  return (await services.sessionIds(identity.orgId)).map((session) => ({ session }));
}
