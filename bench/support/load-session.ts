/**
 * Owns one device of the load generator: connects, says hello, opens its streams, sends frames as credit allows, and
 * after a lost connection comes back with full jitter and goes on from what the server says is settled. Live-only
 * sending is left out: without durable credit readings wait, which the lag histogram shows.
 */

import { assert } from '#base/assert.ts';
import { uuidv7 } from '#base/uuid.ts';
import {
  outgoingFrameBytes,
  type DataMessageSlab,
  type OutgoingFrame,
} from '#bench/support/data-message-slab.ts';
import {
  openDeviceConnection,
  type ConnectionTarget,
  type DeviceConnection,
} from '#bench/support/device-connection.ts';
import type { LatencyHistogram } from '#bench/support/latency-histogram.ts';
import type { StreamLoad } from '#bench/support/load-stream.ts';
import { BENCH_AXES } from '#bench/support/synthetic-reading.ts';
import { mayReconnect } from '#protocol/codes.ts';
import { limits } from '#protocol/limits.ts';
import type { Credit, DeviceMessage, ServerMessage } from '#protocol/messages.ts';
import { PROTOCOL_VERSION } from '#protocol/version.ts';

/** Feet first: a session with one sensor wears it there. */
const WORN_SEGMENTS = [
  'left-foot',
  'right-foot',
  'left-shank',
  'right-shank',
  'left-thigh',
  'right-thigh',
  'pelvis',
];

/** Bytes in the socket beyond which nothing is added: what a socket takes at once on loopback is more than this. */
const HIGH_WATER_BYTES = 64 * 1024;
const RECONNECT_FIRST_MS = 200;
const RECONNECT_MAX_MS = 5_000;
/** A peer silent for this many heartbeats is gone. */
const SILENT_HEARTBEATS = 3;

export interface LoadCounters {
  sentFrames: number;
  sentMessages: number;
  sentReadings: number;
  acknowledgedReadings: number;
  reconnects: number;
  creditWaits: number;
  readonly errors: Record<string, number>;
  readonly ack: LatencyHistogram;
  readonly batch: LatencyHistogram;
}

export interface LoadSessionOptions {
  readonly target: ConnectionTarget;
  readonly streams: readonly StreamLoad[];
  readonly rateHz: number;
  readonly slab: DataMessageSlab;
  readonly counters: LoadCounters;
  readonly nowUs: () => number;
  /** All streams are open for the first time, or the session can never work (with the reason). */
  readonly ready: (failure: string | null) => void;
}

export interface LoadSession {
  readonly sessionId: string;
  readonly streams: readonly StreamLoad[];
  readonly isEnded: boolean;
  connect(): void;
  begin(startUs: number): void;
  /** A frame's readings were sampled on every stream. */
  sample(readings: number): void;
  /** About once a second: heartbeats and time-outs. */
  tick(): void;
  /** Ends the streams, says goodbye and closes. */
  end(): void;
}

export function createLoadSession(options: LoadSessionOptions): LoadSession {
  const { streams, slab, counters, nowUs } = options;
  const sessionId = uuidv7({ nowUs: () => Date.now() * 1000 });
  const periodNs = Math.round(1e9 / options.rateHz);
  const byRef = new Map(streams.map((stream) => [stream.ref, stream]));
  let connection: DeviceConnection | null = null;
  let phase: 'connecting' | 'greeting' | 'opening' | 'streaming' | 'waiting' | 'ended' = 'waiting';
  const unopened = new Set<number>();
  let grantedBytes = 0;
  let spentBytes = 0;
  let isWaitingForCredit = false;
  let heartbeatUs = limits.heartbeatMs * 1000;
  let lastSentUs = 0;
  let lastHeardUs = 0;
  let attempts = 0;
  let reconnectAfterMs: number | null = null;
  let timer: NodeJS.Timeout | undefined;
  let hasBeenReady = false;
  let firstStream = 0;

  function send(message: DeviceMessage): void {
    lastSentUs = nowUs();
    connection?.sendText(message);
  }

  function connect(): void {
    phase = 'connecting';
    lastHeardUs = nowUs();
    connection = openDeviceConnection(options.target, {
      opened() {
        phase = 'greeting';
        send({ type: 'hello', version: PROTOCOL_VERSION, agent: 'kymo-bench/1' });
      },
      text: (text) => receive(JSON.parse(text) as ServerMessage),
      // In a turn of its own: a socket that takes everything at once would keep the event loop in this one.
      drained: () => void setImmediate(pump),
      closed,
    });
  }

  function closed(code: number, reason: string): void {
    connection = null;
    if (phase === 'ended') return;
    if (!mayReconnect(code)) {
      phase = 'ended';
      counters.errors[`close ${code} ${reason}`] = (counters.errors[`close ${code} ${reason}`] ?? 0) + 1;
      options.ready(`closed for good: ${code} ${reason}`);
      return;
    }
    phase = 'waiting';
    counters.reconnects++;
    const ceilingMs = Math.min(RECONNECT_MAX_MS, RECONNECT_FIRST_MS * 2 ** attempts++);
    timer = setTimeout(connect, reconnectAfterMs ?? Math.random() * ceilingMs);
    reconnectAfterMs = null;
    if (!hasBeenReady && attempts > 8) options.ready(`cannot connect: ${code} ${reason}`);
  }

  function receive(message: ServerMessage): void {
    lastHeardUs = nowUs();
    switch (message.type) {
      case 'welcome':
        heartbeatUs = message.heartbeatMs * 1000;
        spentBytes = 0;
        grant(message.credit);
        openStreams();
        return;
      case 'opened': {
        const stream = streamOf(message.ref);
        if (hasBeenReady) stream.rewind(0);
        counters.acknowledgedReadings += stream.settle(message.settled, lastHeardUs, counters.ack);
        unopened.delete(message.ref);
        if (unopened.size === 0) becomeReady();
        return;
      }
      case 'ack':
        for (const settled of message.streams)
          counters.acknowledgedReadings += streamOf(settled.ref).settle(settled, lastHeardUs, counters.ack);
        grant(message.credit);
        pump();
        return;
      case 'credit':
        grant(message.credit);
        pump();
        return;
      case 'rewind':
        streamOf(message.ref).rewind(message.fromSeq);
        pump();
        return;
      case 'error':
        counters.errors[message.code] = (counters.errors[message.code] ?? 0) + 1;
        if (!hasBeenReady && phase === 'opening') options.ready(`${message.code}: ${message.message}`);
        return;
      case 'bye':
        reconnectAfterMs = message.afterMs;
        connection?.close();
        return;
      default:
        // Heartbeats, answers to probes that were not sent, and commands for real devices.
        return;
    }
  }

  function streamOf(ref: number): StreamLoad {
    const stream = byRef.get(ref);
    assert(stream !== undefined, `the server speaks of stream ${ref}, which was not opened`);
    return stream;
  }

  function grant(credit: Credit): void {
    grantedBytes = Math.max(credit.durable, spentBytes === 0 ? 0 : grantedBytes);
    isWaitingForCredit = false;
  }

  function openStreams(): void {
    phase = 'opening';
    for (const stream of streams) {
      unopened.add(stream.ref);
      send({
        type: 'open',
        ref: stream.ref,
        epoch: stream.epoch,
        definition: {
          stream: stream.streamId,
          session: sessionId,
          // A server that recognises motion has work with the first seven.
          segment: WORN_SEGMENTS[stream.ref] ?? `segment-${stream.ref}`,
          sensor: 'imu',
          axes: [...BENCH_AXES],
          rateHz: options.rateHz,
          encoding: 'float32',
          clock: 'device',
          synthetic: true,
          label: 'bench',
        },
      });
    }
  }

  function becomeReady(): void {
    phase = 'streaming';
    attempts = 0;
    if (!hasBeenReady) {
      hasBeenReady = true;
      options.ready(null);
    }
    pump();
  }

  /** Sends all that is sampled, allowed by credit and taken by the socket. */
  function pump(): void {
    if (phase !== 'streaming' || connection === null) return;
    const messages: Buffer[] = [];
    let waitingBytes = connection.backlogBytes;
    const sentUs = nowUs();
    while (waitingBytes < HIGH_WATER_BYTES) {
      const frames = takeFrames(sentUs);
      if (frames.length === 0) break;
      const message = slab.build(frames, { sentUs, periodNs });
      messages.push(message);
      waitingBytes += message.length;
    }
    if (messages.length === 0) return;
    counters.sentMessages += messages.length;
    lastSentUs = sentUs;
    connection.sendFrames(messages);
  }

  /** One frame of each stream that has one, up to a message full. */
  function takeFrames(sentUs: number): OutgoingFrame[] {
    const frames: OutgoingFrame[] = [];
    let messageBytes = 0;
    for (let i = 0; i < streams.length && frames.length < limits.framesPerMessage; i++) {
      const stream = streams[(firstStream + i) % streams.length]!;
      const frame = stream.next();
      if (frame === null) continue;
      const bytes = outgoingFrameBytes(frame.count);
      if (messageBytes + bytes > limits.messageBytes / 2) break;
      if (spentBytes + bytes > grantedBytes) {
        if (!isWaitingForCredit) counters.creditWaits++;
        isWaitingForCredit = true;
        break;
      }
      messageBytes += bytes;
      spentBytes += bytes;
      stream.markSent(frame, sentUs);
      counters.sentFrames++;
      counters.sentReadings += frame.count;
      counters.batch.record(sentUs - frame.firstUs);
      frames.push(frame);
    }
    firstStream = (firstStream + frames.length) % streams.length;
    return frames;
  }

  return {
    sessionId,
    streams,
    get isEnded() {
      return phase === 'ended';
    },
    connect,
    begin(startUs) {
      for (const stream of streams) stream.begin(startUs);
    },
    sample(readings) {
      for (const stream of streams) stream.sample(readings);
      pump();
    },
    tick() {
      if (connection === null) return;
      const now = nowUs();
      if (now - lastHeardUs > heartbeatUs * SILENT_HEARTBEATS) connection.destroy('the server is silent');
      else if (phase === 'streaming' && now - lastSentUs > heartbeatUs * 0.8) send({ type: 'heartbeat' });
    },
    end() {
      clearTimeout(timer);
      if (phase === 'streaming')
        for (const stream of streams)
          send({ type: 'close', ref: stream.ref, next: stream.sentTo, ended: true });
      phase = 'ended';
      if (connection === null) return;
      send({ type: 'bye' });
      connection.close();
    },
  };
}
