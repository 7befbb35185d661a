/**
 * Owns the broker of a single process: histories in memory, bounded in addresses and in bytes over all of them. What does
 * not fit goes with the least recently used address as a whole, and that address begins again in a new epoch, so that
 * nobody takes the new offsets for the old ones. Listeners are called in the publisher's turn of the event loop.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { randomEpoch } from '#base/uuid.ts';
import type { Broker, BrokerListener, Published, PublishRequest } from '#bus/broker.ts';
import {
  publicationLimits,
  type HistoryPage,
  type HistoryQuery,
  type Position,
  type Publication,
} from '#protocol/publication.ts';

export interface MemoryBrokerOptions {
  readonly clock: Clock;
  /** Addresses with a history: an empty one costs half a kilobyte. */
  readonly maxAddresses?: number;
  /** Bytes of all kept payloads together. */
  readonly maxBytes?: number;
  /** Idempotency keys of all addresses together; the oldest are forgotten first. */
  readonly maxKeys?: number;
  readonly keySeconds?: number;
}

export interface BrokerCounters {
  readonly published: number;
  /** Publications that were not made, since their key was known. */
  readonly duplicates: number;
  /** Histories that were given up to make room: their readers begin again. */
  readonly evictedAddresses: number;
  /** Keys that were forgotten before their time. */
  readonly evictedKeys: number;
}

export interface MemoryBroker extends Broker {
  readonly counters: BrokerCounters;
  /** What is held now. */
  readonly held: { readonly addresses: number; readonly bytes: number; readonly keys: number };
}

interface Kept extends Publication {
  readonly keptAtMs: number;
}

interface History {
  readonly epoch: string;
  newest: number;
  kept: Kept[];
  bytes: number;
  seconds: number;
}

const DEFAULTS = {
  maxAddresses: 50_000,
  maxBytes: 256 * 1024 * 1024,
  maxKeys: 100_000,
  keySeconds: publicationLimits.keySeconds,
};

export function createMemoryBroker(options: MemoryBrokerOptions): MemoryBroker {
  const counters = { published: 0, duplicates: 0, evictedAddresses: 0, evictedKeys: 0 };
  const histories = createHistories({ ...DEFAULTS, ...options }, counters);
  const keys = createKeys({ ...DEFAULTS, ...options }, counters);
  const listeners = createListeners();
  let isClosed = false;

  const publish = (request: PublishRequest): Published => {
    if (isClosed) throw closed();
    const known = request.key === null ? undefined : keys.find(request.address, request.key);
    if (known !== undefined) {
      counters.duplicates++;
      return { position: known, isDuplicate: true };
    }
    const { epoch, publication } = histories.append(request);
    const position = { epoch, offset: publication.offset };
    if (request.key !== null) keys.remember(request.address, request.key, position);
    counters.published++;
    listeners.tell(request.address, epoch, publication);
    return { position, isDuplicate: false };
  };
  return {
    counters,
    get held() {
      return { ...histories.held, keys: keys.size };
    },
    // oxlint-disable-next-line typescript/require-await -- a refusal is a rejection, not a throw
    publish: async (request) => publish(request),
    // oxlint-disable-next-line typescript/require-await -- a refusal is a rejection, not a throw
    history: async (address, query) => {
      if (isClosed) throw closed();
      return histories.read(address, query);
    },
    listen(address, listener) {
      if (isClosed) {
        const ready = Promise.reject<void>(closed());
        ready.catch(() => undefined);
        return { ready, stop: () => undefined };
      }
      return { ready: Promise.resolve(), stop: listeners.add(address, listener) };
    },
    async close() {
      isClosed = true;
      listeners.clear();
      histories.clear();
      keys.clear();
    },
  };

  function closed(): AppError {
    return new AppError('store-unavailable', 'the broker is closed', { temporary: true });
  }
}

type Limits = Required<Omit<MemoryBrokerOptions, 'clock'>> & { readonly clock: Clock };
type Counters = { -readonly [K in keyof BrokerCounters]: number };

interface Histories {
  append(request: PublishRequest): { epoch: string; publication: Publication };
  read(address: string, query: HistoryQuery): HistoryPage;
  clear(): void;
  readonly held: { readonly addresses: number; readonly bytes: number };
}

function createHistories({ clock, maxAddresses, maxBytes }: Limits, counters: Counters): Histories {
  // In the order of use, the least recent first.
  const histories = new Map<string, History>();
  // Epochs of addresses that were only read: they wait apart for a first publication, at most `maxAddresses` too, so that
  // whoever reads addresses of his own invention drives out no history.
  const unused = new Map<string, string>();
  let bytes = 0;

  const find = (address: string): History => {
    const history = histories.get(address) ?? {
      epoch: unused.get(address) ?? randomEpoch(),
      newest: 0,
      kept: [],
      bytes: 0,
      seconds: 0,
    };
    unused.delete(address);
    histories.delete(address);
    histories.set(address, history);
    return history;
  };
  const epochOfUnused = (address: string): string => {
    const epoch = unused.get(address) ?? randomEpoch();
    unused.delete(address);
    unused.set(address, epoch);
    if (unused.size > maxAddresses) unused.delete(unused.keys().next().value!);
    return epoch;
  };
  /** Makes room, but never takes the address that was used last. */
  const evict = (): void => {
    for (const [address, history] of histories) {
      if ((histories.size <= maxAddresses && bytes <= maxBytes) || histories.size === 1) return;
      histories.delete(address);
      bytes -= history.bytes;
      counters.evictedAddresses++;
    }
  };
  const trim = (history: History, messages: number): void => {
    const bornAfterMs = clock.monotonicMs() - history.seconds * 1000;
    let gone = Math.max(0, history.kept.length - messages);
    while (gone < history.kept.length && history.kept[gone]!.keptAtMs <= bornAfterMs) gone++;
    for (const { payload } of history.kept.splice(0, gone)) {
      history.bytes -= payload.length;
      bytes -= payload.length;
    }
  };
  return {
    append({ address, payload, history: bounds }) {
      const history = find(address);
      history.seconds = bounds.seconds;
      history.newest++;
      const publication = { offset: history.newest, timeUs: clock.nowUs(), payload };
      if (bounds.messages > 0) {
        history.kept.push({ ...publication, keptAtMs: clock.monotonicMs() });
        history.bytes += payload.length;
        bytes += payload.length;
      }
      trim(history, bounds.messages);
      evict();
      return { epoch: history.epoch, publication };
    },
    read(address, query) {
      if (!histories.has(address))
        return { epoch: epochOfUnused(address), newest: 0, oldest: 1, publications: [] };
      const history = find(address);
      trim(history, Number.POSITIVE_INFINITY);
      const { epoch, newest, kept } = history;
      const publications = select(kept, query).map(({ offset, timeUs, payload }) => ({
        offset,
        timeUs,
        payload,
      }));
      return { epoch, newest, oldest: kept[0]?.offset ?? newest + 1, publications };
    },
    clear() {
      histories.clear();
      unused.clear();
      bytes = 0;
    },
    get held() {
      return { addresses: histories.size, bytes };
    },
  };
}

function select(kept: readonly Kept[], query: HistoryQuery): readonly Kept[] {
  const limit = Math.min(query.limit, publicationLimits.pageMessages);
  const first = kept[0]?.offset ?? 0;
  if ('after' in query) {
    const from = Math.max(0, query.after + 1 - first);
    return kept.slice(from, from + limit);
  }
  const end = 'before' in query ? Math.min(kept.length, Math.max(0, query.before - first)) : kept.length;
  return kept.slice(Math.max(0, end - limit), end);
}

interface Keys {
  find(address: string, key: string): Position | undefined;
  remember(address: string, key: string, position: Position): void;
  clear(): void;
  readonly size: number;
}

function createKeys({ clock, maxKeys, keySeconds }: Limits, counters: Counters): Keys {
  // All live equally long, so the order of insertion is the order of ending.
  const known = new Map<string, { readonly position: Position; readonly endsAtMs: number }>();
  const nameOf = (address: string, key: string): string => `${address}\n${key}`;
  const forget = (): void => {
    const nowMs = clock.monotonicMs();
    for (const [name, { endsAtMs }] of known) {
      const isOver = endsAtMs <= nowMs;
      if (!isOver && known.size <= maxKeys) return;
      if (!isOver) counters.evictedKeys++;
      known.delete(name);
    }
  };
  return {
    find(address, key) {
      forget();
      return known.get(nameOf(address, key))?.position;
    },
    remember(address, key, position) {
      known.set(nameOf(address, key), { position, endsAtMs: clock.monotonicMs() + keySeconds * 1000 });
      forget();
    },
    clear: () => known.clear(),
    get size() {
      return known.size;
    },
  };
}

interface Listeners {
  add(address: string, listener: BrokerListener): () => void;
  tell(address: string, epoch: string, publication: Publication): void;
  clear(): void;
}

function createListeners(): Listeners {
  const byAddress = new Map<string, Set<BrokerListener>>();
  // A listener that publishes is not answered in the middle: the others would see the second before the first. Emptied
  // before the outermost publication returns.
  const waiting: (() => void)[] = [];
  let isTelling = false;
  return {
    add(address, listener) {
      const listeners = byAddress.get(address) ?? new Set();
      byAddress.set(address, listeners);
      // A wrapper of its own, so that the same listener may listen twice and leave once.
      const own: BrokerListener = {
        publication: (epoch, publication) => listener.publication(epoch, publication),
        resumed: () => listener.resumed(),
      };
      listeners.add(own);
      return () => {
        listeners.delete(own);
        if (listeners.size === 0 && byAddress.get(address) === listeners) byAddress.delete(address);
      };
    },
    tell(address, epoch, publication) {
      const listeners = byAddress.get(address);
      if (listeners === undefined) return;
      const listening = [...listeners];
      waiting.push(() => {
        for (const listener of listening)
          if (listeners.has(listener)) listener.publication(epoch, publication);
      });
      if (isTelling) return;
      isTelling = true;
      try {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) next();
      } finally {
        isTelling = false;
      }
    },
    clear() {
      for (const listeners of byAddress.values()) listeners.clear();
      byAddress.clear();
    },
  };
}
