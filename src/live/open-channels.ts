/**
 * Owns the channels that have viewers, by name, and what a tick does with them. A channel opens (and listens on the
 * bus) with its first viewer and closes with its last, so there are at most as many as subscriptions. Data of one
 * channel reaches only those who joined it, because a viewer pulls from its own channels.
 */

import type { Channel, ChannelContext } from '#live/channel.ts';
import { openChannel } from '#live/channel-names.ts';
import type { Viewer } from '#live/viewer.ts';

interface OpenChannel {
  readonly channel: Channel;
  readonly viewers: Set<Viewer>;
}

export interface OpenChannels {
  join(name: string, viewer: Viewer): Channel;
  leave(name: string, viewer: Viewer): void;
  /** This viewer is flushed at the next tick, though no channel of its changed. */
  ready(viewer: Viewer): void;
  forget(viewer: Viewer): void;
  /** The tick: seals what changed and flushes everyone it concerns. */
  flush(): void;
}

/** `due` is called when there is something to flush. */
export function createOpenChannels(context: ChannelContext, due: () => void): OpenChannels {
  const { counters } = context;
  const channels = new Map<string, OpenChannel>();
  const changed = new Set<OpenChannel>();
  const readyViewers = new Set<Viewer>();
  let lastNumber = 0;

  const open = (name: string): OpenChannel => {
    const onChange = (): void => {
      changed.add(opened);
      due();
    };
    const channel = openChannel({ name, number: ++lastNumber, changed: onChange }, context);
    const opened: OpenChannel = { channel, viewers: new Set() };
    channels.set(name, opened);
    counters.channels = channels.size;
    return opened;
  };
  return {
    join(name, viewer) {
      const { channel, viewers } = channels.get(name) ?? open(name);
      viewers.add(viewer);
      counters.subscriptions++;
      return channel;
    },
    leave(name, viewer) {
      const left = channels.get(name);
      if (left === undefined || !left.viewers.delete(viewer)) return;
      counters.subscriptions--;
      if (left.viewers.size > 0) return;
      left.channel.stop();
      changed.delete(left);
      channels.delete(name);
      counters.channels = channels.size;
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
      for (const { channel, viewers } of sealed) {
        channel.seal();
        for (const viewer of viewers) readyViewers.add(viewer);
      }
      const ready = [...readyViewers];
      readyViewers.clear();
      for (const viewer of ready) viewer.flush();
      for (const { channel, viewers } of sealed) if (!hasLaggard(viewers)) channel.release();
    },
  };
}

function hasLaggard(viewers: ReadonlySet<Viewer>): boolean {
  for (const viewer of viewers) if (viewer.isLagging) return true;
  return false;
}
