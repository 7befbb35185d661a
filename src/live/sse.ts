/**
 * Owns the transport of the hub over server-sent events: one HTTP answer that does not end. Its status waits for the
 * subscriptions, so that a refusal is an answer of HTTP; only then do events flow. Unsent bytes are counted by the hub (a
 * write reports when it left) and a peer that takes nothing for `stallMs` is cut off.
 *
 * A peer that vanished without a word is found by TCP alone. Its probes (3 s and ten times one: libuv) find it while nothing is
 * unacknowledged, so comments come as rarely as proxies allow; once something is, the kernel repeats it until it gives up,
 * which Linux does after about 15 minutes (`net.ipv4.tcp_retries2`). Measured with a peer whose answers were dropped.
 */

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';

import type { Clock } from '#base/clock.ts';
import { closeCodes, type CloseReason, type ErrorCode } from '#protocol/codes.ts';
import type { Cursor } from '#protocol/channel-cursor.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { Position } from '#protocol/publication.ts';
import { createEventEncoder, encodePlainEvent, encodeRetry } from '#live/sse-encoding.ts';
import type { ConnectOptions, Outgoing, Transport, ViewerPort } from '#live/transport.ts';

export const sseLimits = {
  /** Below the 30 s and 60 s after which proxies cut what is quiet, above the 13 s that TCP's probes take at best. */
  keepAliveMs: 15_000,
  probeAfterMs: 3_000,
  /** How long a peer may take nothing of what is written to it. */
  stallMs: 30_000,
  /** How long the answer waits for permission to all channels. */
  openMs: 10_000,
  /** How long the last events of a stream that was closed may take. */
  closeGraceMs: 2_000,
} as const;

export interface EventStreamOptions {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Beside those of the stream itself. */
  readonly headers: OutgoingHttpHeaders;
  /** Names, each once. */
  readonly channels: readonly string[];
  readonly cursor: Cursor | null;
  /** For channels of which the cursor says nothing: the newest so many first. */
  readonly last: number;
  /** Also tell who enters and leaves. */
  readonly hasPresence: boolean;
  /** Behind the cursor in every id. */
  readonly idSuffix: string;
  /** After how long an EventSource comes back. */
  readonly retryMs: number;
  readonly clock: Clock;
  /** Every channel was allowed: the answer begins. */
  readonly begins: () => void;
  readonly limits?: Partial<Record<keyof typeof sseLimits, number>>;
  /** Nothing was written: the caller answers. */
  readonly refused: (error: WireError) => void;
  /** The stream is over, also after `refused`. Called once. */
  readonly ended: () => void;
}

export interface EventStream {
  /** Ends it in favour of a newer connection. */
  supersede(): void;
}

/** Answers the request with the events of the channels. Throws nothing. */
export function streamEvents(
  connect: (transport: Transport, connection: ConnectOptions) => ViewerPort,
  options: EventStreamOptions,
): EventStream {
  const { request, response, channels, cursor, clock } = options;
  const limits = { ...sseLimits, ...options.limits };
  const encoder = createEventEncoder({
    channels,
    positions: knownPositions(channels, cursor),
    idSuffix: options.idSuffix,
  });
  const out = createByteOutput({ response, clock, limits, stalled: () => response.destroy() });
  let state: 'opening' | 'open' | 'closed' = 'opening';
  let hasEnded = false;
  let port: ViewerPort | null = null;
  let cancelGrace = (): void => {};
  const opening = createOpening(channels.length);

  const end = (): void => {
    if (hasEnded) return;
    hasEnded = true;
    state = 'closed';
    cancelOpening();
    cancelGrace();
    out.stop();
    port?.ended();
    options.ended();
  };
  const refuse = (error: WireError): void => {
    if (state !== 'opening') return;
    state = 'closed';
    options.refused(error);
    end();
  };
  const cancelOpening = clock.after(limits.openMs, () =>
    refuse({ code: 'timed-out', message: 'the channels could not be asked in time' }),
  );
  const begin = (): void => {
    state = 'open';
    cancelOpening();
    options.begins();
    response.writeHead(200, { ...options.headers, ...streamHeaders });
    out.write(encoder.begin(options.retryMs));
    for (const { items, sent } of opening.held.splice(0)) writeItems(items, sent);
  };
  const writeItems = (items: readonly Outgoing[], sent: () => void): void => {
    const bye = items.find((item) => item.type === 'bye');
    if (bye !== undefined) out.write(encodeRetry(afterMsOf(bye)));
    if (items.every((item) => item.type === 'heartbeat') && out.restedMs() < limits.keepAliveMs) sent();
    else out.write(encoder.encode(items), sent);
  };
  const close = (reason: CloseReason): void => {
    if (state === 'opening') refuse(refusalOfClose(reason));
    if (state !== 'open') return;
    state = 'closed';
    out.write(encodePlainEvent('closed', { code: closeCodes[reason], reason }));
    response.end();
    out.stop();
    cancelGrace = clock.after(limits.closeGraceMs, () => response.destroy());
  };
  const transport: Transport = {
    write(items, sent) {
      if (state === 'open') return writeItems(items, sent);
      if (state === 'closed') return;
      opening.held.push({ items, sent });
      const refusal = opening.learn(items);
      if (refusal !== null) refuse(refusal);
      else if (opening.isDone()) begin();
    },
    close,
  };
  watchPeer({ request, response, probeAfterMs: limits.probeAfterMs, gone: end });
  const opened = connect(transport, { isOneWay: true });
  port = opened;
  if (hasEnded) opened.ended();
  else subscribe(opened, options);
  return { supersede: () => close('superseded') };
}

const streamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  // What compresses or rewrites would hold events back.
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff',
} as const;

/** What a close by the hub means where nothing was answered yet. */
export function refusalOfClose(reason: CloseReason): WireError {
  return { code: codeOfClose(reason), message: `the server ended it: ${reason}` };
}

function codeOfClose(reason: CloseReason): ErrorCode {
  switch (reason) {
    case 'draining':
    case 'restarting':
      return 'draining';
    case 'unauthenticated':
    case 'expired':
      return 'unauthenticated';
    case 'forbidden':
      return 'forbidden';
    case 'internal':
      return 'internal';
    default:
      return 'overloaded';
  }
}

function subscribe(port: ViewerPort, { channels, cursor, last, hasPresence }: EventStreamOptions): void {
  for (const [id, channel] of channels.entries()) {
    const position = cursor?.positionOf(channel) ?? null;
    port.receive({
      type: 'subscribe',
      id,
      channel,
      ...(position === null ? (last > 0 ? { last } : {}) : { position }),
      ...(hasPresence ? { presence: true } : {}),
    });
  }
}

function knownPositions(channels: readonly string[], cursor: Cursor | null): [string, Position][] {
  return channels.flatMap((channel) => {
    const position = cursor?.positionOf(channel) ?? null;
    return position === null ? [] : [[channel, position]];
  });
}

/** What waits until every channel has been allowed: bounded by what the hub leaves unsent. */
function createOpening(channelCount: number) {
  let missing = channelCount;
  const held: { readonly items: readonly Outgoing[]; readonly sent: () => void }[] = [];
  return {
    held,
    isDone: () => missing === 0,
    /** The refusal among the items, if there is one. */
    learn(items: readonly Outgoing[]): WireError | null {
      for (const item of items) {
        if (item.type === 'error') return refusalOf(item);
        if (item.type === 'subscribed') missing--;
      }
      return null;
    },
  };
}

/** What an `error` message says. */
export function refusalOf(error: Outgoing): WireError {
  const { code, message, field } = JSON.parse(Buffer.from(error.message).toString()) as WireError;
  return { code, message, ...(field === undefined ? {} : { field }) };
}

function afterMsOf(bye: Outgoing): number {
  return (JSON.parse(Buffer.from(bye.message).toString()) as { afterMs: number }).afterMs;
}

interface ByteOutputOptions {
  readonly response: ServerResponse;
  readonly clock: Clock;
  readonly limits: { readonly stallMs: number };
  readonly stalled: () => void;
}

/** The way out: one write a call, and a watch on whether the peer takes what is written. */
function createByteOutput({ response, clock, limits, stalled }: ByteOutputOptions) {
  let writtenMs = clock.monotonicMs();
  let unsent = 0;
  let cancelWatch: (() => void) | null = null;

  const watch = (): void => {
    cancelWatch?.();
    cancelWatch = unsent === 0 ? null : clock.after(limits.stallMs, stalled);
  };
  const stop = (): void => {
    cancelWatch?.();
    cancelWatch = null;
  };
  let isStopped = false;
  return {
    restedMs: () => clock.monotonicMs() - writtenMs,
    write(bytes: Uint8Array, sent?: () => void): void {
      if (isStopped) return;
      writtenMs = clock.monotonicMs();
      unsent++;
      const isTaken = response.write(bytes, (failure) => {
        unsent--;
        if (isStopped) return;
        // Every write that leaves is a sign of life; the watch begins anew.
        if (cancelWatch !== null) watch();
        if (failure === undefined || failure === null) sent?.();
      });
      if (!isTaken && cancelWatch === null) watch();
    },
    stop(): void {
      isStopped = true;
      stop();
    },
  };
}

interface PeerOptions {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly probeAfterMs: number;
  readonly gone: () => void;
}

/** Calls `gone` when the connection is over, whoever ended it. */
function watchPeer({ request, response, probeAfterMs, gone }: PeerOptions): void {
  const { socket } = request;
  socket.setKeepAlive(true, probeAfterMs);
  response.on('error', () => response.destroy());
  // A request that was sent behind another on one connection has no say in the socket yet, which may end before.
  socket.once('close', gone);
  response.once('close', () => {
    socket.off('close', gone);
    gone();
  });
  if (socket.destroyed) queueMicrotask(gone);
}
