/** Owns the joining of visits with channels: commands to devices, what is told of annotations and of the end of sessions. */

import type { Clock } from '#base/clock.ts';
import type { DurableBroker } from '#bus/durable-broker.ts';
import { annotationChannel } from '#clinic/annotations.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { createVisitServices, type VisitServices } from '#clinic/visit-services.ts';
import { addressOf } from '#contract/channel-definition.ts';
import type { RolePool } from '#store/pools.ts';
import { sessionAnnotations } from '#app/channels/session-annotations.ts';
import type { ChannelUses } from '#app/channel-uses.ts';

export function joinVisits(parts: {
  readonly app: RolePool;
  readonly cache: ReadCache;
  readonly clock: Clock;
  readonly uses: Pick<ChannelUses, 'asking' | 'sessions'>;
  readonly durable: Pick<DurableBroker, 'announce'>;
}): { readonly visits: VisitServices } {
  const { uses, durable } = parts;
  const visits = createVisitServices({
    ...parts,
    asking: uses.asking,
    news: uses.sessions,
    announce: ({ orgId, session }, appended, payload) =>
      durable.announce(addressOf(sessionAnnotations, orgId, annotationChannel(session)), appended, payload),
  });
  return { visits };
}
