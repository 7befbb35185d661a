/**
 * Owns the device client with everything around it: its clock, its socket, and a record of what it sent. Whatever a server
 * says, a device sends valid messages only, within its credit, of streams that are open, and never another reading under a
 * number that it gave before. Bounds are the store's.
 */

import { AppError } from '#base/errors.ts';
import { createMessageParser } from '#contract/validation.ts';
import { crc32 } from '#protocol/crc32.ts';
import { decodeData, frameBytes } from '#protocol/data-codec.ts';
import { deviceMessageSchemas, type DeviceMessage } from '#protocol/messages.ts';
import {
  createDevice,
  type Device,
  type DeviceSocketHandlers,
  type DeviceStream,
} from '#sdk/device-runtime.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { parseServerMessage } from '#sdk/device-parse.ts';
import { referenceDecode } from '#test/fuzz/gateway/reference-decoder.ts';
import type { Step } from '#test/fuzz/step.ts';
import { hold, type Notes } from '#test/fuzz/target.ts';
import { createWatchedClock } from '#test/fuzz/watched-clock.ts';

const STORE_BYTES = 64 * 1024;
const parse = createMessageParser<DeviceMessage>(deviceMessageSchemas, 16 * 1024);

interface Socket {
  readonly handlers: DeviceSocketHandlers;
  state: 'opening' | 'open' | 'closed';
  /** Streams by reference: as asked for, and whether the server said that it is open. */
  readonly refs: Map<number, { readonly key: string; readonly readingBytes: number; isOpen: boolean }>;
  readonly granted: { durable: number; live: number };
  readonly used: { durable: number; live: number };
  isWelcomed: boolean;
}

interface World {
  readonly device: Device;
  readonly clock: ReturnType<typeof createWatchedClock>;
  readonly notes: Notes;
  readonly streams: DeviceStream[];
  /** Checksums of readings by stream, epoch and number. */
  readonly numbered: Map<string, number>;
  socket: Socket | null;
  /** The newest, unanswered. */
  probe: { readonly id: number; readonly t0Us: number } | null;
  bufferedBytes: number;
  pushed: number;
}

export interface DeviceWorld {
  perform(step: Step): void;
  finish(): Promise<void>;
}

export function createDeviceWorld(notes: Notes): DeviceWorld {
  const clock = createWatchedClock();
  const store = memoryStore({ maxBytes: STORE_BYTES, epoch: '00000000000000aa' });
  const world: World = {
    device: createDevice({
      store,
      clock,
      random: { next: () => 0.5 },
      onCommand: ({ name, argument }) => `${name} ${argument}`,
      onEvent: (event) =>
        notes.reached(`event ${event.type}${event.type === 'state' ? ` ${event.phase}` : ''}`),
      openSocket: (handlers) => openSocket(() => world, handlers),
    }),
    clock,
    notes,
    streams: [],
    numbered: new Map(),
    socket: null,
    probe: null,
    bufferedBytes: 0,
    pushed: 0,
  };
  // The device connects while it is made.
  world.socket = early;
  early = null;
  return { perform: (step) => perform(world, step), finish: () => finish(world) };
}

/** The socket that was opened before its world was there. */
let early: Socket | null = null;

function openSocket(
  worldOf: () => World,
  handlers: DeviceSocketHandlers,
): ReturnType<Parameters<typeof createDevice>[0]['openSocket']> {
  const socket: Socket = {
    handlers,
    state: 'opening',
    refs: new Map(),
    granted: { durable: 0, live: 0 },
    used: { durable: 0, live: 0 },
    isWelcomed: false,
  };
  try {
    const world = worldOf();
    hold(world.socket === null || world.socket.state === 'closed', 'one connection at a time');
    world.socket = socket;
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    early = socket;
  }
  return {
    sendText: (text) => sentText(worldOf(), socket, text),
    sendBinary: (bytes) => sentBinary(worldOf(), socket, bytes),
    bufferedBytes: () => worldOf().bufferedBytes,
    close(code) {
      hold(socket.state !== 'closed', 'closed once');
      hold(code === 1000 || (code >= 4000 && code < 5000), 'a close code is ours', code);
      socket.state = 'closed';
    },
  };
}

function sentText(world: World, socket: Socket, text: string): void {
  hold(socket.state === 'open', 'nothing is sent before the connection is open, or after it closed');
  const message = parse(text);
  hold(message.ok, 'a device says what its schema says', text.slice(0, 300));
  world.notes.reached(`sent ${message.value.type}`);
  hold(
    message.value.type === 'hello' || socket.isWelcomed,
    'hello comes first, and then the welcome',
    message.value.type,
  );
  if (message.value.type === 'probe') world.probe = message.value;
  if (message.value.type === 'open') {
    const { ref, epoch, definition } = message.value;
    const readingBytes = definition.axes.length * (definition.encoding === 'float32' ? 4 : 2);
    const key = `${definition.stream}/${epoch}`;
    const before = socket.refs.get(ref);
    // Asked for again while it is open, to compare what is held, it stays open.
    if (before?.key !== key) socket.refs.set(ref, { key, readingBytes, isOpen: false });
  } else if ('ref' in message.value)
    hold(socket.refs.has(message.value.ref), 'a message is of a stream that was asked for');
}

function sentBinary(world: World, socket: Socket, bytes: Uint8Array): void {
  hold(socket.state === 'open' && socket.isWelcomed, 'readings are sent on open connections');
  const decoded = decodeData(bytes);
  hold(decoded.ok && referenceDecode(bytes) !== null, 'a device sends messages that are some');
  const { frames, liveOnly, historical } = decoded.value;
  world.notes.reached(`sent ${liveOnly ? 'live-only' : historical ? 'historical' : 'plain'} readings`);
  const account = liveOnly ? 'live' : 'durable';
  for (const frame of frames) {
    const open = socket.refs.get(frame.ref);
    hold(open?.isOpen === true, 'readings are of streams that the server has opened', frame.ref);
    hold(frame.payload.length === frame.count * open.readingBytes, 'a frame holds whole readings');
    socket.used[account] += frameBytes(frame);
    hold(socket.used[account] <= socket.granted[account], 'no account is overdrawn', {
      account,
      ...socket.used,
    });
    for (let i = 0; i < frame.count; i++) {
      const name = `${open.key}/${frame.firstSeq + i}`;
      const sum = crc32(frame.payload.subarray(i * open.readingBytes, (i + 1) * open.readingBytes));
      const before = world.numbered.get(name);
      hold(before === undefined || before === sum, 'a number is of one reading', name);
      world.numbered.set(name, sum);
    }
  }
}

function perform(world: World, step: Step): void {
  const { device, clock, socket, streams } = world;
  const n = Number.isSafeInteger(step.n) ? step.n! : 0;
  const stream = streams[(step.who ?? 0) % Math.max(1, streams.length)];
  try {
    switch (step.do) {
      case 'stream':
        if (streams.length < 6) streams.push(openStream(device, Math.abs(n) % 3));
        break;
      case 'push':
        if (stream !== undefined) push(world, stream, 1 + (Math.abs(n) % 700));
        break;
      case 'lose':
        stream?.lose(1 + (Math.abs(n) % 1_000));
        break;
      case 'end':
        void stream?.end();
        break;
      case 'opened':
        if (socket?.state === 'opening') {
          socket.state = 'open';
          socket.handlers.opened();
        }
        break;
      case 'text':
        if (socket?.state === 'open') hear(world, socket, step.text ?? '');
        break;
      case 'probed':
        // The server's clock is any; a probe is answered by its number and time alone.
        if (socket?.state === 'open' && world.probe !== null) {
          const { id, t0Us } = world.probe;
          hear(world, socket, JSON.stringify({ type: 'probe', id, t0Us, t1Us: n, t2Us: n }));
        }
        break;
      case 'bytes':
        if (socket?.state === 'open') socket.handlers.message(step.bytes ?? new Uint8Array(0));
        break;
      case 'closed':
        if (socket !== null && socket.state !== 'closed') {
          socket.state = 'closed';
          socket.handlers.closed(n, 'fuzz');
        }
        break;
      case 'busy':
        world.bufferedBytes = Math.abs(n);
        break;
      case 'advance':
        clock.advance(Math.abs(n) % 100_000);
        break;
      case 'jump':
        // A device clock may be wrong by any amount that a time can express.
        clock.jumpWallUs((n % 8e15) - clock.nowUs());
        break;
      case 'reconnect':
        device.reconnect();
        break;
      default:
    }
  } catch (error) {
    // What the program did wrong: a stream that has ended, a time out of range, a store without a place.
    if (!(error instanceof AppError)) throw error;
    world.notes.refused(error.code);
  }
  const { storeBytes, bufferedReadings, settledReadings, durableCreditLeft } = device.status();
  hold(storeBytes <= STORE_BYTES, 'the store is bounded', storeBytes);
  hold(bufferedReadings >= 0 && settledReadings >= 0 && durableCreditLeft >= 0, 'counts are counts');
}

function openStream(device: Device, kind: number): DeviceStream {
  const axes = [{ name: 'x', unit: '1' }];
  const form = kind === 1 ? { encoding: 'int16' as const, scale: [0.5] } : {};
  return device.stream({
    segment: 'left-foot',
    sensor: 'imu',
    axes,
    rateHz: 200,
    clock: kind === 2 ? 'none' : 'device',
    ...form,
  });
}

/** Each reading another value, so that two under one number are told apart. */
function push(world: World, stream: DeviceStream, count: number): void {
  const values = Array.from({ length: count }, () => world.pushed++ % 16_000);
  stream.push(values);
}

function hear({ notes, device }: World, socket: Socket, text: string): void {
  const parsed = parseServerMessage(text);
  const message = parsed.ok ? parsed.value : null;
  if (message?.type === 'welcome' && message.version === 1) socket.isWelcomed = true;
  if (message !== null && 'credit' in message && socket.isWelcomed) {
    socket.granted.durable = Math.max(socket.granted.durable, message.credit.durable);
    socket.granted.live = Math.max(socket.granted.live, message.credit.live);
  }
  if (message?.type === 'reclaim' && socket.isWelcomed) {
    const kept = Math.max(socket.used.durable, message.durable);
    socket.granted.durable = Math.min(socket.granted.durable, kept);
  }
  if (message?.type === 'opened') {
    const open = socket.refs.get(message.ref);
    if (open !== undefined && message.discarded !== true) open.isOpen = true;
  }
  const { phase } = device.status();
  socket.handlers.message(text);
  const after = device.status().phase;
  notes.reached(
    `heard ${message === null ? 'none' : message.type} ${phase}${after === phase ? '' : ` to ${after}`}`,
  );
}

async function finish(world: World): Promise<void> {
  const { device, clock } = world;
  await Promise.resolve();
  // Commands are answered in a later turn.
  await Promise.resolve();
  await Promise.resolve();
  const closing = device.close({ drainMs: 0 });
  clock.advance(0);
  await closing;
  hold(clock.timerCount === 0, 'a closed device waits for nothing', clock.timerCount);
}
