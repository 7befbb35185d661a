/**
 * Owns a broker that fails as networks and stores do, on top of one that does not: deliveries get lost, histories cannot be
 * read or come late, and a history is lost as a whole and begins anew in another epoch. All by a test's own doing.
 */

import { AppError } from '#base/errors.ts';
import type { Broker, BrokerListener } from '#bus/broker.ts';
import type { HistoryPage, Position } from '#protocol/publication.ts';

export interface FaultyBroker extends Broker {
  /** Deliveries are lost for each listener with this chance. */
  lossChance: number;
  /** Reads of histories fail. */
  isUnreadable: boolean;
  /** Reads of histories wait until `release`. */
  isSlow: boolean;
  /** Lets slow reads go on, as they would have been answered when they were asked. */
  release(): void;
  /** Tells every listener that the way is there again. */
  resume(): void;
  /** All histories are lost: what comes next stands in another epoch. */
  forget(): void;
  /** What was published: n by epoch and offset. */
  readonly published: ReadonlyMap<string, Uint8Array>;
}

export function createFaultyBroker(inner: Broker, chance: () => number): FaultyBroker {
  const listeners = new Set<BrokerListener>();
  const published = new Map<string, Uint8Array>();
  let waiting: (() => void)[] = [];
  // Another address is another history; listeners hear of it under the one they know.
  let life = 0;
  const lived = (address: string): string => `${address}/life-${life}`;
  const listening: { readonly address: string; readonly listener: BrokerListener; stop: () => void }[] = [];
  const listenNow = (one: (typeof listening)[number]): void => {
    one.stop();
    one.stop = inner.listen(lived(one.address), one.listener).stop;
  };
  const broker: FaultyBroker = {
    lossChance: 0,
    isUnreadable: false,
    isSlow: false,
    published,
    release() {
      const released = waiting;
      waiting = [];
      for (const go of released) go();
    },
    resume() {
      for (const listener of listeners) listener.resumed();
    },
    forget() {
      life++;
      for (const one of listening) listenNow(one);
    },
    async publish(request) {
      const done = await inner.publish({ ...request, address: lived(request.address) });
      published.set(keyOf(done.position), request.payload);
      return done;
    },
    async history(address, query): Promise<HistoryPage> {
      if (broker.isUnreadable)
        throw new AppError('store-unavailable', 'the history cannot be read', { temporary: true });
      const page = await inner.history(lived(address), query);
      if (broker.isSlow) await new Promise<void>((resolve) => waiting.push(resolve));
      return page;
    },
    listen(address, listener) {
      const lossy: BrokerListener = {
        publication(epoch, publication) {
          if (chance() >= broker.lossChance) listener.publication(epoch, publication);
        },
        resumed: () => listener.resumed(),
      };
      const one = { address, listener: lossy, stop: () => undefined };
      listenNow(one);
      listening.push(one);
      listeners.add(listener);
      return {
        ready: Promise.resolve(),
        stop() {
          one.stop();
          listening.splice(listening.indexOf(one), 1);
          listeners.delete(listener);
        },
      };
    },
    close: () => inner.close(),
  };
  return broker;
}

export function keyOf({ epoch, offset }: Position): string {
  return `${epoch}/${offset}`;
}
