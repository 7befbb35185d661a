/** Owns what a channel token of a foreign back end does to a subscription: it adds one grant to those of the connection. */

import { fail, ok, type Result } from '#base/result.ts';
import type { Principal } from '#contract/principal.ts';
import type { Principals } from '#identity/principals.ts';
import type { WireError } from '#protocol/data-codec.ts';

/** The principal as the subscription knows it; it ends with the token. Who is limited by rules only stays so. */
export async function widenByToken(
  principals: Pick<Principals, 'channelGrant'>,
  token: string,
  principal: Principal,
): Promise<Result<Principal, WireError>> {
  const added = await principals.channelGrant(token, principal);
  if (added === null) return fail({ code: 'unauthenticated', message: 'no valid channel token' });
  const grants = principal.grants === null ? null : [...principal.grants, added.grant];
  // Whoever revokes the token ends the subscription, and not the connection.
  const revocationId = added.tokenId;
  return ok({ ...principal, grants, expiresAtUs: added.expiresAtUs, revocationId });
}
