/**
 * Owns the channels that have viewers, by address, and what a tick does with them. A channel opens (and listens on the
 * bus) with its first viewer and closes with its last, so there are at most as many as subscriptions. Data of one
 * channel reaches only those who joined it, because a viewer pulls from its own channels.
 */

import { assert } from '#base/assert.ts';
import { addressOf } from '#contract/channel-definition.ts';
import { createChannelPresence, type ChannelPresence } from '#live/channel-presence.ts';
import type { Channel, ChannelContext, ChannelSeat } from '#live/channel.ts';
import type { FoundChannel } from '#live/channels.ts';
import { createEventChannel } from '#live/event-channel.ts';
import { createLiveChannel } from '#live/live-channel.ts';
import { createReadingsChannel } from '#live/readings-channel.ts';
import type { Viewer } from '#live/viewer.ts';

export interface OpenChannel {
  readonly address: string;
  readonly found: FoundChannel;
  readonly channel: Channel;
  readonly viewers: Set<Viewer>;
  /** Null until somebody wants to know who is there. */
  presence: ChannelPresence | null;
  /** What came since the last tick. */
  arrivals: number;
}

export interface OpenChannels {
  join(found: FoundChannel, orgId: string, viewer: Viewer): OpenChannel;
  leave(open: OpenChannel, viewer: Viewer): void;
  /** Who is there, for a channel whose definition tells it. */
  presenceOf(open: OpenChannel): ChannelPresence | null;
  /** This viewer is flushed at the next tick, though no channel of its changed. */
  ready(viewer: Viewer): void;
  forget(viewer: Viewer): void;
  /** The tick: seals what changed and flushes everyone it concerns. True when messages shared writes in it. */
  flush(): boolean;
  /** About once a second. */
  look(nowMs: number): void;
}

/** Spared writes for each that was made, from which on it is worth waiting for more to share one. */
const USEFUL_SHARE = 0.25;

/** `due` is called when there is something to flush. */
export function createOpenChannels(context: ChannelContext, due: () => void): OpenChannels {
  const { counters } = context;
  const channels = new Map<string, OpenChannel>();
  const changed = new Set<OpenChannel>();
  const readyViewers = new Set<Viewer>();
  let lastNumber = 0;

  const seatOf = (address: string, name: string): ChannelSeat => ({
    name,
    address,
    number: ++lastNumber,
    changed() {
      const opened = channels.get(address);
      if (opened === undefined) return;
      changed.add(opened);
      opened.arrivals++;
      due();
    },
  });
  const open = (address: string, found: FoundChannel): OpenChannel => {
    const channel = openChannel(seatOf(address, found.name), context, found);
    const opened: OpenChannel = { address, found, channel, viewers: new Set(), presence: null, arrivals: 0 };
    channels.set(address, opened);
    counters.channels = channels.size;
    return opened;
  };
  return {
    join(found, orgId, viewer) {
      const address = addressOf(found.definition, orgId, found.name);
      const opened = channels.get(address) ?? open(address, found);
      opened.viewers.add(viewer);
      counters.subscriptions++;
      return opened;
    },
    leave(left, viewer) {
      if (!left.viewers.delete(viewer)) return;
      counters.subscriptions--;
      if (left.viewers.size > 0) return;
      left.channel.stop();
      left.presence?.stop();
      changed.delete(left);
      channels.delete(left.address);
      counters.channels = channels.size;
    },
    presenceOf(opened) {
      const kind = opened.found.definition.presence ?? 'none';
      if (kind === 'none') return null;
      opened.presence ??= createChannelPresence(seatOf(opened.address, opened.found.name), context, kind);
      return opened.presence;
    },
    ready(viewer) {
      readyViewers.add(viewer);
      due();
    },
    forget(viewer) {
      readyViewers.delete(viewer);
    },
    flush() {
      counters.flushes++;
      // What a flush makes ready (a write that leaves at once) belongs to the next tick.
      const sealed = [...changed];
      changed.clear();
      let writes = 0;
      let sparedWrites = 0;
      for (const opened of sealed) {
        const { channel, viewers } = opened;
        channel.seal();
        for (const viewer of viewers) readyViewers.add(viewer);
        writes += viewers.size;
        sparedWrites += viewers.size * (opened.arrivals - 1);
        opened.arrivals = 0;
      }
      const ready = [...readyViewers];
      readyViewers.clear();
      for (const viewer of ready) viewer.flush();
      for (const { channel, viewers } of sealed) if (!hasLaggard(viewers)) channel.release();
      return sparedWrites > 0 && sparedWrites >= writes * USEFUL_SHARE;
    },
    look(nowMs) {
      for (const { channel, presence } of channels.values()) {
        channel.look(nowMs);
        presence?.look(nowMs);
      }
    },
  };
}

/** The kind of channel that its definition asks for. */
function openChannel(seat: ChannelSeat, context: ChannelContext, { definition }: FoundChannel): Channel {
  if (definition.encoding === 'readings') return createReadingsChannel(seat, context);
  const { lossClass } = definition;
  if (lossClass === 'live') return createLiveChannel(seat, context);
  const broker = context.channels.brokerOf(definition);
  assert(broker !== null, `${definition.name} is kept somewhere`);
  return createEventChannel(seat, context, { broker, lossClass });
}

function hasLaggard(viewers: ReadonlySet<Viewer>): boolean {
  for (const viewer of viewers) if (viewer.isLagging) return true;
  return false;
}
