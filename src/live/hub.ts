/**
 * Owns the fan-out from brokers and bus to viewers: connections, their heartbeats, and the tick at which each gets one write
 * of what it misses (viewer.ts) from the channels it follows (open-channels.ts). Bounded by `limits.viewers` and by
 * what a viewer and a channel may hold.
 */

import type { Clock } from '#base/clock.ts';
import { integerBelow, systemRandom, type Random } from '#base/random.ts';
import { fail, type Result } from '#base/result.ts';
import { viewerMessageSchemas, type ViewerMessage } from '#contract/live-messages.ts';
import type { Principal } from '#contract/principal.ts';
import { createMessageParser } from '#contract/validation.ts';
import type { WireError } from '#protocol/data-codec.ts';
import { limits as protocolLimits } from '#protocol/limits.ts';
import type { Channels } from '#live/channels.ts';
import { createHubCounters, type HubCounters } from '#live/counters.ts';
import { sendAway } from '#live/hub-drain.ts';
import { defaultHubLimits, type HubLimits } from '#live/hub-limits.ts';
import { createLiveSockets, type UpgradedSocket } from '#live/live-socket.ts';
import { createOpenChannels } from '#live/open-channels.ts';
import { createSubjectAllowances } from '#live/subject-allowances.ts';
import { createTicker } from '#live/ticker.ts';
import type { ConnectOptions, Transport, ViewerPort } from '#live/transport.ts';
import { Viewer, type ViewerHost } from '#live/viewer.ts';

export interface HubOptions {
  readonly channels: Channels;
  readonly clock: Clock;
  /** Whose key or token this is: hello and refresh. Null: nobody's. The address is '' where the transport did not tell. */
  readonly authenticate: (key: string, address: string) => Promise<Principal | null>;
  /** The principal widened by a channel token. Without it channel tokens are refused. */
  readonly channelToken?: (
    token: string,
    channel: string,
    principal: Principal,
  ) => Promise<Result<Principal, WireError>>;
  /** Unexpected failures, for the log. */
  readonly onFailure: (cause: unknown) => void;
  readonly limits?: Partial<HubLimits>;
  readonly random?: Random;
  /** Calls back at the end of the current turn of the event loop. */
  readonly endOfTurn?: (callback: () => void) => void;
}

export interface Hub {
  readonly counters: Readonly<HubCounters>;
  /**
   * Takes over the socket of a request that was answered as answerHandshake (websocket-handshake.ts) says. Null: hello will
   * say who it is.
   */
  attach(upgraded: UpgradedSocket, principal: Principal | null, connection?: ConnectOptions): void;
  /** Takes a viewer on any transport, which tells the returned port what it hears. */
  connect(transport: Transport, principal: Principal | null, connection?: ConnectOptions): ViewerPort;
  /** Closes the connections of principals that were revoked, and says how many. */
  disconnect(isConcerned: (principal: Principal) => boolean): number;
  /** Refuses new viewers and sends the others away, spread over `drainSpreadMs`. Resolves when all are gone. */
  drain(): Promise<void>;
}

const parseViewerMessage = createMessageParser<ViewerMessage>(
  viewerMessageSchemas,
  protocolLimits.controlBytes,
);

const noChannelTokens: NonNullable<HubOptions['channelToken']> = async () =>
  fail({ code: 'unauthenticated', message: 'channel tokens are not taken here' });

export function createHub(options: HubOptions): Hub {
  const { channels, clock, onFailure, random = systemRandom, endOfTurn = afterThisTurn } = options;
  const limits: HubLimits = { ...defaultHubLimits, ...options.limits };
  const counters = createHubCounters();
  const open = createOpenChannels({ channels, clock, limits, counters, onFailure }, () => ticker.request());
  const ticker = createTicker({ clock, endOfTurn, maxRestMs: limits.tickMs, run: open.flush });
  const connectSocket = createLiveSockets({ clock, limits });
  const viewers = new Set<Viewer>();
  // Everyone whose transport has not ended: the viewers, and those that are closing.
  const connections = new Set<Viewer>();
  let isDraining = false;
  let drained = (): void => {};

  // Five looks a heartbeat: a sign of life is late by at most a fifth.
  let stopPulse = (): void => {};
  const pulse = (): void => {
    const nowMs = clock.monotonicMs();
    const nowUs = clock.nowUs();
    for (const viewer of viewers) viewer.checkPulse(nowMs, nowUs);
    open.look(nowMs);
    if (connections.size > 0) stopPulse = clock.after(limits.heartbeatMs / 5, pulse);
  };
  const instance = `${integerBelow(random, 2 ** 32).toString(36)}${integerBelow(random, 2 ** 32).toString(36)}`;
  let lastMember = 0;
  const host: ViewerHost = {
    clock,
    limits,
    counters,
    parse: parseViewerMessage,
    channels,
    open,
    subjects: createSubjectAllowances(limits),
    authenticate: options.authenticate,
    channelToken: options.channelToken ?? noChannelTokens,
    memberId: () => `${instance}.${(++lastMember).toString(36)}`,
    onFailure,
    closed(viewer) {
      viewers.delete(viewer);
      open.forget(viewer);
      counters.viewers = viewers.size;
    },
    ended(viewer) {
      connections.delete(viewer);
      if (connections.size > 0) return;
      stopPulse();
      drained();
    },
  };
  const connect: Hub['connect'] = (transport, principal, connection) => {
    const viewer = new Viewer(host, transport, principal, connection);
    if (connections.size === 0) stopPulse = clock.after(limits.heartbeatMs / 5, pulse);
    connections.add(viewer);
    viewers.add(viewer);
    counters.viewers = viewers.size;
    if (isDraining) viewer.close('restarting');
    else if (viewers.size > limits.viewers) viewer.close('overloaded');
    else if (principal !== null) viewer.welcome();
    return viewer;
  };
  return {
    counters,
    connect,
    attach: (upgraded, principal, connection) =>
      connectSocket(upgraded, (transport) => connect(transport, principal, connection)),
    disconnect(isConcerned) {
      const concerned = [...viewers].filter(({ principal }) => principal !== null && isConcerned(principal));
      for (const { subscriptions } of viewers) subscriptions?.endRevoked(isConcerned);
      for (const viewer of concerned) {
        viewer.refuse({ code: 'unauthenticated', message: 'the key or token was revoked' });
        viewer.close('unauthenticated');
      }
      return concerned.length;
    },
    async drain() {
      isDraining = true;
      const gone = new Promise<void>((resolve) => {
        drained = resolve;
      });
      sendAway([...viewers], { clock, random, limits });
      if (connections.size > 0) await gone;
      ticker.stop();
    },
  };
}

function afterThisTurn(callback: () => void): void {
  setImmediate(callback);
}
