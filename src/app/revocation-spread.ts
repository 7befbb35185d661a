/**
 * Owns the way of a revocation to every instance: over the bus, which may lose it where an instance is cut off; our own
 * keys are then refused within seconds all the same, since the database is asked (identity/keyring.ts).
 */

import { Type } from 'typebox';
import { Compile } from 'typebox/compile';

import type { Bus } from '#bus/bus.ts';
import type { Principal } from '#contract/principal.ts';
import { concerns, type Revocation, type Revocations } from '#identity/revocations.ts';

const TOPIC = 'identity/revoked';
const orgId = Type.String();
const strict = { additionalProperties: false };
const revocation = Compile(
  Type.Union([
    Type.Object({ orgId, tokenId: Type.String() }, strict),
    Type.Object({ orgId, subject: Type.String() }, strict),
    Type.Object({ orgId, keyId: Type.String() }, strict),
    Type.Object({ orgId, exchangedId: Type.String() }, strict),
  ]),
);

export interface RevocationSpread {
  /** Takes effect here at once, and elsewhere when the bus brings it. */
  revoke(revocation: Revocation): void;
  stop(): void;
}

export function spreadRevocations(options: {
  readonly bus: Bus;
  readonly revocations: Revocations;
  /** Closes what these have open. */
  readonly disconnect: (isConcerned: (principal: Principal) => boolean) => void;
  /** This process must look our own key, or that of a device, up again, and close what the device sends on. */
  readonly forget: (id: string) => void;
}): RevocationSpread {
  const { bus, revocations, disconnect, forget } = options;
  const apply = (one: Revocation): void => {
    if ('exchangedId' in one) forget(one.exchangedId);
    else {
      revocations.add(one);
      if ('keyId' in one) forget(one.keyId);
    }
    disconnect((principal) => concerns(one, principal));
  };
  const stop = bus.subscribe(TOPIC, (payload) => {
    const one: unknown = parse(payload);
    if (revocation.Check(one)) apply(one);
  });
  return {
    revoke(one) {
      apply(one);
      bus.publish(TOPIC, new TextEncoder().encode(JSON.stringify(one)));
    },
    stop,
  };
}

function parse(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return null;
  }
}
