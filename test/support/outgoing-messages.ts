/** Owns messages of the hub as transports get them, for tests of transports without a hub. */

import type { HubMessage } from '#contract/live-messages.ts';
import { encodeControl } from '#live/outgoing.ts';
import type { Outgoing } from '#live/transport.ts';

export const testEpoch = 'e1';

/** One publication of an event channel. */
export function eventItem(channel: string, offset: number, data: unknown): Outgoing {
  const message = encodeControl({
    type: 'message',
    channel,
    offset,
    timeUs: 1_700_000_000_000_000 + offset,
    event: 'said',
    data,
  });
  return { ...message, position: { epoch: testEpoch, offset } };
}

export function subscribedItem(
  channel: string,
  rest: Partial<Extract<HubMessage, { type: 'subscribed' }>> = {},
): Outgoing {
  return encodeControl({
    type: 'subscribed',
    id: 0,
    channel,
    number: 1,
    lossClass: 'event',
    position: { epoch: testEpoch, offset: 0 },
    ...rest,
  });
}
