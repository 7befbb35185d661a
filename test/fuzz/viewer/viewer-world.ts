/**
 * Owns the real hub with its bus, its clock and its viewers: it performs one step at a time, and holds what is written to a
 * viewer against what that viewer may see. Bound: VIEWERS connections at once.
 */

import { isDeepStrictEqual } from 'node:util';

import { createMemoryBus } from '#bus/memory-bus.ts';
import { createMemoryPresence } from '#bus/memory-presence.ts';
import type { Presence } from '#bus/presence.ts';
import {
  hubMessageSchemas,
  viewerMessageSchemas,
  type HubMessage,
  type ViewerMessage,
} from '#contract/live-messages.ts';
import { createMessageParser } from '#contract/validation.ts';
import { AppError } from '#base/errors.ts';
import type { Channels } from '#live/channels.ts';
import { defaultHubLimits } from '#live/hub-limits.ts';
import { createHub, type Hub } from '#live/hub.ts';
import type { Outgoing, Transport, ViewerPort } from '#live/transport.ts';
import { closeCodes, errorCodes } from '#protocol/codes.ts';
import { LIVE_HEADER_BYTES } from '#protocol/live-codec.ts';
import type { Position } from '#protocol/publication.ts';
import type { Step } from '#test/fuzz/step.ts';
import { decodeFrames } from '#test/fuzz/sockets/wire-frames.ts';
import { hold, type Notes } from '#test/fuzz/target.ts';
import { createWatchedClock } from '#test/fuzz/watched-clock.ts';
import { testPrincipal } from '#test/support/principals.ts';
import { createTestChannels, type TestRule } from '#test/support/test-channels.ts';

export const VIEWERS = 3;
/** Of the first organisation. */
export const GOOD_KEY = 'kymo_acc_good';
/** The even ones are the first organisation's, the odd ones the second's. */
export const SESSIONS = 4;
/** Small, so that every bound is met. */
const limits = {
  ...defaultHubLimits,
  viewers: 2,
  subscriptionsPerViewer: 3,
  progressEntries: 4,
  ringTicks: 4,
  tailMessages: 4,
  restingMessages: 2,
  recoveryMessages: 3,
  recoveryBytes: 500,
  presenceLeft: 2,
  underWayPerViewer: 2,
  publishBurst: 20,
  subjectPublishBurst: 30,
  controlUnsentBytes: 2_048,
};

const sessionOf = (n: number): string => `01900000-0000-7000-8000-00000000e0${String(n).padStart(2, '0')}`;
export const channelOf = (n: number): string => `session/${sessionOf(n)}/readings`;
/** Whoever may look at them may: what they carry is told apart by organisation all the same. */
export const rooms = ['room/a', 'board/a', 'pointer/a'] as const;
const orgOf = (n: number): string => `o${n % 2}`;
const channels = Array.from({ length: SESSIONS }, (_, n) => channelOf(n));

const parseHub = createMessageParser<HubMessage>(hubMessageSchemas, 1024 * 1024);
const parseViewer = createMessageParser<ViewerMessage>(viewerMessageSchemas, 16 * 1024);

interface Seat {
  readonly org: number;
  port: ViewerPort;
  isClosed: boolean;
  isSlow: boolean;
  /** Writes that have not left. */
  readonly unsent: (() => void)[];
  /** Channel numbers that the hub has told, by number. */
  readonly numbers: Map<number, string>;
  /** Requests and answers by number; of the numbers that a pattern had, anything may be said. */
  readonly asked: Map<number, number>;
  readonly answered: Map<number, number>;
  readonly ofPatterns: Set<number>;
  /** Where it is in each channel that has positions. */
  readonly positions: Map<string, Position>;
  readonly following: Set<string>;
  errors: number;
  stepErrors: string[];
}

interface World {
  readonly hub: Hub;
  readonly engine: Channels;
  readonly presence: Presence;
  readonly bus: ReturnType<typeof createMemoryBus>;
  readonly clock: ReturnType<typeof createWatchedClock>;
  readonly notes: Notes;
  readonly seats: (Seat | null)[];
  readonly all: Seat[];
  readonly turnEnds: (() => void)[];
  readonly pending: (() => void)[];
  mode: number;
  /** The viewer whose message is handled. */
  current: Seat | null;
}

export interface ViewerWorld {
  perform(step: Step): Promise<void>;
  finish(): Promise<void>;
}

export function createViewerWorld(notes: Notes): ViewerWorld {
  const clock = createWatchedClock();
  const bus = createMemoryBus();
  const rule: TestRule = async (name, { orgId }) => {
    hold(world.current === null || !world.current.isClosed, 'nothing is looked up for who was closed');
    const { mode } = world;
    if (mode === 1) await new Promise<void>((resolve) => world.pending.push(resolve));
    if (mode === 2) throw new AppError('store-unavailable', 'inner detail', { temporary: true });
    if (rooms.some((room) => room === name)) return true;
    return channels.indexOf(name) >= 0 && orgOf(channels.indexOf(name)) === orgId;
  };
  const presence = createMemoryPresence();
  const engine = createTestChannels({ clock, bus, rule, presence });
  const hub = createHub({
    channels: engine,
    clock,
    limits,
    random: { next: () => 0.5 },
    endOfTurn: (callback) => void world.turnEnds.push(callback),
    onFailure: () => notes.reached('a failure'),
    authenticate: async (key) => (key === GOOD_KEY ? testPrincipal({ orgId: orgOf(0) }) : null),
  });
  const world: World = {
    hub,
    engine,
    presence,
    bus,
    clock,
    notes,
    seats: Array.from({ length: VIEWERS }, () => null),
    all: [],
    turnEnds: [],
    pending: [],
    mode: 0,
    current: null,
  };
  return { perform: (step) => perform(world, step), finish: () => finish(world) };
}

async function perform(world: World, step: Step): Promise<void> {
  const n = Math.abs(Math.trunc(step.n ?? 0)) || 0;
  const who = (step.who ?? 0) % VIEWERS;
  const seat = world.seats[who] ?? null;
  world.current = seat;
  switch (step.do) {
    case 'connect':
      if (seat !== null) seat.port.ended();
      world.seats[who] = sit(world, n % 2);
      break;
    case 'text':
      if (seat !== null) say(world, seat, step.text ?? '');
      break;
    case 'binary':
      seat?.port.receiveBinary();
      break;
    case 'heard':
      seat?.port.heard();
      break;
    case 'gone':
      if (seat !== null) leave(world, who, seat);
      break;
    case 'slow':
      if (seat !== null) setSlow(seat, n % 2 === 1);
      break;
    case 'readings':
      // Nobody on the bus says what a payload holds: here it is the session's own byte.
      world.bus.publish(channelOf(n % SESSIONS), new Uint8Array(step.bytes?.length ?? 0).fill(n % SESSIONS));
      break;
    case 'publish':
      world.current = null;
      await publish(world, n);
      break;
    case 'progress':
      world.bus.publish(`session/${sessionOf(n % SESSIONS)}/committed`, Buffer.from(step.text ?? ''));
      break;
    case 'mode':
      world.mode = n % 4;
      break;
    case 'answer':
      world.pending.splice(n % Math.max(1, world.pending.length), 1)[0]?.();
      break;
    case 'advance':
      world.current = null;
      world.clock.advance(n % 20_000);
      break;
    case 'drain':
      world.current = null;
      void world.hub.drain();
      break;
    default:
  }
  world.current = null;
  if (step.do === 'turn') await turn(world);
}

/** The server says something in a room of either organisation, which says which it is of. */
async function publish({ engine }: World, n: number): Promise<void> {
  const org = n % 2;
  const name = rooms[Math.floor(n / 2) % rooms.length]!;
  const { definition, params } = engine.find(name)!;
  const target = { orgId: orgOf(org), params: params as never };
  await engine.publishAs(definition, target, { event: 'message', data: { text: `of ${org}` } });
}

/** What was answered is heard, then the turn of the event loop ends. */
async function turn(world: World): Promise<void> {
  await settled();
  for (const callback of world.turnEnds.splice(0)) callback();
  await settled();
  const { counters } = world.hub;
  hold(counters.viewers <= limits.viewers, 'viewers are bounded', counters.viewers);
  const counted = Object.values(counters.errorsByCode).reduce((sum, count) => sum + count, 0);
  const told = world.all.reduce((sum, { errors }) => sum + errors, 0);
  hold(counted >= told, 'every error that is told is counted', { counted, told });
}

/** Every promise that can settle by itself has. */
async function settled(): Promise<void> {
  for (let i = 0; i < 40; i++) await Promise.resolve();
}

function sit(world: World, org: number): Seat {
  const seat: Seat = {
    org,
    port: null as unknown as ViewerPort,
    isClosed: false,
    isSlow: false,
    unsent: [],
    numbers: new Map(),
    asked: new Map(),
    answered: new Map(),
    ofPatterns: new Set(),
    positions: new Map(),
    following: new Set(),
    errors: 0,
    stepErrors: [],
  };
  const transport: Transport = {
    write(items, sent) {
      hold(!seat.isClosed, 'nothing is written after the close');
      for (const item of items) checkItem(world, seat, item);
      world.notes.reached(`write of ${Math.min(items.length, 6)}${seat.isSlow ? ' to a slow one' : ''}`);
      if (seat.isSlow) seat.unsent.push(sent);
      else sent();
      hold(seat.unsent.length < 2_000, 'what waits for a slow viewer is bounded');
    },
    close(reason) {
      hold(!seat.isClosed, 'closed once');
      hold(Object.hasOwn(closeCodes, reason), 'a close has a known code', reason);
      world.notes.reached(`close ${reason}`);
      world.notes.refused(`close ${reason}`);
      seat.isClosed = true;
    },
  };
  world.all.push(seat);
  seat.port = world.hub.connect(transport, testPrincipal({ orgId: orgOf(org) }));
  return seat;
}

function checkItem(world: World, seat: Seat, { framed, isText }: Outgoing): void {
  const { frames, rest } = decodeFrames(Buffer.from(framed));
  const [frame] = frames;
  hold(frames.length === 1 && rest.length === 0 && frame !== undefined, 'an item is one whole frame');
  hold(
    frame.fin && frame.rsv === 0 && !frame.isMasked && frame.opcode === (isText ? 1 : 2),
    'a frame is plain',
  );
  if (!isText) return checkTick(seat, frame.payload);
  const message = parseHub(frame.payload.toString());
  hold(message.ok, 'the hub says what its schema says', frame.payload.toString().slice(0, 300));
  heard(world, seat, message.value);
}

function checkTick(seat: Seat, payload: Buffer): void {
  const name = seat.numbers.get(payload.readUInt32LE(4));
  hold(name !== undefined, 'readings come of channels that were joined');
  const session = channels.indexOf(name);
  hold(session % 2 === seat.org, 'readings come of the viewer’s own organisation', name);
  hold(
    payload.subarray(LIVE_HEADER_BYTES).every((byte) => byte === session),
    'readings are of the session that was asked for',
    name,
  );
}

function heard(world: World, seat: Seat, message: HubMessage): void {
  world.notes.reached(`said ${message.type}`);
  if ('id' in message && message.id !== undefined) countUp(seat.answered, message.id);
  if (message.type === 'subscribed') {
    const session = channels.indexOf(message.channel);
    hold(
      rooms.some((room) => room === message.channel) || session % 2 === seat.org,
      'only what is permitted is joined',
      message.channel,
    );
    seat.numbers.set(message.number, message.channel);
    const known = seat.positions.get(message.channel);
    if (known !== undefined && message.position !== undefined)
      hold(isDeepStrictEqual(known, message.position), 'asked again, it is where it was', message);
    if (message.position !== undefined) seat.positions.set(message.channel, message.position);
    seat.following.add(message.channel);
  } else if (message.type === 'unsubscribed') {
    seat.following.delete(message.channel);
    seat.positions.delete(message.channel);
  } else if (message.type === 'message') heardMessage(seat, message);
  else if (message.type === 'reset') seat.positions.set(message.channel, message.position);
  else if (message.type === 'presence')
    hold(seat.following.has(message.channel), 'comings and goings are of channels that were joined');
  else if (message.type === 'committed') {
    hold(seat.numbers.has(message.channel), 'progress comes of channels that were joined');
  } else if (message.type === 'error') {
    hold(Object.hasOwn(errorCodes, message.code), 'an error has a known code', message.code);
    seat.errors++;
    seat.stepErrors.push(message.code);
    world.notes.refused(message.code);
  }
}

function heardMessage(seat: Seat, message: Extract<HubMessage, { readonly type: 'message' }>): void {
  const { channel, offset = 0, data, by } = message;
  hold(seat.following.has(channel), 'messages come of channels that were joined', channel);
  if (by === undefined)
    hold(
      (data as { text: string }).text === `of ${seat.org}`,
      'messages are of the own organisation',
      message,
    );
  const known = seat.positions.get(channel);
  if (known === undefined)
    return hold(channel.startsWith('pointer/'), 'only class live has no position', channel);
  const isNext = channel.startsWith('board/') ? offset > known.offset : offset === known.offset + 1;
  hold(isNext, 'messages come once and in order', { known, offset });
  seat.positions.set(channel, { epoch: known.epoch, offset });
}

function countUp(counts: Map<number, number>, id: number): void {
  counts.set(id, (counts.get(id) ?? 0) + 1);
}

function say(world: World, seat: Seat, text: string): void {
  const message = parseViewer(text);
  const isOpen = !seat.isClosed;
  seat.stepErrors = [];
  if (isOpen && message.ok && 'id' in message.value) {
    const { value } = message;
    countUp(seat.asked, value.id);
    if (value.type === 'subscribe' && value.channel.includes('*')) seat.ofPatterns.add(value.id);
  }
  const answered = new Map(seat.answered);
  seat.port.receiveText(text);
  const type = message.ok ? message.value.type : 'none';
  world.notes.reached(`text ${type} ${isOpen ? seat.stepErrors.join(' ') || 'ok' : 'closed'}`);
  if (isOpen && !message.ok && !seat.isClosed) {
    hold(seat.stepErrors.length === 1, 'what is no request is answered with one error', text.slice(0, 200));
    // An error that names a request answers none that was counted.
    for (const id of seat.answered.keys()) seat.answered.set(id, answered.get(id) ?? 0);
  }
}

function setSlow(seat: Seat, isSlow: boolean): void {
  seat.isSlow = isSlow;
  if (!isSlow) for (const sent of seat.unsent.splice(0)) sent();
}

function leave(world: World, who: number, seat: Seat): void {
  seat.isClosed = true;
  seat.port.ended();
  world.seats[who] = null;
}

async function finish(world: World): Promise<void> {
  const { hub, bus, clock } = world;
  world.mode = 0;
  for (const answer of world.pending.splice(0)) answer();
  await turn(world);
  for (const seat of world.seats)
    if (seat !== null && !seat.isClosed)
      for (const id of new Set([...seat.asked.keys(), ...seat.answered.keys()]))
        hold(
          seat.ofPatterns.has(id) || (seat.asked.get(id) ?? 0) === (seat.answered.get(id) ?? 0),
          'every request is answered once',
          { id, asked: seat.asked.get(id), answered: seat.answered.get(id) },
        );
  for (const [who, seat] of world.seats.entries()) if (seat !== null) leave(world, who, seat);
  await turn(world);
  const { viewers, channels: open, subscriptions, laggingViewers, tailBytes, underWay } = hub.counters;
  hold(
    viewers + open + subscriptions + laggingViewers + tailBytes + underWay === 0,
    'nothing is kept of those who are gone',
    hub.counters,
  );
  for (const name of channels) hold(!bus.hasListeners(name), 'nobody listens for those who are gone');
  for (const org of [0, 1])
    for (const room of rooms) {
      const { count } = await world.presence.members(`${orgOf(org)}/${room}`, 1);
      hold(count === 0, 'nobody is present who is gone', { room, count });
    }
  await hub.drain();
  clock.advance(10_000);
  hold(clock.timerCount === 0, 'a hub without viewers waits for nothing', clock.timerCount);
}
