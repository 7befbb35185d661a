/**
 * Owns what tells listeners of a durable channel that something was published: one announcement a message on the bus, put
 * back into the order of offsets. One that comes before its predecessor waits for it a moment; then the hole is passed on,
 * and whoever listens fills it from the history. At most `held` wait for one address.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { BrokerListener, Listening } from '#bus/broker.ts';
import type { Bus } from '#bus/bus.ts';
import type { Appended, Publication } from '#protocol/publication.ts';

export interface Announcement {
  readonly epoch: string;
  readonly publication: Publication;
}

export interface AnnouncementOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly limits: { readonly holdMs: number; readonly held: number };
  readonly counters: { holes: number };
}

export interface Announcements {
  listen(topic: string, listener: BrokerListener): Listening;
  /** Tells every listener that announcements may have been missed. */
  readonly resumed: () => void;
  close(): void;
}

interface Topic {
  readonly listeners: Set<BrokerListener>;
  /** The bus brings what others announce. */
  readonly ready: Promise<void>;
  receive(announcement: Announcement): void;
  stop(): void;
}

export function createAnnouncements(options: AnnouncementOptions): Announcements {
  const topics = new Map<string, Topic>();
  let isClosed = false;

  const open = (name: string): Topic => {
    const topic = createTopic(options);
    const ready = Promise.withResolvers<void>();
    ready.promise.catch(() => undefined);
    const stopBus = options.bus.subscribe(
      name,
      (bytes) => {
        const announcement = decodeAnnouncement(bytes);
        if (announcement !== null) topic.receive(announcement);
      },
      {
        ready: ready.resolve,
        resumed() {
          for (const listener of topic.listeners) listener.resumed();
        },
      },
    );
    return {
      ...topic,
      ready: ready.promise,
      stop() {
        stopBus();
        topic.stop();
        ready.reject(unavailable('the listening was stopped'));
      },
    };
  };
  return {
    listen(name, listener) {
      if (isClosed) return { ready: neverReady(), stop: () => undefined };
      const topic = topics.get(name) ?? open(name);
      topics.set(name, topic);
      // A wrapper of its own, so that the same listener may listen twice and leave once.
      const own: BrokerListener = {
        publication: (epoch, publication) => listener.publication(epoch, publication),
        resumed: () => listener.resumed(),
      };
      topic.listeners.add(own);
      return {
        ready: topic.ready,
        stop() {
          topic.listeners.delete(own);
          if (topic.listeners.size > 0 || topics.get(name) !== topic) return;
          topics.delete(name);
          topic.stop();
        },
      };
    },
    resumed() {
      for (const { listeners } of topics.values()) for (const listener of listeners) listener.resumed();
    },
    close() {
      isClosed = true;
      for (const topic of topics.values()) {
        topic.listeners.clear();
        topic.stop();
      }
      topics.clear();
    },
  };
}

function neverReady(): Promise<void> {
  const ready = Promise.reject<void>(unavailable('the broker is closed'));
  ready.catch(() => undefined);
  return ready;
}

function unavailable(message: string): AppError {
  return new AppError('store-unavailable', message, { temporary: true });
}

function createTopic({ clock, limits, counters }: AnnouncementOptions): Omit<Topic, 'ready'> {
  const listeners = new Set<BrokerListener>();
  const held = new Map<number, Publication>();
  let epoch = '';
  /** The last that was told; null: none yet, and any may be the first. */
  let last: number | null = null;
  let cancelHold: (() => void) | null = null;

  const tell = (publication: Publication): void => {
    last = publication.offset;
    // A snapshot: who begins to listen meanwhile hears the next.
    for (const listener of listeners.size === 1 ? listeners : Array.from(listeners))
      if (listeners.has(listener)) listener.publication(epoch, publication);
  };
  const tellFollowing = (): void => {
    for (let next = held.get(last! + 1); next !== undefined; next = held.get(last! + 1)) {
      held.delete(next.offset);
      tell(next);
    }
    if (held.size > 0) return;
    cancelHold?.();
    cancelHold = null;
  };
  const giveUp = (): void => {
    cancelHold?.();
    cancelHold = null;
    counters.holes++;
    const waiting = [...held.values()].toSorted((a, b) => a.offset - b.offset);
    held.clear();
    for (const publication of waiting) tell(publication);
  };
  return {
    listeners,
    receive(announcement) {
      const { publication } = announcement;
      if (announcement.epoch !== epoch) {
        if (held.size > 0) giveUp();
        epoch = announcement.epoch;
        last = null;
      }
      if (last !== null && publication.offset <= last) return;
      if (last === null || publication.offset === last + 1) {
        tell(publication);
        tellFollowing();
        return;
      }
      held.set(publication.offset, publication);
      if (held.size >= limits.held) giveUp();
      else cancelHold ??= clock.after(limits.holdMs, giveUp);
    },
    stop() {
      cancelHold?.();
      cancelHold = null;
      held.clear();
    },
  };
}

/** Bytes before the payload: u8 version, f64 offset, f64 time, u8 length of the epoch, its ASCII. Little endian. */
const VERSION = 1;
const FIXED_BYTES = 18;

export function encodeAnnouncement({ position, timeUs }: Appended, payload: Uint8Array): Uint8Array {
  const { epoch, offset } = position;
  const bytes = new Uint8Array(FIXED_BYTES + epoch.length + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, VERSION);
  view.setFloat64(1, offset, true);
  view.setFloat64(9, timeUs, true);
  view.setUint8(17, epoch.length);
  for (let i = 0; i < epoch.length; i++) bytes[FIXED_BYTES + i] = epoch.charCodeAt(i);
  bytes.set(payload, FIXED_BYTES + epoch.length);
  return bytes;
}

/** Null for what is no announcement: another version of this program may be on the same bus. */
export function decodeAnnouncement(bytes: Uint8Array): Announcement | null {
  if (bytes.length < FIXED_BYTES || bytes[0] !== VERSION) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = FIXED_BYTES + bytes[17]!;
  const offset = view.getFloat64(1, true);
  const timeUs = view.getFloat64(9, true);
  if (end > bytes.length || !Number.isSafeInteger(offset) || !Number.isSafeInteger(timeUs) || offset < 1)
    return null;
  return {
    epoch: String.fromCharCode(...bytes.subarray(FIXED_BYTES, end)),
    publication: { offset, timeUs, payload: bytes.subarray(end) },
  };
}
