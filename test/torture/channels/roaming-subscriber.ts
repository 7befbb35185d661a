/**
 * Owns a subscriber that never stays: it follows its rooms by WebSocket, event stream or long poll at any of the servers,
 * is cut off or leaves after a moment, and goes on elsewhere from where it was. A client of its own, not the SDK: what it
 * believes follows from the protocol alone.
 */

import { setTimeout as sleep } from 'node:timers/promises';

import { WebSocket } from 'ws';

import { integerBelow, type Random } from '#base/random.ts';
import { decodeCursor, encodeCursor } from '#protocol/channel-cursor.ts';
import type { Position } from '#protocol/publication.ts';
import type { PublicationCheck, RoomReader } from '#test/torture/channels/publication-check.ts';

export const transports = ['websocket', 'events', 'poll'] as const;
export type TransportName = (typeof transports)[number];

export interface RoamingOptions {
  readonly name: string;
  readonly rooms: readonly string[];
  /** Base addresses of the servers, asked anew for each connection. */
  readonly servers: () => readonly string[];
  readonly key: string;
  readonly random: Random;
  readonly check: PublicationCheck;
  /** Connections last between nothing and this. */
  readonly stayMs: number;
}

export interface RoamingSubscriber {
  /** Where it is in a room. */
  positionOf(room: string): Position | null;
  readonly connections: Readonly<Record<TransportName, number>>;
  /** Connections that were refused or broke by themselves. */
  readonly failures: ReadonlyMap<string, number>;
  /** Stays from now on: the present or next connection is not cut any more. */
  settle(): void;
  stop(): Promise<void>;
}

/** What the servers say of a channel, the same on every transport. */
interface Said {
  readonly type: string;
  readonly channel?: string;
  readonly position?: Position;
  readonly recovered?: boolean;
  readonly offset?: number;
  readonly data?: { readonly n: number };
  readonly code?: string;
}

const channelOf = (room: string): string => `torture/${room}`;

export function startRoamingSubscriber(options: RoamingOptions): RoamingSubscriber {
  const { name, rooms, random, check, key } = options;
  const readers = new Map<string, RoomReader>(
    rooms.map((room) => [channelOf(room), check.reader(name, room)]),
  );
  const connections = { websocket: 0, events: 0, poll: 0 };
  const failures = new Map<string, number>();
  const authorization = `Bearer ${key}`;
  let isSettled = false;
  const stopped = new AbortController();

  const positions = (): [string, Position][] =>
    [...readers].flatMap(([channel, { position }]) => (position === null ? [] : [[channel, position]]));
  const cursor = (): string | null => (positions().length === 0 ? null : encodeCursor(positions()));
  const fail = (reason: string): void => void failures.set(reason, (failures.get(reason) ?? 0) + 1);

  /** Takes one thing that was said. `wasAt`: whether a position was given for the channel. */
  const hear = (said: Said, wasAt: (channel: string) => boolean): void => {
    const reader = readers.get(said.channel ?? '');
    if (reader === undefined) {
      if (said.type === 'error') fail(said.code ?? 'error');
      return;
    }
    if (said.type === 'subscribed')
      reader.subscribed(said.position!, wasAt(said.channel!) ? (said.recovered ?? true) : null);
    else if (said.type === 'reset') reader.reset(said.position!);
    else if (said.type === 'message')
      reader.saw(reader.position?.epoch ?? '', said.offset!, said.data?.n ?? -1);
    else if (said.type === 'unsubscribed') fail(said.code ?? 'unsubscribed');
  };

  const overWebSocket = (server: string, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${server.replace('http', 'ws')}/v1/live`, { headers: { authorization } });
      const given = new Set<string>();
      let isOver = false;
      const beat = setInterval(() => {
        if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"heartbeat"}');
      }, 1_000);
      const end = (): void => {
        isOver = true;
        clearInterval(beat);
        resolve();
      };
      signal.addEventListener('abort', () => {
        isOver = true;
        if (integerBelow(random, 2) === 0) socket.terminate();
        else socket.close();
        end();
      });
      socket.on('open', () => {
        let id = 0;
        const token = cursor();
        for (const [channel, { position }] of readers) {
          if (position !== null) given.add(channel);
          const from = integerBelow(random, 2) === 0 && token !== null ? { cursor: token } : { position };
          socket.send(
            JSON.stringify({ type: 'subscribe', id: ++id, channel, ...(position === null ? {} : from) }),
          );
        }
      });
      socket.on('message', (data, isBinary) => {
        // What still comes after the connection was given up is not read.
        if (isOver || isBinary) return;
        const said = JSON.parse((data as Buffer).toString('utf8')) as Said;
        hear(said, (channel) => given.has(channel));
        if (said.type === 'error' || said.type === 'unsubscribed') socket.terminate();
      });
      socket.on('close', (code) => {
        if (!isOver) fail(`closed ${code}`);
        end();
      });
      socket.on('error', () => undefined);
    });

  const query = (extra: Record<string, string>): string => {
    const params = new URLSearchParams(extra);
    for (const channel of readers.keys()) params.append('channel', channel);
    const token = cursor();
    if (token !== null) params.set('cursor', token);
    return params.toString();
  };

  const overEvents = async (server: string, signal: AbortSignal): Promise<void> => {
    const given = new Set(positions().map(([channel]) => channel));
    const response = await fetch(`${server}/v1/events?${query({})}`, { headers: { authorization }, signal });
    if (!response.ok || response.body === null) {
      fail(`events ${response.status}`);
      await response.body?.cancel();
      return;
    }
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body) {
      if (signal.aborted) return;
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      const events = text.split('\n\n');
      text = events.pop()!;
      for (const event of events) hearEvent(event, given);
    }
    fail('events ended');
  };
  const hearEvent = (event: string, given: ReadonlySet<string>): void => {
    const fields = new Map(
      event.split('\n').map((line): [string, string] => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon), line.slice(colon + 2)];
      }),
    );
    const data = fields.get('data');
    if (data === undefined) return;
    const said = JSON.parse(data) as Said;
    hear(said, (channel) => given.has(channel));
    const reader = readers.get(said.channel ?? '');
    const id = fields.get('id');
    if (reader === undefined || id === undefined) return;
    const told = decodeCursor(id)?.positionOf(said.channel!) ?? null;
    if (told?.offset !== reader.position?.offset || told?.epoch !== reader.position?.epoch)
      check.wrong(`${name}: the id of an event is not its position in ${said.channel}`);
  };

  const overPolls = async (server: string, signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      const limit = String(1 + integerBelow(random, 256));
      const url = `${server}/v1/poll?${query({ wait: '1', limit })}`;
      const response = await fetch(url, { headers: { authorization }, signal });
      if (!response.ok) {
        fail(`poll ${response.status}`);
        await response.body?.cancel();
        return;
      }
      const answer = (await response.json()) as PollAnswer;
      if (signal.aborted) return;
      hearPoll(answer);
    }
  };
  const hearPoll = (answer: PollAnswer): void => {
    const next = decodeCursor(answer.cursor);
    for (const { channel, recovered } of answer.channels) {
      const reader = readers.get(channel);
      const end = next?.positionOf(channel) ?? null;
      if (reader === undefined || end === null) continue;
      const first = answer.messages.find((one) => one.channel === channel && one.type === 'message');
      // An answer says where it ends; where it begins follows from its first message.
      const start = { epoch: end.epoch, offset: first === undefined ? end.offset : first.offset! - 1 };
      if (reader.position === null) reader.subscribed(start, null);
      else if (recovered === false) reader.subscribed(start, false);
    }
    for (const said of answer.messages) hear(said, () => true);
    for (const [channel, { position }] of readers) {
      const end = next?.positionOf(channel) ?? null;
      if (end?.offset !== position?.offset || end?.epoch !== position?.epoch)
        check.wrong(`${name}: the cursor of a poll is not where its messages end in ${channel}`);
    }
  };

  const session = async (): Promise<void> => {
    const servers = options.servers();
    const server = servers[integerBelow(random, servers.length)]!;
    const transport = transports[integerBelow(random, transports.length)]!;
    connections[transport]++;
    const leave = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    // One that settles while it is connected may still be cut once; the next stays.
    if (!isSettled) timer = setTimeout(() => leave.abort(), random.next() * options.stayMs);
    const signal = AbortSignal.any([leave.signal, stopped.signal]);
    const run = { websocket: overWebSocket, events: overEvents, poll: overPolls }[transport];
    try {
      await run(server, signal);
    } catch (error) {
      if (!signal.aborted)
        fail(`${transport}: ${(error as { cause?: Error }).cause?.message ?? String(error)}`);
    } finally {
      clearTimeout(timer);
      leave.abort();
    }
    // What was refused is asked for again after a while.
    await sleep(random.next() * 40);
  };
  const ended = (async () => {
    while (!stopped.signal.aborted) await session();
  })();
  return {
    positionOf: (room) => readers.get(channelOf(room))?.position ?? null,
    connections,
    failures,
    settle() {
      isSettled = true;
    },
    async stop() {
      stopped.abort();
      await ended;
    },
  };
}

interface PollAnswer {
  readonly cursor: string;
  readonly channels: readonly { readonly channel: string; readonly recovered?: boolean }[];
  readonly messages: readonly Said[];
}
