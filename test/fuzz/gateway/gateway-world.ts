/**
 * Owns the real gateway with everything around it that a case may move: connections, backend, store, clock and bus. It
 * performs one step at a time and checks after each what must always hold. Bound: LINES connections at once.
 */

import { createMemoryBus } from '#bus/memory-bus.ts';
import type { DeviceIdentity, FrameSource } from '#contract/readings.ts';
import { createGateway, defaultGatewayConfig, type Gateway } from '#ingest/gateway.ts';
import { committedTopic, readingsTopic } from '#ingest/live-publisher.ts';
import { decodeLive, LIVE_HEADER_BYTES, writeLiveHeader } from '#protocol/live-codec.ts';
import { limits } from '#protocol/limits.ts';
import type { DeviceMessage } from '#protocol/messages.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { answerModes, createBackendModel, type BackendModel } from '#test/fuzz/gateway/backend-model.ts';
import { createLine, type Line } from '#test/fuzz/gateway/line.ts';
import { referenceDecode, type ReferenceMessage } from '#test/fuzz/gateway/reference-decoder.ts';
import { definitions, devices, keyOf, sessions } from '#test/fuzz/gateway/universe.ts';
import type { Step } from '#test/fuzz/step.ts';
import { hold, type Notes } from '#test/fuzz/target.ts';

export const LINES = 4;
/** A little more than the control messages that may come at once. */
const FLOOD = 1_100;
/** Small, so that every bound is met. */
const config = {
  ...defaultGatewayConfig,
  creditPoolBytes: 96 * 1024,
  windowInitialBytes: 8 * 1024,
  windowMaxBytes: 64 * 1024,
  maxBuffers: 6,
};
const messageTypes = [
  'hello',
  'open',
  'tombstone',
  'close',
  'probe',
  'clock',
  'commandReceived',
  'commandResult',
  'reclaimed',
  'heartbeat',
  'bye',
];

export interface GatewayWorld {
  perform(step: Step): Promise<void>;
  /** Everybody leaves, everything is answered and stored: nothing may be left. */
  finish(): Promise<void>;
}

/** Lets everything that has been answered be heard. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface World {
  readonly gateway: Gateway;
  readonly clock: ReturnType<typeof createManualClock>;
  readonly model: BackendModel;
  readonly notes: Notes;
  readonly lines: (Line | null)[];
  /** Every line there ever was, for the count of errors. */
  readonly all: Line[];
  readonly due: Set<FrameSource>;
  readonly messages: WeakMap<ArrayBufferLike, { device: DeviceIdentity; message: ReferenceMessage }>;
  current: Line | null;
}

export function createGatewayWorld(notes: Notes): GatewayWorld {
  const clock = createManualClock();
  const bus = createMemoryBus();
  const model = createBackendModel(
    {
      currentDevice: () => world.current?.device ?? null,
      messageOf: (buffer) => world.messages.get(buffer),
    },
    notes,
  );
  const { backend } = model;
  const silent = (): void => undefined;
  const gateway = createGateway({
    backend: {
      ...backend,
      authenticate(key, address) {
        const line = world.current;
        if (line !== null) line.device = devices.find((_, i) => keyOf(i) === key) ?? null;
        return backend.authenticate(key, address);
      },
    },
    store: {
      due(source) {
        const device = world.current?.device;
        hold(
          device?.deviceId === source.handle.deviceId,
          'the store gets from a device what is that device’s',
          source.handle.key,
        );
        world.due.add(source);
      },
      renew: () => notes.reached('renewed'),
    },
    bus,
    clock,
    log: { debug: silent, info: silent, warn: silent, error: silent },
    random: () => 0.5,
    config,
  });
  const world: World = {
    gateway,
    clock,
    model,
    notes,
    lines: Array.from({ length: LINES }, () => null),
    all: [],
    due: new Set(),
    messages: new WeakMap(),
    current: null,
  };
  for (const session of sessions) watch(bus, session);
  return { perform: (step) => perform(world, step), finish: () => finish(world) };
}

/** Frames of a session's topic are of that session, and can be read. */
function watch(bus: ReturnType<typeof createMemoryBus>, session: string): void {
  const streams = new Set(definitions.filter((one) => one.session === session).map(({ stream }) => stream));
  bus.subscribe(readingsTopic(session), (payload) => {
    const bytes = new Uint8Array(LIVE_HEADER_BYTES + payload.length);
    writeLiveHeader(bytes, { channel: 1, offset: 1, publishedUs: 0 });
    bytes.set(payload, LIVE_HEADER_BYTES);
    const live = decodeLive(bytes);
    hold(live.ok, 'what is published can be read');
    for (const frame of live.value.frames)
      hold(streams.has(frame.streamId), 'a session shows its own streams');
  });
  bus.subscribe(committedTopic(session), (payload) => {
    const list = JSON.parse(Buffer.from(payload).toString()) as { stream: string; next: number }[];
    for (const { stream, next } of list)
      hold(streams.has(stream) && Number.isSafeInteger(next), 'a session shows its own progress', {
        stream,
        next,
      });
  });
}

async function perform(world: World, step: Step): Promise<void> {
  const { clock, model } = world;
  const n = Math.abs(Math.trunc(step.n ?? 0)) || 0;
  const who = (step.who ?? 0) % LINES;
  const line = world.lines[who] ?? null;
  world.current = line;
  switch (step.do) {
    case 'connect':
      connect(world, who, step.n ?? -1);
      break;
    case 'text':
      if (line !== null) say(world, line, step.text ?? '');
      break;
    case 'flood':
      // Each of another reference, and far more than a second allows.
      for (let i = 0; line !== null && i < n % FLOOD; i++)
        say(world, line, (step.text ?? '').replace('"ref":0', `"ref":${i}`));
      break;
    case 'data':
      if (line !== null) send(world, line, (step.bytes ?? new Uint8Array(0)).slice());
      break;
    case 'gone':
      if (line !== null) leave(world, who, line);
      break;
    case 'mode':
      model.mode = answerModes[n % answerModes.length]!;
      break;
    case 'answer':
      model.pending.splice(n % Math.max(1, model.pending.length), 1)[0]?.();
      break;
    case 'flush':
    case 'part':
    case 'refuse':
    case 'rewind':
    case 'unknown':
    case 'erase':
      world.current = null;
      moveStore(world, step.do, n);
      break;
    case 'revoke':
      model.revoked.add(n % devices.length);
      world.current = null;
      world.gateway.disconnect(devices[n % devices.length]!.deviceId);
      break;
    case 'restore':
      model.incarnation++;
      break;
    case 'drain':
      world.gateway.drain();
      break;
    case 'advance':
      world.current = null;
      clock.advance(n % 20_000);
      break;
    default:
  }
  world.current = null;
  if (step.do === 'turn') {
    await turn();
    checkBounds(world);
  }
}

function connect(world: World, who: number, known: number): void {
  const before = world.lines[who];
  if (before !== undefined && before !== null) leave(world, who, before);
  const line = createLine(world.model.epochs, world.notes);
  const device = known < 0 ? null : devices[Math.trunc(known) % devices.length]!;
  line.device = device ?? null;
  world.lines[who] = line;
  world.all.push(line);
  world.current = line;
  line.connection = world.gateway.connect(line.transport, device ?? null);
}

function leave(world: World, who: number, line: Line): void {
  line.connection.gone();
  line.closedBy ??= 'gone';
  line.phase = 'closed';
  world.lines[who] = null;
}

function say(world: World, line: Line, text: string): void {
  const { phase } = line;
  const isOpen = line.closedBy === null;
  const said = understood(text);
  if (said.type === 'hello' && phase === 'new') line.phase = 'greeting';
  line.stepErrors = [];
  if (said.type === 'reclaimed') line.answers(text);
  line.connection.text(text);
  if (said.open !== null && line.stepErrors.length === 0) line.asked.set(said.open.ref, said.open.key);
  world.notes.reached(isOpen ? `text ${said.type} ${phase} ${outcome(line)}` : 'text closed');
  if (!isOpen) hold(line.stepErrors.length === 0, 'who was closed is not answered');
  else if (said.type === null || !messageTypes.includes(said.type))
    hold(
      line.stepErrors.length === 1,
      'what cannot be understood is answered with one error',
      text.slice(0, 200),
    );
  else hold(line.stepErrors.length <= 1, 'a message is answered with at most one error');
  // Refused, it greets nobody.
  if (line.phase === 'greeting' && phase === 'new' && line.stepErrors.length > 0) line.phase = 'new';
}

/** The type that a text names, and what an `open` asks for, as far as it can be read at all. */
function understood(text: string): { type: string | null; open: { ref: number; key: string } | null } {
  try {
    const value = JSON.parse(text) as Partial<Extract<DeviceMessage, { type: 'open' }>> | null;
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (!isObject || text.length > limits.controlBytes) return { type: null, open: null };
    const type = typeof value.type === 'string' && messageTypes.includes(value.type) ? value.type : null;
    const { ref, definition, epoch } = value;
    const isOpen = type === 'open' && ref !== undefined && definition !== undefined;
    return { type, open: isOpen ? { ref, key: `${definition?.stream}/${epoch}` } : null };
  } catch {
    return { type: null, open: null };
  }
}

function outcome({ stepErrors, closedBy }: Line): string {
  return `${stepErrors.join(' ') || 'ok'}${closedBy === null ? '' : ` ${closedBy}`}`;
}

function send(world: World, line: Line, bytes: Uint8Array<ArrayBuffer>): void {
  const { session } = world.gateway.statistics;
  const { phase } = line;
  const isOpen = line.closedBy === null;
  const message = referenceDecode(bytes);
  if (message !== null && phase === 'ready') {
    world.messages.set(bytes.buffer, { device: line.device!, message });
    const cost = message.frames.reduce((sum, frame) => sum + frame.cost, 0);
    if (message.isLiveOnly) line.used.live += cost;
    else line.used.durable += cost;
  }
  const taken = (): number => session.frames + session.discardedFrames + session.lateFrames;
  const before = { taken: taken(), frames: session.frames };
  line.stepErrors = [];
  line.connection.binary(bytes);
  const kinds = [...new Set(line.stepErrors)].join(' ');
  const what = message === null ? 'none' : message.isLiveOnly ? 'live' : 'valid';
  world.notes.reached(
    isOpen ? `data ${phase} ${what} ${kinds || 'ok'} ${line.closedBy ?? ''}` : 'data closed',
  );
  if (!isOpen) hold(taken() === before.taken && line.stepErrors.length === 0, 'who was closed is not heard');
  else if (phase !== 'ready' || message === null)
    hold(
      line.stepErrors.length === 1 && taken() === before.taken,
      'what is no data message is answered with one error, and nothing of it is taken',
      Buffer.from(bytes.subarray(0, 64)).toString('hex'),
    );
  else if (line.closedBy === null)
    hold(
      taken() - before.taken + line.stepErrors.length === message.frames.length,
      'every frame is taken, dropped as late or erased, or answered',
      { errors: line.stepErrors, taken: taken() - before.taken, frames: message.frames.length },
    );
}

function moveStore(world: World, what: string, n: number): void {
  const sources = [...world.due];
  const source = sources[n % Math.max(1, sources.length)];
  if (source === undefined) return;
  world.notes.reached(`store ${what}`);
  if (what === 'flush') {
    world.due.clear();
    for (const one of sources) flush(world, one, Number.MAX_SAFE_INTEGER);
  } else if (what === 'part') flush(world, source, 1 + (n % 50));
  else if (what === 'refuse') {
    world.due.delete(source);
    source.take(1);
    source.refused('the database refuses what this stream sends');
  } else if (what === 'rewind') source.rewind(n % 300);
  else {
    // Erased, or opened just before the database crashed: the store does not know it.
    if (what === 'erase') world.model.erasedStreams.add(source.handle.definition.stream);
    world.due.delete(source);
    source.take(100);
    source.unknown();
  }
}

function flush(world: World, source: FrameSource, maxReadings: number): void {
  world.model.flush(source, maxReadings);
  if (source.pendingReadings() > 0) world.due.add(source);
}

function checkBounds({ gateway, lines, all }: World): void {
  const { credit, buffers, connections, session } = gateway.statistics;
  hold(
    credit.reservedBytes >= 0 && credit.reservedBytes <= credit.totalBytes,
    'credit is bounded by its pool',
  );
  hold(buffers <= config.maxBuffers, 'buffers are bounded', buffers);
  hold(connections <= LINES, 'a connection that is gone is forgotten');
  for (const line of lines)
    hold(line === null || line.refs.size <= 256, 'streams of a connection are bounded');
  const counted = Object.values(session.errors).reduce((sum, count) => sum + count, 0);
  const heard = all.reduce((sum, { errors }) => sum + errors, 0);
  hold(counted === heard, 'every error that is told is counted, and only those', { counted, heard });
}

async function finish(world: World): Promise<void> {
  const { gateway, clock, model, lines } = world;
  for (const [who, line] of lines.entries()) if (line !== null) leave(world, who, line);
  model.mode = 'now';
  while (model.pending.length > 0) {
    for (const answer of model.pending.splice(0)) answer();
    await turn();
  }
  await turn();
  while (world.due.size > 0) moveStore(world, 'flush', 0);
  clock.advance(2_000);
  await turn();
  checkBounds(world);
  const { credit, buffers, connections } = gateway.statistics;
  hold(credit.reservedBytes === 0, 'all credit comes back', credit.reservedBytes);
  hold(buffers === 0 && connections === 0, 'nothing is kept of those who are gone', { buffers, connections });
  gateway.stop();
  hold(clock.timerCount === 0, 'a stopped gateway waits for nothing', clock.timerCount);
}
