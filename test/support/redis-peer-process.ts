/**
 * Owns another instance of what Kymo shares through Redis, in a process of its own: it does what its parent tells it by
 * messages, and tells what its listeners hear. redis-peer.ts is the parent's side. Ends with its parent.
 */

import { silentLog } from '#base/log.ts';
import { systemClock } from '#base/clock.ts';
import { connectRedis, type Redis, type RedisOptions } from '#bus/redis.ts';
import type { PeerAnswer, PeerCall } from '#test/support/redis-peer.ts';

const opened = new Map<number, Redis>();
const stops = new Map<number, () => void>();

function tell(answer: PeerAnswer): void {
  if (process.connected) process.send?.(answer);
}

/** The calls by name; the first argument says which of the opened ones is meant. */
const calls: Record<string, (...args: never[]) => unknown> = {
  async open(handle: number, options: Pick<RedisOptions, 'url' | 'prefix' | 'keySeconds' | 'leaseMs'>) {
    opened.set(handle, await connectRedis({ clock: systemClock, log: silentLog, ...options }));
  },
  publish: (handle: number, ...args: Parameters<Redis['broker']['publish']>) =>
    of(handle).broker.publish(...args),
  history: (handle: number, ...args: Parameters<Redis['broker']['history']>) =>
    of(handle).broker.history(...args),
  closeBroker: (handle: number) => of(handle).broker.close(),
  listen(handle: number, id: number, address: string) {
    const listening = of(handle).broker.listen(address, {
      publication: (epoch, publication) => tell({ heard: id, args: [epoch, publication] }),
      resumed: () => tell({ heard: id, args: [] }),
    });
    stops.set(id, listening.stop);
    return listening.ready;
  },
  busPublish: (handle: number, topic: string, payload: Uint8Array) => of(handle).bus.publish(topic, payload),
  busSubscribe(handle: number, id: number, topic: string) {
    stops.set(
      id,
      of(handle).bus.subscribe(topic, (payload, name) => tell({ heard: id, args: [payload, name] })),
    );
  },
  closeBus: (handle: number) => of(handle).bus.close(),
  enter: (handle: number, ...args: Parameters<Redis['presence']['enter']>) =>
    of(handle).presence.enter(...args),
  leave: (handle: number, ...args: Parameters<Redis['presence']['leave']>) =>
    of(handle).presence.leave(...args),
  members: (handle: number, ...args: Parameters<Redis['presence']['members']>) =>
    of(handle).presence.members(...args),
  presenceListen(handle: number, id: number, address: string) {
    stops.set(
      id,
      of(handle).presence.listen(address, (change) => tell({ heard: id, args: [change] })),
    );
  },
  closePresence: (handle: number) => of(handle).presence.close(),
  stop(_handle: number, id: number) {
    stops.get(id)?.();
    stops.delete(id);
  },
  async close(handle: number) {
    await opened.get(handle)?.close();
    opened.delete(handle);
  },
};

function of(handle: number): Redis {
  const redis = opened.get(handle);
  if (redis === undefined) throw new Error(`nothing is open under ${handle}`);
  return redis;
}

process.on('message', ({ id, name, args }: PeerCall) => {
  // Called in the turn of the message, so that calls have their effects in the order in which they were made.
  new Promise((resolve) => resolve(calls[name]!(...(args as never[])))).then(
    (value) => tell({ id, value }),
    (error: unknown) => {
      const { code, message, temporary } = error as { code?: string; message: string; temporary?: boolean };
      tell({ id, error: { code: code ?? 'internal', message, temporary: temporary ?? false } });
    },
  );
});
process.on('disconnect', () => process.exit());
