/**
 * Owns telling every instance that the body model of a session was changed: over the bus, which may lose it where an
 * instance is cut off; its live analysis then goes on with the old one until the session is begun anew.
 */

import { Type } from 'typebox';
import { Compile } from 'typebox/compile';

import type { Bus } from '#bus/bus.ts';

const TOPIC = 'motion/body-model';
const notice = Compile(Type.Object({ orgId: Type.String(), session: Type.String() }));

export function publishBodyModelNotice(bus: Bus, orgId: string, session: string): void {
  bus.publish(TOPIC, new TextEncoder().encode(JSON.stringify({ orgId, session })));
}

/** The returned function stops. */
export function followBodyModelNotices(
  bus: Bus,
  changed: (orgId: string, session: string) => void,
): () => void {
  return bus.subscribe(TOPIC, (payload) => {
    const said = parse(payload);
    if (notice.Check(said)) changed(said.orgId, said.session);
  });
}

function parse(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return null;
  }
}
