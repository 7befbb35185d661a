/**
 * Owns the fan-out from the bus to viewers: connections, their heartbeats, and the tick at which each gets one write
 * of what it misses (viewer.ts) from the channels it follows (open-channels.ts). Bounded by `limits.viewers` and by
 * what a viewer and a channel may hold.
 */

import type { WebSocket } from 'ws';

import type { Clock } from '#base/clock.ts';
import { integerBelow, systemRandom, type Random } from '#base/random.ts';
import type { Result } from '#base/result.ts';
import type { Bus } from '#bus/bus.ts';
import { viewerMessageSchemas, type ViewerMessage } from '#contract/live-messages.ts';
import { createMessageParser } from '#contract/validation.ts';
import type { WireError } from '#protocol/data-codec.ts';
import { limits as protocolLimits } from '#protocol/limits.ts';
import { createHubCounters, type HubCounters } from '#live/counters.ts';
import { defaultHubLimits, type HubLimits } from '#live/hub-limits.ts';
import { connectLiveSocket } from '#live/live-socket.ts';
import { createOpenChannels } from '#live/open-channels.ts';
import { createTicker } from '#live/ticker.ts';
import type { ConnectOptions, Transport, ViewerPort } from '#live/transport.ts';
import { createViewer, type Viewer, type ViewerHost } from '#live/viewer.ts';

export interface HubOptions<Identity> {
  readonly bus: Bus;
  readonly clock: Clock;
  /** Whether this identity may follow this channel. A refusal goes to the viewer as it is. */
  readonly authorize: (channelName: string, identity: Identity) => Promise<Result<unknown, WireError>>;
  /** Unexpected failures, for the log. */
  readonly onFailure: (cause: unknown) => void;
  readonly limits?: Partial<HubLimits>;
  readonly random?: Random;
  /** Calls back at the end of the current turn of the event loop. */
  readonly endOfTurn?: (callback: () => void) => void;
}

export interface Hub<Identity> {
  readonly counters: Readonly<HubCounters>;
  /** Takes over an open, authenticated WebSocket of a server made with `liveServerOptions` (live-socket.ts). */
  attach(socket: WebSocket, identity: Identity): void;
  /** Takes a viewer on any transport, which tells the returned port what it hears. */
  connect(transport: Transport, identity: Identity, connection?: ConnectOptions): ViewerPort;
  /** Refuses new viewers, asks the others to come back, each at another time, and closes. Resolves when all are gone. */
  drain(): Promise<void>;
}

const parseViewerMessage = createMessageParser<ViewerMessage>(
  viewerMessageSchemas,
  protocolLimits.controlBytes,
);

export function createHub<Identity>(options: HubOptions<Identity>): Hub<Identity> {
  const { bus, clock, random = systemRandom, endOfTurn = afterThisTurn } = options;
  const limits: HubLimits = { ...defaultHubLimits, ...options.limits };
  const counters = createHubCounters();
  const channels = createOpenChannels({ bus, clock, limits, counters }, () => ticker.request());
  const ticker = createTicker({ clock, endOfTurn, maxRestMs: limits.tickMs, run: channels.flush });
  const viewers = new Set<Viewer>();
  // Everyone whose transport has not ended: the viewers, and those that are closing.
  const connections = new Set<Viewer>();
  let isDraining = false;
  let drained = (): void => {};

  // Five looks a heartbeat: a sign of life is late by at most a fifth.
  let stopPulse = (): void => {};
  const pulse = (): void => {
    const nowMs = clock.monotonicMs();
    for (const viewer of viewers) viewer.checkPulse(nowMs);
    if (connections.size > 0) stopPulse = clock.after(limits.heartbeatMs / 5, pulse);
  };
  const authorize = async (name: string, identity: Identity): Promise<Result<unknown, WireError>> => {
    try {
      return await options.authorize(name, identity);
    } catch (cause) {
      options.onFailure(cause);
      throw cause;
    }
  };
  const host: Omit<ViewerHost, 'authorize'> = {
    clock,
    limits,
    counters,
    parse: parseViewerMessage,
    join: channels.join,
    leave: channels.leave,
    ready: channels.ready,
    closed(viewer) {
      viewers.delete(viewer);
      channels.forget(viewer);
      counters.viewers = viewers.size;
    },
    ended(viewer) {
      connections.delete(viewer);
      if (connections.size > 0) return;
      stopPulse();
      drained();
    },
  };
  const connect = (transport: Transport, identity: Identity): ViewerPort => {
    const viewer = createViewer(transport, { ...host, authorize: (name) => authorize(name, identity) });
    if (connections.size === 0) stopPulse = clock.after(limits.heartbeatMs / 5, pulse);
    connections.add(viewer);
    viewers.add(viewer);
    counters.viewers = viewers.size;
    if (isDraining) viewer.close('draining');
    else if (viewers.size > limits.viewers) viewer.close('overloaded');
    else viewer.welcome();
    return viewer.port;
  };
  return {
    counters,
    connect,
    attach: (socket, identity) =>
      connectLiveSocket(socket, (transport) => connect(transport, identity), { clock, limits }),
    async drain() {
      isDraining = true;
      const gone = new Promise<void>((resolve) => {
        drained = resolve;
      });
      for (const viewer of viewers) viewer.dismiss(integerBelow(random, limits.byeSpreadMs));
      if (connections.size > 0) await gone;
      ticker.stop();
    },
  };
}

function afterThisTurn(callback: () => void): void {
  setImmediate(callback);
}
