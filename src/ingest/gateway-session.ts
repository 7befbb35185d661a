/**
 * Owns one device connection as a state machine without I/O: what arrives comes in as calls, what is to be done goes
 * out through `GatewayOutput`. It decodes, checks credit, stamps the arrival and hands frames to their stream's buffer;
 * it knows nothing of sockets and nothing of the database. Bounds: streams a connection, bytes by credit, control
 * messages a second, and faults before the connection is closed.
 */

import { createAllowance } from '#base/allowance.ts';
import { subtract } from '#base/ranges.ts';
import type { Result } from '#base/result.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import type { CloseReason } from '#protocol/codes.ts';
import { decodeData, frameBytes, type DataFrame, type WireError } from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';
import type { DeviceMessage, ServerMessage } from '#protocol/messages.ts';
import { PROTOCOL_VERSION } from '#protocol/version.ts';
import type { CreditLedger } from '#ingest/credit.ts';
import { createCreditReclaim, type CreditReclaim, type ReclaimOptions } from '#ingest/credit-reclaim.ts';
import type {
  DeviceCommand,
  GatewayCounters,
  GatewayOutput,
  Greeting,
  Open,
  OpenAnswer,
} from '#ingest/gateway-output.ts';
import { checkFrame, stampFrame, type Mark } from '#ingest/received-frame.ts';
import { createOpenStreams, type OpenStream } from '#ingest/open-streams.ts';
import { sessionLimits } from '#ingest/session-limits.ts';
import type { StreamBuffer } from '#ingest/stream-buffer.ts';

export interface GatewaySession {
  readonly identity: DeviceIdentity | null;
  readonly isReady: boolean;
  control(message: Result<DeviceMessage, WireError>, nowUs: number, nowMs: number): void;
  data(bytes: Uint8Array, nowUs: number, nowMs: number): void;
  /** Null: nobody has this key. */
  authenticated(greeting: Greeting | null, nowUs: number): void;
  opened(request: Open, answer: Result<OpenAnswer, WireError>): void;
  /** Something for the device to do. */
  command(command: DeviceCommand): void;
  /** The stream of this buffer was erased. */
  erased(buffer: StreamBuffer): void;
  /** The store does not know a stream that should be there: everything is opened anew. */
  lost(): void;
  streamEnded(buffer: StreamBuffer): void;
  /** The end could not be recorded now; it is asked for again. */
  endFailed(buffer: StreamBuffer): void;
  sendAck(): void;
  /** About once a second: time-outs, heartbeats, and credit that became free. */
  tick(nowMs: number): void;
  /** The socket is gone: streams keep their frames, credit goes back. */
  disconnected(): void;
}

export interface SessionOptions {
  readonly output: GatewayOutput;
  /** Called once the device is known: a stranger holds no credit. */
  readonly openLedger: () => CreditLedger;
  /** When a device that sends nothing is asked to give credit back. */
  readonly reclaim: Pick<ReclaimOptions, 'quietAfterMs' | 'mayAsk'>;
  readonly counters: GatewayCounters;
  readonly startedMs: number;
  readonly heartbeatMs: number;
}

export function createGatewaySession(options: SessionOptions): GatewaySession {
  const { output, counters } = options;
  const faults = createAllowance({
    burst: sessionLimits.faults,
    perSecond: sessionLimits.faultsForgivenPerSecond,
  });
  const controls = createAllowance({
    burst: sessionLimits.controlBurst,
    perSecond: sessionLimits.controlPerSecond,
  });
  const clocks = createAllowance({
    burst: sessionLimits.clockBurst,
    perSecond: sessionLimits.clocksPerSecond,
  });
  let phase: 'hello' | 'authenticating' | 'ready' | 'closed' = 'hello';
  let identity: DeviceIdentity | null = null;
  let ledger: CreditLedger | null = null;
  let reclaim: CreditReclaim | null = null;
  let lastHeardMs = options.startedMs;
  let lastSentMs = options.startedMs;
  let liveReceivedBytes = 0;
  let liveGrantedBytes: number = sessionLimits.liveWindowBytes;
  let toldDurable = 0;
  let toldLive = 0;
  let offsetUs = 0;
  let nowMs = options.startedMs;

  const streams = createOpenStreams({
    send,
    answerError,
    endStream: (buffer, message) => output.endStream(buffer, message),
    ackSoon: () => output.ackSoon(),
    lostStream: (buffer, wasSettled) => output.lostStream(buffer, wasSettled),
    superseded: () => close('superseded'),
    wentBack: () => output.wentBack(),
  });

  function send(message: ServerMessage): void {
    if (phase === 'closed') return;
    lastSentMs = nowMs;
    output.send(message);
  }

  function close(reason: CloseReason | null): void {
    if (phase === 'closed') return;
    output.close(reason);
    disconnected();
  }

  function answerError(error: WireError, ref?: number): void {
    counters.errors[error.code] = (counters.errors[error.code] ?? 0) + 1;
    send({
      type: 'error',
      code: error.code,
      message: error.message,
      ...(error.field === undefined ? {} : { field: error.field }),
      ...(ref === undefined ? {} : { ref }),
    });
  }

  /** Answers what the device did wrong, which it may do only so often. False when that closed the connection. */
  function refuse(error: WireError, ref?: number): boolean {
    answerError(error, ref);
    if (faults.take(nowMs)) return true;
    close('protocol');
    return false;
  }

  function credit(): { durable: number; live: number } {
    toldDurable = ledger?.statedBytes ?? 0;
    toldLive = liveGrantedBytes;
    return { durable: toldDurable, live: toldLive };
  }

  function tellCredit(): void {
    if (ledger!.statedBytes !== toldDurable || liveGrantedBytes !== toldLive)
      send({ type: 'credit', credit: credit() });
  }

  function control(message: Result<DeviceMessage, WireError>, nowUs: number, atMs: number): void {
    if (phase === 'closed') return;
    nowMs = atMs;
    lastHeardMs = atMs;
    counters.messages++;
    if (!controls.take(atMs)) {
      counters.controlFloods++;
      answerError({ code: 'limit-exceeded', message: 'too many control messages' });
      close('protocol');
    } else if (!message.ok) refuse(message.error);
    else if (message.value.type === 'bye') close(null);
    else if (phase !== 'ready' && message.value.type !== 'hello')
      refuse({ code: 'hello-required', message: 'wait for welcome before anything else', field: '/type' });
    else handle(message.value, nowUs);
  }

  function handle(message: DeviceMessage, nowUs: number): void {
    switch (message.type) {
      case 'hello':
        hello(message);
        return;
      case 'open': {
        const problem = streams.begin(message);
        if (problem === null) output.openStream(message);
        else refuse(problem, message.ref);
        return;
      }
      case 'tombstone':
        if (streams.isDiscarded(message.ref)) streams.acknowledgeDiscarded(message.ref);
        else withStream(message.ref, (stream) => tombstone(stream, message));
        return;
      case 'close':
        if (streams.isDiscarded(message.ref)) streams.closeDiscarded(message.ref);
        else withStream(message.ref, (stream) => streams.close(stream, message));
        return;
      case 'probe':
        // Both stamps are the same moment: nothing waits between receiving and answering.
        send({ type: 'probe', id: message.id, t0Us: message.t0Us, t1Us: nowUs, t2Us: nowUs });
        return;
      case 'clock': {
        const { deviceUs, roundTripUs } = message;
        offsetUs = message.offsetUs;
        if (clocks.take(nowMs)) output.recordClock({ deviceUs, offsetUs, roundTripUs });
        else counters.skippedClocks++;
        return;
      }
      case 'commandReceived':
        output.commandReceived(message.id);
        return;
      case 'commandResult':
        output.commandResult(message);
        return;
      case 'reclaimed':
        if (reclaim!.answered(message)) tellCredit();
        else refuse({ code: 'invalid-field', message: 'sent less, granted more', field: '/durable' });
        return;
      case 'heartbeat':
      case 'bye':
        return;
    }
  }

  function hello(message: Extract<DeviceMessage, { type: 'hello' }>): void {
    if (phase !== 'hello') {
      refuse({ code: 'already-greeted', message: 'hello comes once' });
    } else if (message.version === PROTOCOL_VERSION) {
      phase = 'authenticating';
      output.authenticate(message.key ?? '');
    } else {
      const text = `this server speaks version ${PROTOCOL_VERSION}`;
      refuse({ code: 'unsupported-version', message: text, field: '/version' });
      close('version');
    }
  }

  function tombstone(stream: OpenStream, message: Extract<DeviceMessage, { type: 'tombstone' }>): void {
    const { from, to, reason, ref } = message;
    if (to <= from) {
      refuse({ code: 'invalid-field', message: 'a range is half-open and not empty', field: '/to' }, ref);
      return;
    }
    stream.wanted = subtract(stream.wanted, [{ from, to }]);
    stream.buffer.declareLost({ from, to, reason });
    output.due(stream.buffer);
  }

  /** What comes under a reference that the server has just given up was on its way: no fault of the device. */
  function withStream(ref: number, use: (stream: OpenStream) => void): void {
    const stream = streams.get(ref);
    if (stream !== undefined) use(stream);
    else if (!streams.wasReleased(ref)) refuse({ ...UNKNOWN_STREAM, field: '/ref' }, ref);
  }

  function data(bytes: Uint8Array, nowUs: number, atMs: number): void {
    if (phase === 'closed') return;
    nowMs = atMs;
    lastHeardMs = atMs;
    if (ledger === null || reclaim === null) {
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
    if (reclaim.heard(atMs)) tellCredit();
    const { frames, liveOnly, historical, sentUs } = decoded.value;
    const mark = { liveOnly, historical, sentUs, nowUs };
    for (let i = 0; i < frames.length; i++) {
      const frame = frames[i]!;
      const size = frameBytes(frame);
      if (!(liveOnly ? receiveLive(size) : ledger.receive(size))) {
        answerError({ code: 'credit-exceeded', message: 'more bytes than granted' }, frame.ref);
        close('creditExceeded');
        return;
      }
      if (streams.isDiscarded(frame.ref)) {
        counters.discardedFrames++;
        if (!liveOnly) ledger.settle(size);
        streams.acknowledgeDiscarded(frame.ref);
        continue;
      }
      const stream = streams.get(frame.ref);
      const error = stream === undefined ? UNKNOWN_STREAM : checkFrame(stream.buffer, frame);
      if (stream !== undefined && error === null) {
        accept(stream.buffer, frame, mark, ledger);
        continue;
      }
      if (!liveOnly) ledger.settle(size);
      if (stream === undefined && streams.wasReleased(frame.ref)) counters.lateFrames++;
      else {
        const problem = error ?? UNKNOWN_STREAM;
        if (!refuse({ ...problem, field: `/frames/${i}${problem.field ?? ''}` }, frame.ref)) return;
      }
    }
  }

  function accept(buffer: StreamBuffer, frame: DataFrame, mark: Mark, payer: CreditLedger): void {
    const stamped = stampFrame(buffer, frame, mark, offsetUs);
    counters.frames++;
    counters.readings += frame.count;
    if (mark.liveOnly) counters.liveOnlyFrames++;
    else {
      if (mark.historical) counters.historicalFrames++;
      buffer.push(stamped, payer, frameBytes(frame));
      output.due(buffer);
    }
    if (!mark.historical) output.live(buffer, stamped);
  }

  function receiveLive(bytes: number): boolean {
    liveReceivedBytes += bytes;
    return liveReceivedBytes <= liveGrantedBytes;
  }

  function sendAck(): void {
    const settled = streams.takeSettled();
    if (settled.length > 0) {
      liveGrantedBytes = liveReceivedBytes + sessionLimits.liveWindowBytes;
      send({ type: 'ack', streams: settled, credit: credit() });
    }
    streams.afterAck();
  }

  function authenticated(greeting: Greeting | null, nowUs: number): void {
    if (phase !== 'authenticating') return;
    if (greeting === null) {
      answerError({ code: 'unauthenticated', message: 'the device key is unknown or was revoked' });
      close('unauthenticated');
      return;
    }
    identity = greeting.identity;
    ledger = options.openLedger();
    const answerMs = options.heartbeatMs * 3;
    reclaim = createCreditReclaim({ ...options.reclaim, ledger, counters, startedMs: nowMs, answerMs });
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
    if (ledger === null || reclaim === null) {
      if (atMs - options.startedMs >= limits.helloMs) close('helloTimeout');
      return;
    }
    if (atMs - lastHeardMs >= options.heartbeatMs * 3) {
      close('silent');
      return;
    }
    streams.retryEnds();
    ledger.topUp();
    if (liveGrantedBytes - liveReceivedBytes < sessionLimits.liveWindowBytes / 2)
      liveGrantedBytes = liveReceivedBytes + sessionLimits.liveWindowBytes;
    const question = reclaim.tick(atMs);
    if (question !== null) {
      send(question);
      toldDurable = question.durable;
    }
    tellCredit();
    if (atMs - lastSentMs >= options.heartbeatMs) send({ type: 'heartbeat' });
  }

  function disconnected(): void {
    if (phase === 'closed') return;
    phase = 'closed';
    streams.releaseAll();
    ledger?.close();
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
    opened(request, answer) {
      if (phase === 'ready') streams.opened(request, answer);
    },
    command(command) {
      if (phase === 'ready') send({ type: 'command', ...command });
    },
    erased: (buffer) => streams.erased(buffer),
    lost: () => close('internal'),
    streamEnded: (buffer) => streams.ended(buffer),
    endFailed: (buffer) => streams.endFailed(buffer),
    sendAck,
    tick,
    disconnected,
  };
}

const UNKNOWN_STREAM: WireError = {
  code: 'unknown-stream',
  message: 'no stream is open under this reference',
};
