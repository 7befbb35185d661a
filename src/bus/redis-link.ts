/**
 * Owns the two connections to Redis, one for commands and one for what is subscribed: they come up together, fall
 * together, and are made anew with full jitter for as long as the link is not closed. A connection that does not answer
 * a ping in time is given up, since a half-open one never says so. Nothing is queued here while the link is down.
 */

import { createHash } from 'node:crypto';

import { createClient, ErrorReply, RESP_TYPES } from 'redis';

import { assert } from '#base/assert.ts';
import type { Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { Random } from '#base/random.ts';

export interface RedisLinkOptions {
  /** redis://, rediss:// or unix://, with user and password where Redis wants them. */
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Given to Redis whenever the link comes up, so that what is sent together runs in the order of sending. */
  readonly scripts: readonly RedisScript[];
  /** How long connecting and greeting may take. */
  readonly connectMs: number;
  readonly pingMs: number;
  /** A connection on which a ping is unanswered for so long is given up. */
  readonly silentMs: number;
}

export interface RedisScript {
  readonly text: string;
  readonly sha: string;
}

export function redisScript(text: string): RedisScript {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

export type RedisArgument = string | Buffer;

/** What the link tells its users, in the order in which they asked. */
export interface LinkListener {
  up(): void;
  down(): void;
}

export interface RedisLink {
  readonly isUp: boolean;
  /** Counts the times that the link came up: what was subscribed in an earlier one is not subscribed now. */
  readonly generation: number;
  /** Names the Redis process that answers; another one may have lost what this one knew. Empty before the first. */
  readonly runId: string;
  readonly counters: { readonly lost: number; readonly attempts: number };
  /** Why the link is down; null while it is up. */
  readonly problem: string | null;
  /** Blob strings in replies are Buffers. Rejects with LinkLost when there may or may not have been an effect. */
  call(args: readonly RedisArgument[]): Promise<unknown>;
  run(script: RedisScript, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown>;
  subscribe(channels: readonly string[]): Promise<void>;
  /** Resolves when it is answered, or the connection is gone and with it what was subscribed. */
  unsubscribe(channel: string): Promise<void>;
  /** Resolves when the link is up; rejects with AppError `store-unavailable` when that takes longer. */
  whenUp(waitMs: number): Promise<void>;
  listen(listener: LinkListener): void;
  /** Hands every message of subscribed channels to `message`; one receiver, set before the first subscription. */
  receive(message: (channel: string, payload: Buffer) => void): void;
  /** Gives the present connections up, for the reason that Redis itself gave. */
  drop(reason: string): void;
  close(): Promise<void>;
}

/** The connection went while a command was on its way: whether it had its effect is not known. */
export class LinkLost extends Error {
  override readonly name = 'LinkLost';
}

/** What of node-redis is used, without its types of every command. */
interface Client {
  connect(): Promise<unknown>;
  destroy(): void;
  on(event: string, listener: (error: Error) => void): unknown;
  sendCommand(args: readonly RedisArgument[], options: object): Promise<unknown>;
  subscribe(channels: string[], listener: MessageListener, asBuffers: true): Promise<unknown>;
  unsubscribe(channel: string, listener: MessageListener, asBuffers: true): Promise<unknown>;
}

type MessageListener = (payload: Buffer, channel: Buffer) => void;

interface Connections {
  readonly commands: Client;
  readonly subscriber: Client;
  readonly runId: string;
}

const asBuffers = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };
const RECONNECT_FIRST_MS = 100;
const RECONNECT_MOST_MS = 2_000;
/** A turn of the event loop that was late itself must not count against Redis. */
const SECOND_LOOK_MS = 100;

/** Connects once, then keeps connected. Rejects with AppError `store-unavailable` when the first time fails. */
export async function connectRedisLink(options: RedisLinkOptions): Promise<RedisLink> {
  const { clock, random, log } = options;
  const listeners: LinkListener[] = [];
  const waiters = new Set<{ resolve(): void; reject(error: Error): void }>();
  const counters = { lost: 0, attempts: 0 };
  let receiver = (_channel: string, _payload: Buffer): void => undefined;
  const heard: MessageListener = (payload, channel) => receiver(channel.toString(), payload);
  let current: Connections | null = null;
  let generation = 0;
  let runId = '';
  let problem: string | null = 'not connected yet';
  let isClosed = false;
  let stopTimer = (): void => undefined;

  const drop = (connections: Connections, reason: string): void => {
    connections.commands.destroy();
    connections.subscriber.destroy();
    if (current !== connections) return;
    current = null;
    problem = reason;
    stopTimer();
    if (isClosed) return;
    counters.lost++;
    log.warn('Redis is lost: what other instances send does not arrive', { reason });
    for (const listener of listeners) listener.down();
    reconnect(0);
  };
  const reconnect = (failures: number): void => {
    const mostMs = Math.min(RECONNECT_MOST_MS, RECONNECT_FIRST_MS * 2 ** failures);
    stopTimer = clock.after(random.next() * mostMs, () => {
      open().catch((error: unknown) => {
        problem = messageOf(error);
        if (!isClosed) reconnect(Math.min(failures + 1, 10));
      });
    });
  };
  const open = async (): Promise<void> => {
    counters.attempts++;
    const connections = await openConnections(options, (made, error) => drop(made, messageOf(error)));
    if (isClosed) {
      drop(connections, 'closed');
      return;
    }
    current = connections;
    runId = connections.runId;
    problem = null;
    generation++;
    if (generation > 1) log.info('Redis is there again', { generation });
    watch(connections);
    for (const listener of listeners) listener.up();
    for (const waiter of waiters) waiter.resolve();
  };
  const watch = (connections: Connections): void => {
    let askedAtMs = clock.monotonicMs();
    let unanswered = 0;
    const look = (isSecondLook: boolean): void => {
      if (current !== connections) return;
      const nowMs = clock.monotonicMs();
      if (unanswered > 0 && nowMs - askedAtMs >= options.silentMs) {
        if (isSecondLook) drop(connections, `no answer for ${options.silentMs} ms`);
        else stopTimer = clock.after(SECOND_LOOK_MS, () => look(true));
        return;
      }
      if (unanswered === 0) {
        askedAtMs = nowMs;
        for (const client of [connections.commands, connections.subscriber]) {
          unanswered++;
          client.sendCommand(['PING'], {}).then(
            () => unanswered--,
            (error: unknown) => drop(connections, messageOf(error)),
          );
        }
      }
      stopTimer = clock.after(options.pingMs, () => look(false));
    };
    look(false);
  };
  const use = async <T>(command: (connections: Connections) => Promise<T>): Promise<T> => {
    if (current === null) throw new LinkLost(problem ?? 'down');
    try {
      return await command(current);
    } catch (error) {
      throw error instanceof ErrorReply ? error : new LinkLost(messageOf(error), { cause: error });
    }
  };
  const send = (args: readonly RedisArgument[]): Promise<unknown> =>
    use(({ commands }) => commands.sendCommand(args, asBuffers));

  try {
    await open();
  } catch (error) {
    throw new AppError('store-unavailable', unreachable(options.url, error), {
      temporary: true,
      field: 'redis-url',
      cause: error,
    });
  }
  return {
    get isUp() {
      return current !== null;
    },
    get generation() {
      return generation;
    },
    get runId() {
      return runId;
    },
    get problem() {
      return problem;
    },
    counters,
    call: send,
    async run(script, keys, args) {
      const rest = [String(keys.length), ...keys, ...args];
      try {
        return await send(['EVALSHA', script.sha, ...rest]);
      } catch (error) {
        if (!(error instanceof ErrorReply) || !error.message.startsWith('NOSCRIPT')) throw error;
        return send(['EVAL', script.text, ...rest]);
      }
    },
    async subscribe(channels) {
      await use(({ subscriber }) => subscriber.subscribe([...channels], heard, true));
    },
    async unsubscribe(channel) {
      await current?.subscriber.unsubscribe(channel, heard, true).catch(() => undefined);
    },
    whenUp(waitMs) {
      if (current !== null) return Promise.resolve();
      if (isClosed) return Promise.reject(unavailable('the connection to Redis is closed'));
      return new Promise((resolve, reject) => {
        const settle = (): void => {
          cancel();
          waiters.delete(waiter);
        };
        const waiter = {
          resolve: () => (settle(), resolve()),
          reject: (error: Error) => (settle(), reject(error)),
        };
        const cancel = clock.after(waitMs, () =>
          waiter.reject(unavailable(`Redis is not there: ${problem ?? ''}`)),
        );
        waiters.add(waiter);
      });
    },
    listen: (listener) => void listeners.push(listener),
    receive: (message) => {
      receiver = message;
    },
    drop(reason) {
      if (current !== null) drop(current, reason);
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      stopTimer();
      if (current !== null) drop(current, 'closed');
      for (const waiter of waiters) waiter.reject(unavailable('the connection to Redis is closed'));
    },
  };
}

export function unavailable(message: string, cause?: unknown): AppError {
  return new AppError('store-unavailable', message, { temporary: true, cause });
}

/** Opens both connections and asks Redis who it is. `lost` is called once either of them ends by itself. */
async function openConnections(
  { url, clock, connectMs, scripts }: RedisLinkOptions,
  lost: (made: Connections, error: Error) => void,
): Promise<Connections> {
  let made: Connections | null = null;
  const early: Error[] = [];
  const newClient = (): Client => {
    const client = createClient({
      url,
      RESP: 3,
      // Who sends decides what to send again, and how long to wait for it.
      disableOfflineQueue: true,
      maintNotifications: 'disabled',
      // A time-out a command costs more than the command; silence is noticed by the ping.
      commandOptions: { timeout: 0 },
      socket: { reconnectStrategy: false, connectTimeout: connectMs },
    }) as unknown as Client;
    client.on('error', (error) => {
      if (made === null) early.push(error);
      else lost(made, error);
    });
    return client;
  };
  const [commands, subscriber] = [newClient(), newClient()];
  let cancel = (): void => undefined;
  const tooLate = new Promise<never>((_, reject) => {
    cancel = clock.after(connectMs, () => reject(new Error(`no answer within ${connectMs} ms`)));
  });
  try {
    await Promise.race([Promise.all([commands.connect(), subscriber.connect()]), tooLate]);
    const info = String(await Promise.race([commands.sendCommand(['INFO'], {}), tooLate]));
    const runId = judgeInfo(info);
    const loads = scripts.map(({ text }) => commands.sendCommand(['SCRIPT', 'LOAD', text], {}));
    await Promise.race([Promise.all(loads), tooLate]);
    if (early[0] !== undefined) throw early[0];
    made = { commands, subscriber, runId };
    return made;
  } catch (error) {
    commands.destroy();
    subscriber.destroy();
    throw error;
  } finally {
    cancel();
    tooLate.catch(() => undefined);
  }
}

/** The run_id of a Redis that will do. Throws otherwise; a replica may be a primary at the next attempt. */
export function judgeInfo(info: string): string {
  const fieldOf = (name: string): string => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1] ?? '';
  const version = fieldOf('redis_version');
  const [major = 0, minor = 0] = version.split('.').map(Number);
  // GETDEL and XTRIM MINID came with 6.2.
  if (major < 6 || (major === 6 && minor < 2))
    throw new Error(`it is version ${version}, and 6.2 is the oldest that will do`);
  if (fieldOf('redis_mode') === 'cluster')
    throw new Error('it is a cluster, whose parts share no script: take a single one');
  if (fieldOf('role') === 'slave') throw new Error('it is a replica, which takes no writes');
  const runId = fieldOf('run_id');
  if (runId === '') throw new Error('it does not say its run_id');
  return runId;
}

function unreachable(url: string, error: unknown): string {
  return `Redis at ${withoutPassword(url)} cannot be used: ${messageOf(error)}. Start it, correct --redis-url, or leave --redis-url out to run one instance without it.`;
}

/** The address as it may stand in a log. */
function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}

/** A reply that must be a list, as scripts give. */
export function listOf(reply: unknown): unknown[] {
  assert(Array.isArray(reply), 'a script answers with a list');
  return reply as unknown[];
}
