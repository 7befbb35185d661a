/**
 * Owns a channel of class live that carries JSON: what comes from the bus is encoded once for all viewers, newest wins, and a
 * viewer that was left out is told how many it did not get. Bounds: newest-ring.ts.
 */

import type { Channel, ChannelContext, ChannelSeat } from '#live/channel.ts';
import { createNewestRing } from '#live/newest-ring.ts';
import { createPublicationEncoder, withSkipped } from '#live/outgoing.ts';

export function createLiveChannel(seat: ChannelSeat, context: ChannelContext): Channel {
  const { channels, clock, counters, limits } = context;
  const encode = createPublicationEncoder(seat.name);
  const ring = createNewestRing({
    items: limits.tailMessages,
    bytes: limits.ringBytes,
    counters,
    afterGap: withSkipped,
  });
  const stop = channels.bus.subscribe(seat.address, (payload) => {
    counters.busPayloads++;
    if (payload.length > limits.payloadBytes) {
      counters.busOversized++;
      return;
    }
    const item = encode.live(clock.nowUs(), payload);
    if (item === null) {
      counters.busMalformed++;
      return;
    }
    ring.push(item);
    seat.changed();
  });
  return {
    name: seat.name,
    number: seat.number,
    lossClass: 'live',
    async start() {
      const cursor = { offset: ring.newestOffset, revision: 0, generation: 0, isCaughtUp: true };
      return { cursor, position: null, isRecovered: null };
    },
    positionOf: () => null,
    seal: () => undefined,
    pull: ring.pull,
    isBehind: () => false,
    release: ring.clear,
    look: () => undefined,
    stop,
  };
}
