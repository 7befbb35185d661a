/**
 * Owns one viewer's connection as a state machine without sockets: requests in; replies at once, and at each tick one
 * write of what the viewer misses, out. Beyond the high-water mark of unsent bytes the viewer is skipped, and it goes
 * on with the newest when half has drained. Requests are limited in rate; a flood closes.
 */

import type { Clock } from '#base/clock.ts';
import type { Result } from '#base/result.ts';
import type { ViewerMessage } from '#contract/live-messages.ts';
import type { MessageParser } from '#contract/validation.ts';
import type { CloseReason } from '#protocol/codes.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { Batch, Channel } from '#live/channel.ts';
import { countLabel, type HubCounters } from '#live/counters.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import type { Transport, ViewerPort } from '#live/transport.ts';
import { createViewerOutput, type ViewerOutput } from '#live/viewer-output.ts';
import { createSubscriptions, type Subscriptions } from '#live/viewer-subscriptions.ts';

export interface Viewer {
  readonly port: ViewerPort;
  /** True when it has not been given all that its channels hold. */
  readonly isLagging: boolean;
  /** The first message: the connection is good. */
  welcome(): void;
  /** Gives the viewer what it misses, unless it is too far behind to take it. */
  flush(): void;
  /** Looks at the time: sends a heartbeat when nothing else was sent, closes when nothing was heard. */
  checkPulse(nowMs: number): void;
  /** Asks the viewer to come back after `afterMs`, and closes. */
  dismiss(afterMs: number): void;
  close(reason: CloseReason): void;
}

/** What a viewer needs of its hub. */
export interface ViewerHost {
  readonly clock: Clock;
  readonly limits: HubLimits;
  readonly counters: HubCounters;
  readonly parse: MessageParser<ViewerMessage>;
  authorize(channelName: string): Promise<Result<unknown, WireError>>;
  join(channelName: string, viewer: Viewer): Channel;
  leave(channelName: string, viewer: Viewer): void;
  /** Asks for a flush of this viewer at the next tick. */
  ready(viewer: Viewer): void;
  /** The viewer takes no more part. */
  closed(viewer: Viewer): void;
  /** The transport's connection is gone. */
  ended(viewer: Viewer): void;
}

export function createViewer(transport: Transport, host: ViewerHost): Viewer {
  const { clock, limits, counters } = host;
  let isLagging = false;
  let isClosed = false;

  const setLagging = (value: boolean): void => {
    if (value !== isLagging) counters.laggingViewers += value ? 1 : -1;
    isLagging = value;
  };
  const output = createViewerOutput(transport, {
    clock,
    limits,
    counters,
    drained: () => {
      if (isLagging) host.ready(viewer);
    },
    overflow: () => close('slowConsumer'),
  });
  const refuse = (error: WireError, id?: number): void => {
    countLabel(counters.errorsByCode, error.code);
    output.reply(errorMessage(error, id));
  };
  const subscriptions = createSubscriptions({
    maxSubscriptions: limits.subscriptionsPerViewer,
    authorize: host.authorize,
    join: (name) => host.join(name, viewer),
    leave: (name) => host.leave(name, viewer),
    subscribed: (id, channel) => {
      output.reply({
        type: 'subscribed',
        id,
        channel: channel.name,
        number: channel.number,
        lossClass: 'live',
      });
      host.ready(viewer);
    },
    unsubscribed: (id, channel) => output.reply({ type: 'unsubscribed', id, channel }),
    refuse,
  });
  const close = (reason: CloseReason | 'peer'): void => {
    if (isClosed) return;
    isClosed = true;
    intake.shut();
    output.stop();
    subscriptions.end();
    setLagging(false);
    countLabel(counters.closesByReason, reason);
    host.closed(viewer);
    if (reason !== 'peer') transport.close(reason);
  };
  const intake = createIntake(host, { output, subscriptions, refuse, close });
  const viewer: Viewer = {
    port: {
      ...intake.port,
      ended() {
        close('peer');
        host.ended(viewer);
      },
    },
    get isLagging() {
      return isLagging;
    },
    welcome: () =>
      output.reply({ type: 'welcome', serverUs: clock.nowUs(), heartbeatMs: limits.heartbeatMs }),
    flush() {
      if (isClosed) return;
      if (output.unsentBytes > limits.highWaterBytes) return setLagging(true);
      const batch: Batch = { items: [], bytes: 0, maxBytes: limits.batchBytes };
      setLagging(!subscriptions.pull(batch));
      if (batch.items.length > 0) output.send(batch.items, batch.bytes);
    },
    checkPulse(nowMs) {
      if (nowMs - intake.heardMs() > 3 * limits.heartbeatMs) close('silent');
      // Whoever has not taken the last write needs no sign of life behind it.
      else if (output.unsentBytes === 0 && nowMs - output.writtenMs >= limits.heartbeatMs)
        output.reply({ type: 'heartbeat' });
    },
    dismiss(afterMs) {
      output.reply({ type: 'bye', afterMs });
      close('draining');
    },
    close,
  };
  return viewer;
}

interface IntakeParts {
  readonly output: ViewerOutput;
  readonly subscriptions: Subscriptions;
  readonly refuse: (error: WireError, id?: number) => void;
  readonly close: (reason: CloseReason) => void;
}

/** The way in: what the viewer says, within its rate. */
function createIntake({ clock, limits, counters, parse }: ViewerHost, parts: IntakeParts) {
  const { output, subscriptions, refuse, close } = parts;
  let heardMs = clock.monotonicMs();
  let isShut = false;
  const admits = createRequestBudget(limits, heardMs);

  const admit = (): boolean => {
    if (isShut) return false;
    counters.requests++;
    heardMs = clock.monotonicMs();
    if (admits(heardMs)) return true;
    const message = `at most ${limits.requestsPerSecond} requests a second`;
    refuse({ code: 'limit-exceeded', message });
    close('protocol');
    return false;
  };
  const handle = (message: ViewerMessage, receivedUs: number): void => {
    switch (message.type) {
      case 'subscribe':
        return subscriptions.subscribe(message.id, message.channel);
      case 'unsubscribe':
        return subscriptions.unsubscribe(message.id, message.channel);
      case 'probe': {
        const { id, t0Us } = message;
        return output.reply({ type: 'probe', id, t0Us, t1Us: receivedUs, t2Us: clock.nowUs() });
      }
      case 'hello':
        return refuse({ code: 'already-greeted', message: 'the connection is already authenticated' });
      case 'heartbeat':
    }
  };
  return {
    heardMs: () => heardMs,
    /** Who was closed may go on talking until the closing handshake is over, and is not heard. */
    shut(): void {
      isShut = true;
    },
    port: {
      receiveText(text: string): void {
        const receivedUs = clock.nowUs();
        if (!admit()) return;
        const message = parse(text);
        if (message.ok) handle(message.value, receivedUs);
        else refuse(message.error, requestIdOf(text));
      },
      receive(message: ViewerMessage): void {
        const receivedUs = clock.nowUs();
        if (admit()) handle(message, receivedUs);
      },
      receiveBinary(): void {
        if (admit()) refuse({ code: 'malformed-message', message: 'viewers send text messages only' });
      },
      heard: () => void admit(),
    },
  };
}

/** A token bucket: `requestBurst` at once, refilled with `requestsPerSecond`. */
function createRequestBudget(limits: HubLimits, startMs: number): (nowMs: number) => boolean {
  let tokens = limits.requestBurst;
  let filledMs = startMs;
  return (nowMs) => {
    const refill = ((nowMs - filledMs) / 1000) * limits.requestsPerSecond;
    tokens = Math.min(limits.requestBurst, tokens + refill) - 1;
    filledMs = nowMs;
    return tokens >= 0;
  };
}

function errorMessage(error: WireError, id: number | undefined) {
  return {
    type: 'error' as const,
    code: error.code,
    message: error.message,
    ...(error.field === undefined ? {} : { field: error.field }),
    ...(id === undefined ? {} : { id }),
  };
}

/** The request number of a message that did not match its schema, so that the viewer can tell which one failed. */
function requestIdOf(text: string): number | undefined {
  try {
    const id = (JSON.parse(text) as { id?: unknown } | null)?.id;
    return typeof id === 'number' && id === id >>> 0 ? id : undefined;
  } catch {
    return undefined;
  }
}
