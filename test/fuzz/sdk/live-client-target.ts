/**
 * Owns the target `live-client`: a hostile server against the whole viewer client, tickets and sockets included. What it
 * gives to a page is of channels that the page asked for and the server named, each publication once and in order or after
 * a gap that was told; what was asked is settled; and it never spins or goes away for good.
 */

import { AppError } from '#base/errors.ts';
import { viewerMessageSchemas, type HubMessage, type ViewerMessage } from '#contract/live-messages.ts';
import { createMessageParser } from '#contract/validation.ts';
import { encodeLiveFrames, LIVE_HEADER_BYTES, writeLiveHeader } from '#protocol/live-codec.ts';
import type { LiveClient } from '#sdk/live-api.ts';
import { connectLive } from '#sdk/live-client.ts';
import { parseHubMessage } from '#sdk/live-parse.ts';
import type { Chance } from '#test/fuzz/chance.ts';
import { varyBytes } from '#test/fuzz/hostile-bytes.ts';
import { bomb, hostileNumber, hostileString, varyText } from '#test/fuzz/hostile-json.ts';
import type { Step } from '#test/fuzz/step.ts';
import { hold, type Notes, type Target } from '#test/fuzz/target.ts';
import { createWatchedClock } from '#test/fuzz/watched-clock.ts';

const CHANNELS = 4;
/** Whatever a server asks for, somebody watches: an hour without an attempt is for ever. */
const LONGEST_ABSENCE_MS = 3_600_000;
const parse = createMessageParser<ViewerMessage>(viewerMessageSchemas, 16 * 1024);

export const liveClientTarget: Target = {
  name: 'live-client',
  share: 10,
  about: 'a hostile server against the viewer client: tickets, messages, readings and closes in any order',
  generate,
  async run(steps, notes) {
    const world = createWorld(notes);
    for (const step of steps) {
      perform(world, step);
      // Tickets come in a later turn.
      for (let i = 0; i < 4; i++) await Promise.resolve();
    }
    world.client.close();
    for (let i = 0; i < 8; i++) await Promise.resolve();
    hold(world.asked === world.settled, 'what was asked is settled', world.asked - world.settled);
    hold(world.clock.timerCount === 0, 'a closed client waits for nothing', world.clock.timerCount);
  },
};

const channelOf = (n: number): string => `session/01900000-0000-7000-8000-00000000e00${n}/readings`;

function generate(chance: Chance): Step[] {
  const steps: Step[] = [
    { do: 'subscribe', n: 0 },
    { do: 'opened' },
    say(welcome(chance)),
    say(subscribed(1, 0, chance)),
  ];
  const length = 10 + chance.below(chance.is(0.05) ? 300 : 60);
  while (steps.length < length) steps.push(anyStep(chance));
  return steps;
}

function anyStep(chance: Chance): Step {
  const draw = chance.below(100);
  if (draw < 45) {
    const step = chance.is(0.003) ? { do: 'text', text: bomb(chance) } : say(message(chance));
    return chance.is(0.2) ? { ...step, text: varyText(step.text, chance) } : step;
  }
  if (draw < 65) return { do: 'bytes', bytes: liveBytes(chance) };
  if (draw < 73)
    return { do: chance.among(['subscribe', 'subscribe', 'unsubscribe']), n: chance.below(CHANNELS) };
  if (draw < 77) return { do: 'ask', n: chance.below(40) };
  if (draw < 83) return { do: 'advance', n: chance.among([0, 1, 200, 2_000, 10_000, 20_000]) };
  if (draw < 91) return { do: 'opened' };
  if (draw < 95) return { do: 'closed', n: chance.among([1000, 1006, 4000, 4004, 4500, 4502, 99_999]) };
  if (draw < 97) return { do: 'tickets', n: chance.below(3) };
  return { do: 'jump', n: hostileNumber(chance) };
}

function say(said: HubMessage): Step & { text: string } {
  return { do: 'text', text: JSON.stringify(said) };
}

function welcome(chance: Chance): HubMessage {
  const heartbeatMs = chance.is(0.8) ? 5_000 : Math.max(1, Math.abs(Math.trunc(hostileNumber(chance))));
  return { type: 'welcome', serverUs: 1_700_000_000_000_000, heartbeatMs };
}

function subscribed(id: number, n: number, chance: Chance): HubMessage {
  const lossClass = chance.among(['live', 'event', 'event', 'state'] as const);
  return {
    type: 'subscribed',
    id,
    channel: channelOf(n),
    number: chance.below(4),
    lossClass,
    ...(lossClass === 'live' ? {} : { position: position(chance) }),
    ...(chance.is(0.5) ? { recovered: chance.is(0.7) } : {}),
  };
}

function position(chance: Chance): { epoch: string; offset: number } {
  const offset = chance.is(0.9) ? chance.below(12) : Math.abs(Math.trunc(hostileNumber(chance)));
  return { epoch: chance.among(['e', 'e', 'e', 'f']), offset };
}

/** What is said of channels with a history, and answers. */
function publication(chance: Chance): HubMessage {
  const channel = channelOf(chance.below(CHANNELS));
  const id = chance.below(20);
  const { offset } = position(chance);
  const draw = chance.below(100);
  if (draw < 60) {
    const said = { type: 'message', channel, timeUs: 0, event: 'said', data: hostileString(chance) } as const;
    return chance.is(0.9) ? { ...said, offset } : said;
  }
  if (draw < 68) return { type: 'reset', channel, position: position(chance) };
  if (draw < 74) {
    const member = { id: hostileString(chance), subject: 's', state: null };
    return { type: 'presence', channel, count: offset, entered: [member], left: [hostileString(chance)] };
  }
  if (draw < 80) return { type: 'published', id, position: position(chance) };
  if (draw < 84) return { type: 'response', id, data: { a: 1 } };
  if (draw < 88) return { type: 'history', id, channel, position: position(chance), oldest: 0, messages: [] };
  if (draw < 92) return { type: 'members', id, channel, count: 0, members: [] };
  if (draw < 95) return { type: 'stated', id };
  if (draw < 97) return { type: 'refreshed', id, expiresAtUs: Math.trunc(hostileNumber(chance)) };
  return {
    type: 'unsubscribed',
    channel,
    code: chance.among(['forbidden', 'overloaded', hostileString(chance)]),
  };
}

function message(chance: Chance): HubMessage {
  if (chance.is(0.5)) return publication(chance);
  const id = chance.below(20);
  const integer = (): number => Math.trunc(hostileNumber(chance));
  const draw = chance.below(100);
  if (draw < 30) return subscribed(id, chance.below(CHANNELS), chance);
  if (draw < 40) {
    const streams = [
      {
        stream: 's',
        epoch: 'e',
        next: Math.abs(integer()),
        ranges: [[integer(), integer()]] as [number, number][],
        lost: 0,
      },
    ];
    return { type: 'committed', channel: chance.below(4), streams };
  }
  if (draw < 55) return { type: 'probe', id, t0Us: integer(), t1Us: integer(), t2Us: integer() };
  if (draw < 70) {
    const code = chance.among([
      'not-found',
      'internal',
      'store-unavailable',
      'toString',
      hostileString(chance),
    ]);
    return { type: 'error', code, message: 'no', ...(chance.is(0.7) ? { id } : {}) };
  }
  if (draw < 75) return { type: 'unsubscribed', id, channel: channelOf(chance.below(CHANNELS)) };
  if (draw < 85) return { type: 'heartbeat' };
  if (draw < 97) return welcome(chance);
  return { type: 'bye', afterMs: Math.abs(integer()) };
}

function liveBytes(chance: Chance): Uint8Array {
  const count = 1 + chance.below(8);
  const frame = {
    streamId: '01900000-0000-7000-8000-000000005000',
    epoch: '0000000000000001',
    firstSeq: chance.below(1_000),
    count,
    firstUs: 1_700_000_000_000_000,
    periodNs: 5_000_000,
    deltasUs: chance.is(0.2) ? new Uint8Array(count * 4) : null,
    payload: new Uint8Array(count * 4),
    liveOnly: chance.is(0.2),
    sentUs: 0,
    arrivalUs: 0,
    offsetUs: 0,
  };
  const frames = encodeLiveFrames(Array.from({ length: 1 + chance.below(3) }, () => frame));
  const bytes = new Uint8Array(LIVE_HEADER_BYTES + frames.length);
  writeLiveHeader(bytes, { channel: chance.below(4), offset: chance.below(100), publishedUs: 0 });
  bytes.set(frames, LIVE_HEADER_BYTES);
  return chance.is(0.4) ? varyBytes(bytes, chance) : bytes;
}

interface FakeSocket {
  state: 'opening' | 'open' | 'closed';
  emit(type: 'message' | 'close', event: object): void;
  /** Channels that the server has numbered on this connection. */
  readonly named: Set<string>;
}

interface World {
  readonly clock: ReturnType<typeof createWatchedClock>;
  readonly notes: Notes;
  readonly wished: Set<string>;
  client: LiveClient;
  socket: FakeSocket | null;
  /** 0: tickets are given; 1: not now; 2: never. */
  tickets: number;
  /** What each channel that is followed was given last. */
  readonly offsets: Map<string, number>;
  asked: number;
  settled: number;
}

function createWorld(notes: Notes): World {
  const clock = createWatchedClock();
  const world: World = {
    clock,
    notes,
    wished: new Set(),
    client: null as unknown as LiveClient,
    socket: null,
    tickets: 0,
    offsets: new Map(),
    asked: 0,
    settled: 0,
  };
  const wished = (channel: string): void =>
    hold(world.wished.has(channel), 'a page hears of what it asked for', channel);
  world.client = connectLive({
    url: 'ws://127.0.0.1/v1/live',
    transports: ['websocket'],
    clock,
    random: { next: () => 0.5 },
    async ticket() {
      if (world.tickets === 0) return 'ticket';
      throw new AppError('unauthenticated', 'no', { temporary: world.tickets === 1 });
    },
    openSocket: () => openSocket(world) as unknown as WebSocket,
    onReadings(channel, { frames }, skipped) {
      wished(channel);
      notes.reached('readings');
      hold(world.socket?.named.has(channel) === true, 'readings are of a channel that the server named');
      hold(Number.isSafeInteger(skipped) && skipped >= 0, 'skipped ticks are counted', skipped);
      for (const { count, deltasUs } of frames)
        hold(deltasUs === null || deltasUs.length === 4 * count, 'a frame has its times');
    },
    onCommitted: wished,
    onSubscribed: wished,
    onRefused(channel, code) {
      wished(channel);
      notes.refused(code.slice(0, 20));
      world.wished.delete(channel);
    },
    onState(state) {
      notes.reached(`state ${state.name}`);
      if (state.name === 'waiting')
        hold(
          state.retryAtMs - clock.monotonicMs() <= LONGEST_ABSENCE_MS,
          'a client comes back',
          state.retryAtMs,
        );
    },
    onProblem: (code) => notes.refused(code.slice(0, 20)),
  });
  return world;
}

function openSocket(world: World): object {
  hold(world.socket === null || world.socket.state === 'closed', 'one connection at a time');
  const listeners = new Map<string, ((event: object) => void)[]>();
  const socket: FakeSocket = {
    state: 'opening',
    emit: (type, event) => listeners.get(type)?.forEach((listener) => listener(event)),
    named: new Set(),
  };
  world.socket = socket;
  return {
    get readyState() {
      return socket.state === 'open' ? 1 : socket.state === 'opening' ? 0 : 3;
    },
    binaryType: 'blob',
    addEventListener(type: string, listener: (event: object) => void) {
      listeners.set(type, [...(listeners.get(type) ?? []), listener]);
    },
    send(text: string) {
      hold(socket.state === 'open', 'nothing is sent on a connection that is not open');
      const said = parse(text);
      hold(said.ok, 'a viewer says what its schema says', text.slice(0, 200));
      world.notes.reached(`sent ${said.value.type}`);
    },
    close(code: number) {
      // WHATWG: any other code throws.
      hold(code === 1000 || (code >= 3000 && code < 5000), 'a close code is one that browsers take', code);
      socket.state = 'closed';
    },
  };
}

function perform(world: World, step: Step): void {
  const { client, socket, clock } = world;
  const n = Number.isSafeInteger(step.n) ? step.n! : 0;
  const channel = channelOf(Math.abs(n) % CHANNELS);
  switch (step.do) {
    case 'subscribe':
      if (!world.wished.has(channel)) follow(world, channel);
      break;
    case 'unsubscribe':
      client.unsubscribe(channel);
      world.wished.delete(channel);
      break;
    case 'ask':
      ask(world, channel, n);
      break;
    case 'opened':
      if (socket?.state === 'opening') socket.state = 'open';
      break;
    case 'text':
      if (socket?.state === 'open') hear(socket, step.text ?? '');
      break;
    case 'bytes':
      if (socket?.state === 'open')
        socket.emit('message', { data: (step.bytes ?? new Uint8Array(0)).slice().buffer });
      break;
    case 'closed':
      if (socket !== null && socket.state !== 'closed') {
        socket.state = 'closed';
        socket.emit('close', { code: n, reason: 'fuzz' });
      }
      break;
    case 'tickets':
      world.tickets = Math.abs(n) % 3;
      break;
    case 'advance':
      clock.advance(Math.abs(n) % 100_000);
      break;
    case 'jump':
      clock.jumpWallUs((n % 8e15) - clock.nowUs());
      break;
    default:
  }
}

function follow(world: World, channel: string): void {
  world.wished.add(channel);
  world.offsets.delete(channel);
  const subscription = world.client.subscribe(channel, {
    onMessage({ offset }) {
      hold(world.wished.has(channel), 'a page hears of what it asked for', channel);
      const known = subscription.position;
      // Without a position from the server there is nothing to tell what came before.
      if (offset === null || known === null) return;
      const before = world.offsets.get(channel) ?? -1;
      hold(offset > before, 'a publication comes once and in order, or after a gap', { offset, before });
      hold(offset === known.offset, 'the position is that of what was given last');
      world.offsets.set(channel, offset);
      world.notes.reached('message');
    },
    onReset({ to }) {
      world.notes.reached('gap');
      world.offsets.set(channel, to.offset);
    },
    onPresence: () => world.notes.reached('presence'),
  });
}

function ask(world: World, channel: string, n: number): void {
  const { client, notes } = world;
  const asks = [
    () => client.publish(channel, 'said', n, n % 2 === 0 ? { key: `k${n}` } : {}),
    () => client.request(channel, 'sum', [n]),
    () => client.history(channel),
    () => client.members(channel),
    () => client.setState(channel, n),
  ];
  world.asked++;
  // What fails in another way than with an AppError does not count as settled.
  void asks[n % asks.length]!().then(
    () => {
      world.settled++;
      notes.reached('answered');
    },
    (error: unknown) => {
      if (error instanceof AppError) world.settled++;
      notes.refused(error instanceof AppError ? error.code.slice(0, 20) : 'another error');
    },
  );
}

function hear(socket: FakeSocket, text: string): void {
  const parsed = parseHubMessage(text);
  if (parsed.ok && parsed.value?.type === 'subscribed') socket.named.add(parsed.value.channel);
  socket.emit('message', { data: text });
}
