/**
 * Owns one device connection as a state machine without I/O: what arrives comes in as calls, what is to be done goes
 * out through `GatewayOutput`. It decodes, checks credit, stamps the arrival and hands frames to their stream's buffer;
 * it knows nothing of sockets and nothing of the database. Bounds: streams a connection, bytes by credit, and faults
 * before the connection is closed.
 */

import type { Result } from '#base/result.ts';
import { union } from '#base/ranges.ts';
import type { DeviceIdentity, EpochProgress, Frame } from '#contract/readings.ts';
import type { CloseReason, ErrorCode } from '#protocol/codes.ts';
import { decodeData, frameBytes, type DataFrame, type WireError } from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';
import type { DeviceMessage, ServerMessage, Settled } from '#protocol/messages.ts';
import { PROTOCOL_VERSION } from '#protocol/version.ts';
import type { CreditLedger } from '#ingest/credit.ts';
import type { StreamBuffer, StreamListener } from '#ingest/stream-buffer.ts';

/** A peer that keeps sending what cannot be understood is cut off after this many errors. */
const FAULTS_BEFORE_CLOSE = 100;
/** Live bytes granted beyond what was received: two seconds of a seven-sensor device. */
const LIVE_WINDOW_BYTES = 128 * 1024;

type Open = Extract<DeviceMessage, { type: 'open' }>;
type Close = Extract<DeviceMessage, { type: 'close' }>;

export interface Greeting {
  readonly identity: DeviceIdentity;
  readonly generation: number;
  readonly incarnation: string;
}

export interface OpenAnswer {
  readonly buffer: StreamBuffer;
  readonly progress: EpochProgress;
}

/** What a session asks for. Answers come back as calls: `authenticated`, `opened`, `streamEnded`. */
export interface GatewayOutput {
  send(message: ServerMessage): void;
  close(reason: CloseReason): void;
  authenticate(key: string): void;
  openStream(request: Open): void;
  endStream(buffer: StreamBuffer, close: Close): void;
  recordClock(clock: { deviceUs: number; offsetUs: number; roundTripUs: number }): void;
  commandResult(result: Extract<DeviceMessage, { type: 'commandResult' }>): void;
  /** The buffer has something for the store. */
  due(buffer: StreamBuffer): void;
  /** A frame to be shown now. */
  live(buffer: StreamBuffer, frame: Frame): void;
  /** Streams have settled: call `sendAck` at the end of this turn. */
  ackSoon(): void;
}

export interface GatewayCounters {
  messages: number;
  frames: number;
  readings: number;
  bytes: number;
  liveOnlyFrames: number;
  historicalFrames: number;
  errors: Record<string, number>;
}

export interface GatewaySession {
  readonly identity: DeviceIdentity | null;
  readonly isReady: boolean;
  control(message: Result<DeviceMessage, WireError>, nowUs: number, nowMs: number): void;
  data(bytes: Uint8Array, nowUs: number, nowMs: number): void;
  authenticated(greeting: Greeting | null, nowUs: number): void;
  opened(request: Open, answer: Result<OpenAnswer, WireError>): void;
  streamEnded(buffer: StreamBuffer): void;
  sendAck(): void;
  /** About once a second: time-outs, heartbeats, and credit that became free. */
  tick(nowMs: number): void;
  /** The socket is gone: streams keep their frames, credit goes back. */
  disconnected(): void;
}

interface OpenStream {
  readonly ref: number;
  readonly buffer: StreamBuffer;
  closing: Close | null;
  /** Set while the end is being recorded. */
  isEnding: boolean;
  progress: EpochProgress;
}

export interface SessionOptions {
  readonly output: GatewayOutput;
  readonly ledger: CreditLedger;
  readonly counters: GatewayCounters;
  readonly startedMs: number;
  readonly heartbeatMs: number;
}

export function createGatewaySession(options: SessionOptions): GatewaySession {
  const { output, ledger, counters } = options;
  const streams = new Map<number, OpenStream>();
  const byBuffer = new Map<StreamBuffer, OpenStream>();
  /** References whose `open` is being looked up. */
  const opening = new Set<number>();
  const unacknowledged = new Set<OpenStream>();
  let phase: 'hello' | 'authenticating' | 'ready' | 'closed' = 'hello';
  let identity: DeviceIdentity | null = null;
  let lastHeardMs = options.startedMs;
  let lastSentMs = options.startedMs;
  let liveReceivedBytes = 0;
  let liveGrantedBytes = LIVE_WINDOW_BYTES;
  let toldDurable = 0;
  let toldLive = 0;
  let offsetUs = 0;
  let faults = 0;
  let nowMs = options.startedMs;

  function send(message: ServerMessage): void {
    if (phase === 'closed') return;
    lastSentMs = nowMs;
    output.send(message);
  }

  function close(reason: CloseReason): void {
    if (phase === 'closed') return;
    output.close(reason);
    disconnected();
  }

  function refuse(error: WireError, ref?: number): void {
    counters.errors[error.code] = (counters.errors[error.code] ?? 0) + 1;
    send({
      type: 'error',
      code: error.code,
      message: error.message,
      ...(error.field === undefined ? {} : { field: error.field }),
      ...(ref === undefined ? {} : { ref }),
    });
    faults++;
    if (faults >= FAULTS_BEFORE_CLOSE) close('protocol');
  }

  function credit(): { durable: number; live: number } {
    toldDurable = ledger.grantedBytes;
    toldLive = liveGrantedBytes;
    return { durable: toldDurable, live: toldLive };
  }

  function control(message: Result<DeviceMessage, WireError>, nowUs: number, atMs: number): void {
    nowMs = atMs;
    lastHeardMs = atMs;
    counters.messages++;
    if (phase === 'closed') return;
    if (!message.ok) {
      refuse(message.error);
      return;
    }
    const { value } = message;
    if (phase !== 'ready' && value.type !== 'hello') {
      // A device may say bye at any time; anything else has to wait for `welcome`.
      if (value.type === 'bye') disconnected();
      else
        refuse({ code: 'hello-required', message: 'wait for welcome before anything else', field: '/type' });
      return;
    }
    handle(value, nowUs);
  }

  function handle(message: DeviceMessage, nowUs: number): void {
    switch (message.type) {
      case 'hello':
        if (phase !== 'hello') refuse({ code: 'already-greeted', message: 'hello comes once' });
        else if (message.version !== PROTOCOL_VERSION) {
          refuse({
            code: 'unsupported-version',
            message: `this server speaks version ${PROTOCOL_VERSION}`,
            field: '/version',
          });
          close('version');
        } else {
          phase = 'authenticating';
          output.authenticate(message.key ?? '');
        }
        return;
      case 'open':
        open(message);
        return;
      case 'tombstone':
        withStream(message.ref, (stream) => {
          if (message.to <= message.from) {
            refuse(
              { code: 'invalid-field', message: 'a range is half-open and not empty', field: '/to' },
              message.ref,
            );
            return;
          }
          stream.buffer.declareLost({ from: message.from, to: message.to, reason: message.reason });
          output.due(stream.buffer);
        });
        return;
      case 'close':
        withStream(message.ref, (stream) => {
          stream.closing = message;
          endIfSettled(stream);
        });
        return;
      case 'probe':
        // Both stamps are the same moment: nothing waits between receiving and answering.
        send({ type: 'probe', id: message.id, t0Us: message.t0Us, t1Us: nowUs, t2Us: nowUs });
        return;
      case 'clock':
        offsetUs = message.offsetUs;
        output.recordClock({
          deviceUs: message.deviceUs,
          offsetUs: message.offsetUs,
          roundTripUs: message.roundTripUs,
        });
        return;
      case 'commandResult':
        output.commandResult(message);
        return;
      case 'heartbeat':
        return;
      case 'bye':
        disconnected();
        return;
    }
  }

  function withStream(ref: number, use: (stream: OpenStream) => void): void {
    const stream = streams.get(ref);
    if (stream === undefined)
      refuse(
        { code: 'unknown-stream', message: 'no stream is open under this reference', field: '/ref' },
        ref,
      );
    else use(stream);
  }

  function open(message: Open): void {
    const problem = checkDefinition(message);
    if (problem !== null) refuse(problem, message.ref);
    else if (streams.has(message.ref) || opening.has(message.ref))
      refuse(
        { code: 'reference-in-use', message: 'close the stream under this reference first', field: '/ref' },
        message.ref,
      );
    else if (streams.size + opening.size >= limits.streamsPerConnection)
      refuse(
        { code: 'limit-exceeded', message: `at most ${limits.streamsPerConnection} streams a connection` },
        message.ref,
      );
    else {
      opening.add(message.ref);
      output.openStream(message);
    }
  }

  function opened(request: Open, answer: Result<OpenAnswer, WireError>): void {
    if (phase === 'closed') return;
    opening.delete(request.ref);
    if (!answer.ok) {
      refuse(answer.error, request.ref);
      return;
    }
    const { buffer, progress } = answer.value;
    const twin = byBuffer.get(buffer);
    if (twin !== undefined) {
      refuse(
        {
          code: 'reference-in-use',
          message: `this stream is open under reference ${twin.ref}`,
          field: '/ref',
        },
        request.ref,
      );
      return;
    }
    const stream: OpenStream = { ref: request.ref, buffer, closing: null, isEnding: false, progress };
    streams.set(request.ref, stream);
    byBuffer.set(buffer, stream);
    buffer.listener = listener;
    send({ type: 'opened', ref: request.ref, settled: settledOf(progress) });
  }

  function data(bytes: Uint8Array, nowUs: number, atMs: number): void {
    nowMs = atMs;
    lastHeardMs = atMs;
    if (phase !== 'ready') {
      if (phase !== 'closed')
        refuse({ code: 'hello-required', message: 'wait for welcome before sending data' });
      return;
    }
    counters.messages++;
    counters.bytes += bytes.length;
    const decoded = decodeData(bytes);
    if (!decoded.ok) {
      refuse(decoded.error);
      return;
    }
    const { frames, liveOnly, historical, sentUs } = decoded.value;
    for (let i = 0; i < frames.length; i++) {
      const frame = frames[i]!;
      const size = frameBytes(frame);
      if (!(liveOnly ? receiveLive(size) : ledger.receive(size))) {
        refuse({ code: 'credit-exceeded', message: 'more bytes than granted' }, frame.ref);
        close('creditExceeded');
        return;
      }
      const stream = streams.get(frame.ref);
      const error = stream === undefined ? UNKNOWN_STREAM : checkFrame(stream.buffer, frame);
      if (stream === undefined || error !== null) {
        if (!liveOnly) ledger.settle(size);
        refuse({ ...(error ?? UNKNOWN_STREAM), field: `/frames/${i}${error?.field ?? ''}` }, frame.ref);
        continue;
      }
      accept(stream.buffer, frame, { liveOnly, historical, sentUs, nowUs });
    }
  }

  function accept(
    buffer: StreamBuffer,
    frame: DataFrame,
    mark: { liveOnly: boolean; historical: boolean; sentUs: number; nowUs: number },
  ): void {
    const { handle } = buffer;
    const hasClock = handle.definition.clock === 'device';
    const stamped: Frame = {
      streamId: handle.definition.stream,
      epoch: handle.epoch,
      firstSeq: frame.firstSeq,
      count: frame.count,
      // A device without a clock is the one case in which arrival is the reading's time, and its stream says so.
      firstUs: hasClock ? frame.firstUs : mark.nowUs,
      periodNs: frame.periodNs,
      deltasUs: hasClock ? frame.deltasUs : null,
      payload: frame.payload,
      liveOnly: mark.liveOnly,
      historical: mark.historical,
      sentUs: mark.sentUs,
      arrivalUs: mark.nowUs,
      offsetUs: hasClock ? offsetUs : 0,
    };
    counters.frames++;
    counters.readings += frame.count;
    if (mark.liveOnly) counters.liveOnlyFrames++;
    else {
      if (mark.historical) counters.historicalFrames++;
      buffer.push(stamped, ledger);
      output.due(buffer);
    }
    if (!mark.historical) output.live(buffer, stamped);
  }

  function receiveLive(bytes: number): boolean {
    liveReceivedBytes += bytes;
    return liveReceivedBytes <= liveGrantedBytes;
  }

  const listener: StreamListener = {
    settled(buffer, progress) {
      const stream = byBuffer.get(buffer);
      if (stream === undefined) return;
      stream.progress = progress;
      if (unacknowledged.size === 0) output.ackSoon();
      unacknowledged.add(stream);
    },
    rewind(buffer, fromSeq) {
      const stream = byBuffer.get(buffer);
      if (stream !== undefined) send({ type: 'rewind', ref: stream.ref, fromSeq });
    },
    refused(buffer, message) {
      const stream = byBuffer.get(buffer);
      if (stream === undefined) return;
      refuse({ code: 'stream-refused', message }, stream.ref);
      release(stream);
    },
    unknown: () => close('internal'),
  };

  function sendAck(): void {
    if (unacknowledged.size === 0) return;
    const acknowledged = [...unacknowledged];
    unacknowledged.clear();
    liveGrantedBytes = liveReceivedBytes + LIVE_WINDOW_BYTES;
    send({
      type: 'ack',
      streams: acknowledged.map(({ ref, progress }) => ({ ref, ...settledOf(progress) })),
      credit: credit(),
    });
    for (const stream of acknowledged) endIfSettled(stream);
  }

  function endIfSettled(stream: OpenStream): void {
    const { closing } = stream;
    if (closing === null || stream.isEnding || settledOf(stream.progress).next < closing.next) return;
    stream.isEnding = true;
    output.endStream(stream.buffer, closing);
  }

  function streamEnded(buffer: StreamBuffer): void {
    const stream = byBuffer.get(buffer);
    if (stream === undefined) return;
    send({ type: 'closed', ref: stream.ref });
    release(stream);
  }

  function release(stream: OpenStream): void {
    streams.delete(stream.ref);
    byBuffer.delete(stream.buffer);
    unacknowledged.delete(stream);
    if (stream.buffer.listener === listener) stream.buffer.listener = null;
  }

  function authenticated(greeting: Greeting | null, nowUs: number): void {
    if (phase !== 'authenticating') return;
    if (greeting === null) {
      refuse({ code: 'unauthenticated', message: 'the device key is unknown or was revoked' });
      close('unauthenticated');
      return;
    }
    identity = greeting.identity;
    phase = 'ready';
    send({
      type: 'welcome',
      version: PROTOCOL_VERSION,
      incarnation: greeting.incarnation,
      generation: greeting.generation,
      serverUs: nowUs,
      heartbeatMs: options.heartbeatMs,
      credit: credit(),
    });
  }

  function tick(atMs: number): void {
    nowMs = atMs;
    if (phase === 'closed') return;
    if (phase !== 'ready') {
      if (atMs - options.startedMs >= limits.helloMs) close('helloTimeout');
      return;
    }
    if (atMs - lastHeardMs >= options.heartbeatMs * 3) {
      close('silent');
      return;
    }
    ledger.topUp();
    if (liveGrantedBytes - liveReceivedBytes < LIVE_WINDOW_BYTES / 2)
      liveGrantedBytes = liveReceivedBytes + LIVE_WINDOW_BYTES;
    if (ledger.grantedBytes !== toldDurable || liveGrantedBytes !== toldLive)
      send({ type: 'credit', credit: credit() });
    else if (atMs - lastSentMs >= options.heartbeatMs) send({ type: 'heartbeat' });
  }

  function disconnected(): void {
    if (phase === 'closed') return;
    phase = 'closed';
    for (const stream of streams.values()) release(stream);
    ledger.close();
  }

  return {
    get identity() {
      return identity;
    },
    get isReady() {
      return phase === 'ready';
    },
    control,
    data,
    authenticated,
    opened,
    streamEnded,
    sendAck,
    tick,
    disconnected,
  };
}

const UNKNOWN_STREAM: WireError = {
  code: 'unknown-stream',
  message: 'no stream is open under this reference',
};

/** What a device must know to stop sending: everything settled, in at most `limits.rangesPerAck` ranges. */
export function settledOf(progress: EpochProgress): Settled {
  const settled = progress.lost.length === 0 ? progress.committed : union(progress.committed, progress.lost);
  const first = settled[0];
  const startsAtZero = first !== undefined && first.from === 0;
  const rest = startsAtZero
    ? settled.slice(1, limits.rangesPerAck + 1)
    : settled.slice(0, limits.rangesPerAck);
  return { next: startsAtZero ? first.to : 0, ranges: rest.map((range) => [range.from, range.to]) };
}

/** What the schema cannot say about a stream definition. */
function checkDefinition(open: Open): WireError | null {
  const { axes, encoding, scale } = open.definition;
  if (new Set(axes.map((axis) => axis.name)).size !== axes.length)
    return invalid('/definition/axes', 'axis names must differ');
  if (encoding === 'int16' && scale?.length !== axes.length)
    return invalid('/definition/scale', 'int16 needs one scale an axis');
  if (encoding === 'float32' && scale !== undefined)
    return invalid('/definition/scale', 'only int16 has a scale');
  if (scale?.some((value) => !Number.isFinite(value) || value === 0))
    return invalid('/definition/scale', 'finite and not zero');
  return null;
}

function checkFrame(buffer: StreamBuffer, frame: DataFrame): WireError | null {
  const expected = frame.count * buffer.handle.readingBytes;
  return frame.payload.length === expected
    ? null
    : invalid(
        '/payload',
        `${frame.count} readings of this stream are ${expected} bytes, not ${frame.payload.length}`,
      );
}

function invalid(field: string, message: string): { code: ErrorCode; field: string; message: string } {
  return { code: 'invalid-field', field, message };
}
