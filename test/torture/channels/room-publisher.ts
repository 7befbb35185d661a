/**
 * Owns the publisher of one room: numbers in order, sent to any server, in bursts by request, one by one by message, and
 * by POST. What was not answered, or was refused for a while, is sent again under the same keys, anywhere.
 */

import { setTimeout as sleep } from 'node:timers/promises';

import { WebSocket } from 'ws';

import { messageOf } from '#base/errors.ts';
import { integerBelow, type Random } from '#base/random.ts';
import type { Position } from '#protocol/publication.ts';
import type { PublicationCheck } from '#test/torture/channels/publication-check.ts';

export interface RoomPublisherOptions {
  readonly room: string;
  readonly count: number;
  readonly servers: () => readonly string[];
  readonly key: string;
  readonly random: Random;
  readonly check: PublicationCheck;
  readonly stayMs: number;
  /** So many numbers were acknowledged. */
  readonly onProgress: (count: number) => void;
  /** Why something is sent again. */
  readonly onTrouble: (reason: string) => void;
  readonly signal: AbortSignal;
}

interface Answer {
  readonly type: string;
  readonly id?: number;
  readonly position?: Position;
  readonly data?: { readonly positions: readonly Position[] };
  readonly code?: string;
}

interface Connection {
  readonly isOpen: boolean;
  ask(message: object): Promise<Answer>;
  end(): void;
}

const BURST = 64;
const ANSWER_MS = 15_000;

/** Resolves to how often something was sent again. */
export async function publishToRoom(options: RoomPublisherOptions): Promise<number> {
  const { room, count, random, check, signal, key } = options;
  const channel = `torture/${room}`;
  const held: { connection: Connection | null } = { connection: null };
  let server = '';
  let leaveAtMs = 0;
  let done = 0;
  let repeats = 0;

  const move = async (): Promise<void> => {
    held.connection?.end();
    const servers = options.servers();
    server = servers[integerBelow(random, servers.length)]!;
    leaveAtMs = performance.now() + random.next() * options.stayMs * 4;
    held.connection = await connect(server, key);
  };
  /** What was tried last and not answered: the same is tried again, since its keys are known to the server alone. */
  let attempt: { readonly kind: number; readonly size: number } | null = null;
  /** Publishes the next few numbers; returns their positions. */
  const publishSome = async (most: number): Promise<readonly Position[]> => {
    attempt ??= { kind: integerBelow(random, 16), size: Math.min(most, 1 + integerBelow(random, BURST)) };
    const { kind, size } = attempt;
    if (kind === 0) return [await post(server, { channel, n: done + 1, key })];
    if (kind === 1) {
      const answer = await held.connection!.ask({
        type: 'publish',
        channel,
        event: 'number',
        data: { n: done + 1 },
        key: `single ${done + 1}`,
      });
      if (answer.position === undefined) throw new Error(answer.code ?? 'no position');
      return [answer.position];
    }
    const data = { from: done + 1, count: size };
    const answer = await held.connection!.ask({ type: 'request', channel, name: 'burst', data });
    if (answer.data === undefined) throw new Error(answer.code ?? 'no answer');
    return answer.data.positions;
  };
  try {
    while (done < count && !signal.aborted) {
      try {
        if (held.connection?.isOpen !== true || performance.now() > leaveAtMs) await move();
        const positions = await publishSome(count - done);
        attempt = null;
        for (const position of positions) {
          done++;
          check.acknowledged(room, position, done);
          options.onProgress(1);
        }
      } catch (error) {
        repeats++;
        options.onTrouble(messageOf(error));
        held.connection?.end();
        held.connection = null;
        await sleep(20 + random.next() * 100);
      }
    }
  } finally {
    held.connection?.end();
  }
  return repeats;
}

async function post(
  server: string,
  { channel, n, key }: { channel: string; n: number; key: string },
): Promise<Position> {
  const response = await fetch(`${server}/v1/channels/${channel}/messages`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      'idempotency-key': `single ${n}`,
    },
    body: JSON.stringify({ event: 'number', data: { n } }),
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const answer = (await response.json()) as { position?: Position };
  if (!response.ok || answer.position === undefined) throw new Error(`status ${response.status}`);
  return answer.position;
}

function connect(server: string, key: string): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${server.replace('http', 'ws')}/v1/live`, {
      headers: { authorization: `Bearer ${key}` },
    });
    const asked = new Map<number, { resolve(answer: Answer): void; reject(error: Error): void }>();
    let id = 0;
    const beat = setInterval(() => {
      if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"heartbeat"}');
    }, 1_000);
    socket.on('open', () =>
      resolve({
        get isOpen() {
          return socket.readyState === WebSocket.OPEN;
        },
        ask: (message) =>
          new Promise((answered, refused) => {
            const number = ++id;
            const timer = setTimeout(() => refused(new Error('no answer')), ANSWER_MS);
            asked.set(number, {
              resolve: (answer) => (clearTimeout(timer), answered(answer)),
              reject: (error) => (clearTimeout(timer), refused(error)),
            });
            socket.send(JSON.stringify({ ...message, id: number }));
          }),
        end: () => socket.terminate(),
      }),
    );
    socket.on('message', (data, isBinary) => {
      if (isBinary) return;
      const answer = JSON.parse((data as Buffer).toString('utf8')) as Answer;
      if (answer.id === undefined) return;
      asked.get(answer.id)?.resolve(answer);
      asked.delete(answer.id);
    });
    socket.on('close', () => {
      clearInterval(beat);
      for (const { reject: refuse } of asked.values()) refuse(new Error('the connection was lost'));
      reject(new Error('the connection was lost'));
    });
    socket.on('error', () => undefined);
  });
}
