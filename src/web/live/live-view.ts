/**
 * Owns the live view of one session inside the worker: the connection, the streams, the head of the sweep and the
 * drawing loop. The page's main thread is never on the way of a reading. Bounds: MAX_STREAMS traces,
 * MAX_OFFLINE_SPANS remembered breaks of the connection.
 */

import { systemClock } from '#base/clock.ts';
import type { StreamDetail } from '#contract/rest.ts';
import type { LiveMessage } from '#protocol/live-codec.ts';
import { createHttpClient } from '#sdk/http-client.ts';
import type { LiveClient, LiveOptions } from '#sdk/live-api.ts';
import { connectLive } from '#sdk/live-client.ts';
import type { LiveState } from '#sdk/live-events.ts';
import { createFrameMeter } from '#web/live/frame-meter.ts';
import {
  attachCanvas,
  createLiveStream,
  drawStream,
  inspectStream,
  receiveFrame,
  reportStream,
  silentSinceMs,
  timeDrawn,
  type LiveStream,
} from '#web/live/live-stream.ts';
import { MAX_STREAMS } from '#web/live/live-limits.ts';
import { palettes } from '#web/live/palette.ts';
import { createPlayOut } from '#web/live/play-out.ts';
import { createScaleBook, type ScaleBook } from '#web/live/scale-book.ts';
import { settledUntilMs, takeEpochs, takeProgress } from '#web/live/stream-trace.ts';
import { advanceHead } from '#web/live/sweep.ts';
import type { PainterView } from '#web/live/trace-painter.ts';
import type { ConnectionReport, FromWorker, LiveReport, ToWorker } from '#web/live/worker-messages.ts';

/** Breaks of the connection within what is shown; more in half a minute look like one. */
const MAX_OFFLINE_SPANS = 16;
/** Numbers that change faster cannot be read. */
const REPORT_MS = 400;
/** What was held up while the connection was made arrives in a burst within this time. */
const SETTLE_IN_MS = 1_000;
/** How often the page is asked for a stream that it has not told of. */
const ASK_MS = 1_000;
/** Windows start at whole multiples of this on the server's clock: a whole number of every window. */
const BASE_US = 60_000_000;

export interface LiveViewPorts {
  readonly post: (message: FromWorker) => void;
  readonly requestFrame: (callback: () => void) => void;
}

interface View {
  readonly ports: LiveViewPorts;
  readonly client: LiveClient;
  readonly channel: string;
  readonly streams: Map<string, LiveStream>;
  /** Canvases whose stream the page has not told of yet; at most MAX_STREAMS. */
  readonly waitingCanvases: Map<string, Extract<ToWorker, { type: 'canvas' }>>;
  readonly scales: ScaleBook;
  readonly playOut: ReturnType<typeof createPlayOut>;
  readonly meter: ReturnType<typeof createFrameMeter>;
  readonly offline: { fromMs: number; toMs: number }[];
  readonly baseUs: number;
  /** Stands in for the server's clock until it is probed: server time minus ours when the first message came. */
  guessedOffsetUs: number | null;
  painterView: PainterView;
  isFrozen: boolean;
  isStopped: boolean;
  isSubscribed: boolean;
  headMs: number;
  /** Until then ages tell of the start of the page, not of the way of readings. */
  settledInMs: number;
  drawnAtMs: number;
  askedAtMs: number;
  stateSinceMs: number;
  skippedTicks: number;
}

export interface LiveView {
  handle(message: Exclude<ToWorker, { type: 'start' }>): void;
}

/** The page's key, or else a single-use ticket that its cookie is worth. */
function credentialOf({
  origin,
  key,
}: Extract<ToWorker, { type: 'start' }>): Pick<LiveOptions, 'token' | 'ticket'> {
  if (key !== null) return { token: () => key };
  const server = createHttpClient({ origin, key: () => null });
  return { ticket: async () => (await server.ticket()).ticket };
}

/** Connects, draws and reports until told to stop. */
export function createLiveView(start: Extract<ToWorker, { type: 'start' }>, ports: LiveViewPorts): LiveView {
  const channel = `session/${start.session}/readings`;
  const client = connectLive({
    url: `${start.origin.replace(/^http/, 'ws')}/v1/live`,
    ...credentialOf(start),
    // Readings are binary, which long poll does not carry.
    transports: ['websocket', 'sse'],
    onState: (state) => queueMicrotask(() => onState(view, state)),
  });
  const view: View = {
    ports,
    client,
    channel,
    streams: new Map(),
    waitingCanvases: new Map(),
    scales: createScaleBook(),
    playOut: createPlayOut(),
    meter: createFrameMeter(),
    offline: [],
    baseUs: Math.floor(systemClock.nowUs() / BASE_US) * BASE_US,
    guessedOffsetUs: null,
    painterView: { windowMs: 10_000, palette: palettes.dark, hasEraseBar: true },
    isFrozen: false,
    isStopped: false,
    isSubscribed: false,
    headMs: Number.NaN,
    settledInMs: 0,
    drawnAtMs: 0,
    askedAtMs: 0,
    stateSinceMs: systemClock.monotonicMs(),
    skippedTicks: 0,
  };
  client.subscribe(channel, {
    onReadings: (message, skipped) => onReadings(view, message, skipped),
    onCommitted: (streams) => {
      for (const progress of streams) {
        const stream = view.streams.get(progress.stream);
        if (stream !== undefined) takeProgress(stream.trace, progress);
      }
    },
    onSubscribed: () => {
      view.isSubscribed = true;
      view.settledInMs = serverNowMs(view) + SETTLE_IN_MS;
      endOffline(view);
    },
    onRefused: () => {
      view.isSubscribed = false;
    },
  });
  const loop = (): void => {
    if (view.isStopped) return;
    drawFrame(view);
    ports.requestFrame(loop);
  };
  loop();
  keepReporting(view);
  return { handle: (message) => handle(view, message) };
}

/** The present on the server's clock, milliseconds since the base. */
function serverNowMs(view: View): number {
  const offsetUs = view.client.serverClock?.offsetUs ?? view.guessedOffsetUs ?? 0;
  return (systemClock.nowUs() + offsetUs - view.baseUs) / 1000;
}

function onReadings(view: View, message: LiveMessage, skipped: number): void {
  view.skippedTicks += skipped;
  view.guessedOffsetUs ??= message.publishedUs - systemClock.nowUs();
  const receipt = {
    nowMs: serverNowMs(view),
    publishedUs: message.publishedUs,
    isClockKnown: view.client.serverClock !== null,
  };
  for (const frame of message.frames) {
    const stream = view.streams.get(frame.streamId);
    if (stream === undefined) askForStreams(view);
    else {
      const ageMs = receiveFrame(stream, frame, receipt);
      if (ageMs !== null && receipt.nowMs > view.settledInMs) view.playOut.add(ageMs, receipt.nowMs);
    }
  }
}

function askForStreams(view: View): void {
  const nowMs = systemClock.monotonicMs();
  if (nowMs - view.askedAtMs < ASK_MS) return;
  view.askedAtMs = nowMs;
  view.ports.post({ type: 'unknownStream' });
}

function onState(view: View, state: LiveState): void {
  if (view.isStopped) return;
  view.stateSinceMs = systemClock.monotonicMs();
  const last = view.offline.at(-1);
  const isCutOff = last !== undefined && last.toMs === Number.POSITIVE_INFINITY;
  if (state.name !== 'open' && !isCutOff && !Number.isNaN(view.headMs)) {
    view.offline.push({ fromMs: serverNowMs(view), toMs: Number.POSITIVE_INFINITY });
    if (view.offline.length > MAX_OFFLINE_SPANS) view.offline.shift();
  }
  report(view);
}

function endOffline(view: View): void {
  const last = view.offline.at(-1);
  if (last !== undefined && last.toMs === Number.POSITIVE_INFINITY) last.toMs = serverNowMs(view);
}

function handle(view: View, message: Exclude<ToWorker, { type: 'start' }>): void {
  switch (message.type) {
    case 'streams':
      takeStreams(view, message.streams);
      return;
    case 'canvas': {
      const stream = view.streams.get(message.stream);
      if (stream !== undefined)
        attachCanvas(stream, message, { view: view.painterView, scales: view.scales });
      else if (view.waitingCanvases.size < MAX_STREAMS) view.waitingCanvases.set(message.stream, message);
      return;
    }
    case 'resize':
      view.streams.get(message.stream)?.painter?.resize(message.size);
      return;
    case 'visible': {
      const stream = view.streams.get(message.stream);
      if (stream === undefined) return;
      stream.isVisible = message.visible;
      stream.painter?.invalidate();
      return;
    }
    case 'removeCanvas': {
      const stream = view.streams.get(message.stream);
      if (stream !== undefined) stream.painter = null;
      view.waitingCanvases.delete(message.stream);
      return;
    }
    case 'view': {
      view.isFrozen = message.frozen;
      const { windowMs, palette } = view.painterView;
      if (message.windowMs === windowMs && palettes[message.scheme] === palette) return;
      view.painterView = {
        windowMs: message.windowMs,
        palette: palettes[message.scheme],
        hasEraseBar: true,
      };
      for (const { painter } of view.streams.values()) painter?.setView(view.painterView);
      return;
    }
    case 'inspect':
      inspect(view, message.id);
      return;
    case 'stop':
      view.isStopped = true;
      view.client.close();
  }
}

function takeStreams(view: View, streams: readonly StreamDetail[]): void {
  for (const { definition, epochs } of streams) {
    let stream = view.streams.get(definition.stream);
    if (stream === undefined) {
      if (view.streams.size >= MAX_STREAMS) continue;
      stream = createLiveStream(definition, view.baseUs);
      view.streams.set(definition.stream, stream);
      const waiting = view.waitingCanvases.get(definition.stream);
      if (waiting !== undefined)
        attachCanvas(stream, waiting, { view: view.painterView, scales: view.scales });
      view.waitingCanvases.delete(definition.stream);
    }
    takeEpochs(stream.trace, epochs);
  }
}

function drawFrame(view: View): void {
  const startedMs = systemClock.monotonicMs();
  const targetMs = serverNowMs(view) - view.playOut.delayMs;
  if (!view.isFrozen)
    view.headMs = Number.isNaN(view.headMs)
      ? targetMs
      : advanceHead(view.headMs, targetMs, startedMs - view.drawnAtMs);
  view.drawnAtMs = startedMs;
  for (const stream of view.streams.values()) drawStream(stream, view.headMs, (ms) => isOffline(view, ms));
  if (!view.isFrozen)
    for (const stream of view.streams.values()) timeDrawn(stream, view.headMs, serverNowMs(view));
  view.meter.add(startedMs, systemClock.monotonicMs() - startedMs);
}

function isOffline({ offline }: View, timeMs: number): boolean {
  return offline.some(({ fromMs, toMs }) => timeMs >= fromMs && timeMs < toMs);
}

/** Reports every REPORT_MS until stopped. */
function keepReporting(view: View): void {
  if (view.isStopped) return;
  view.playOut.update(serverNowMs(view));
  report(view);
  systemClock.after(REPORT_MS, () => keepReporting(view));
}

function report(view: View): void {
  view.ports.post({ type: 'report', report: reportOf(view) });
}

function reportOf(view: View): LiveReport {
  const nowMs = serverNowMs(view);
  return {
    connection: connectionOf(view),
    ...view.meter.summarise(systemClock.monotonicMs()),
    delayMs: view.playOut.delayMs,
    skippedTicks: view.skippedTicks,
    storedAgeMs: storedAgeMs(view, nowMs),
    streams: [...view.streams.values()].map((stream) => reportStream(stream, nowMs)),
  };
}

function connectionOf({ client, stateSinceMs, isSubscribed }: View): ConnectionReport {
  const { state } = client;
  const nowMs = systemClock.monotonicMs();
  return {
    name: state.name,
    sinceMs: nowMs - stateSinceMs,
    retryInMs: state.name === 'waiting' ? Math.max(0, state.retryAtMs - nowMs) : null,
    code: 'code' in state ? state.code : null,
    isSubscribed,
  };
}

/** Of the streams that send now, the one whose newest stored reading is oldest. */
function storedAgeMs(view: View, nowMs: number): number | null {
  let oldest: number | null = null;
  for (const stream of view.streams.values()) {
    const { ring } = stream.trace;
    if (ring.end === ring.start || silentSinceMs(stream, nowMs) !== null) continue;
    const settledMs = settledUntilMs(stream.trace);
    if (settledMs === null) continue;
    oldest = Math.max(oldest ?? 0, nowMs - settledMs);
  }
  return oldest;
}

function inspect(view: View, id: number): void {
  const nowMs = serverNowMs(view);
  view.ports.post({
    type: 'inspected',
    id,
    inspection: {
      fps: view.meter.summarise(systemClock.monotonicMs()).fps,
      delayMs: view.playOut.delayMs,
      connection: view.client.state.name,
      streams: [...view.streams.values()].map((stream) => inspectStream(stream, view.headMs, nowMs)),
    },
  });
}
