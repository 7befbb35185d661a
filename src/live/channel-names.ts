/** Owns which channel names exist, and which kind of channel stands behind each. So far: `session/{id}/readings`. */

import type { Channel, ChannelContext, ChannelSeat } from '#live/channel.ts';
import { createLiveChannel } from '#live/live-channel.ts';

const readingsName = /^session\/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\/readings$/;

export function isChannelName(name: string): boolean {
  return readingsName.test(name);
}

/** Opens the channel of a name for which `isChannelName` holds; it listens on the bus until it is stopped. */
export function openChannel(seat: ChannelSeat, context: ChannelContext): Channel {
  return createLiveChannel(seat, context, seat.name.replace(/readings$/, 'committed'));
}
