/**
 * Owns the parent's side of redis-peer-process.ts: bus, broker and presence of another process, behind the interfaces of
 * those of this one, so that the conformance suites run across processes. One process serves many of them.
 */

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { AppError } from '#base/errors.ts';
import type { Broker, Published } from '#bus/broker.ts';
import type { Bus } from '#bus/bus.ts';
import type { Members, Presence, PresenceChange } from '#bus/presence.ts';
import type { RedisOptions } from '#bus/redis.ts';
import type { HistoryPage, Publication } from '#protocol/publication.ts';

export interface PeerCall {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

export type PeerAnswer =
  | { readonly id: number; readonly value: unknown }
  | {
      readonly id: number;
      readonly error: { readonly code: string; readonly message: string; readonly temporary: boolean };
    }
  | { readonly heard: number; readonly args: readonly unknown[] };

export interface PeerRedis {
  readonly bus: Bus;
  readonly broker: Broker;
  readonly presence: Presence;
  close(): Promise<void>;
}

export interface RedisPeer {
  readonly pid: number;
  open(options: Pick<RedisOptions, 'url' | 'prefix' | 'keySeconds' | 'leaseMs'>): Promise<PeerRedis>;
  kill(): void;
}

type Hear = (...args: never[]) => void;

interface Wire {
  call(name: string, ...args: unknown[]): Promise<unknown>;
  /** Starts hearing under a number of its own. */
  hear(listener: Hear, start: (id: number) => Promise<unknown>): { ready: Promise<unknown>; stop(): void };
}

export function startRedisPeer(): RedisPeer {
  const child = fork(fileURLToPath(new URL('redis-peer-process.ts', import.meta.url)), {
    serialization: 'advanced',
  });
  const asked = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  const listeners = new Map<number, Hear>();
  let made = 0;
  child.on('message', (answer: PeerAnswer) => {
    if ('heard' in answer) {
      listeners.get(answer.heard)?.(...(answer.args as never[]));
      return;
    }
    const waiting = asked.get(answer.id);
    asked.delete(answer.id);
    if ('value' in answer) waiting?.resolve(answer.value);
    else waiting?.reject(new AppError(answer.error.code, answer.error.message, answer.error));
  });
  const wireTo = (handle: number): Wire => {
    const call = (name: string, ...args: unknown[]): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const id = ++made;
        asked.set(id, { resolve, reject });
        child.send({ id, name, args: [handle, ...args] } satisfies PeerCall);
      });
    return {
      call,
      hear(listener, start) {
        const id = ++made;
        listeners.set(id, listener);
        return {
          ready: start(id),
          stop() {
            if (listeners.delete(id)) void call('stop', id);
          },
        };
      },
    };
  };
  return {
    pid: child.pid!,
    async open(options) {
      const wire = wireTo(++made);
      await wire.call('open', options);
      return {
        bus: busOver(wire),
        broker: brokerOver(wire),
        presence: presenceOver(wire),
        close: async () => void (await wire.call('close')),
      };
    },
    kill: () => void child.kill('SIGKILL'),
  };
}

function busOver({ call, hear }: Wire): Bus {
  return {
    publish: (topic, payload) => void call('busPublish', topic, payload),
    hasListeners: () => true,
    subscribe: (topic, handler) => hear(handler, (id) => call('busSubscribe', id, topic)).stop,
    close: async () => void (await call('closeBus')),
  };
}

function brokerOver({ call, hear }: Wire): Broker {
  return {
    publish: (request) => call('publish', request) as Promise<Published>,
    history: (address, query) => call('history', address, query) as Promise<HistoryPage>,
    listen(address, listener) {
      const heard = (epoch?: string, publication?: Publication): void => {
        if (epoch === undefined || publication === undefined) listener.resumed();
        else listener.publication(epoch, publication);
      };
      const { ready, stop } = hear(heard, (id) => call('listen', id, address));
      ready.catch(() => undefined);
      return { ready: ready as Promise<void>, stop };
    },
    close: async () => void (await call('closeBroker')),
  };
}

function presenceOver({ call, hear }: Wire): Presence {
  return {
    enter: (address, member) => call('enter', address, member) as Promise<void>,
    leave: (address, id) => call('leave', address, id) as Promise<void>,
    members: (address, limit) => call('members', address, limit) as Promise<Members>,
    listen: (address, changed) =>
      hear(
        (change: PresenceChange) => changed(change),
        (id) => call('presenceListen', id, address),
      ).stop,
    close: async () => void (await call('closePresence')),
  };
}
