/**
 * Owns the place that instances share (what Redis is to them) in a simulated world: one broker, one bus and one presence
 * behind lines that are slow, lossy and sometimes cut, a face of them for each instance. It may come back empty. Bound: what
 * the world's instances listen to.
 */

import { AppError } from '#base/errors.ts';
import type { Broker, BrokerListener, Published, PublishRequest } from '#bus/broker.ts';
import type { Bus } from '#bus/bus.ts';
import { createMemoryBroker, type MemoryBroker } from '#bus/memory-broker.ts';
import { presenceLimits, type Member, type Presence, type PresenceChange } from '#bus/presence.ts';
import type { Publication } from '#protocol/publication.ts';
import { createSimulatedClock, type Process, type Scheduler } from '#test/simulation/scheduler.ts';

/** What an instance has of the place. */
export interface Face {
  readonly broker: Broker;
  readonly bus: Bus;
  readonly presence: Presence;
}

export interface SharedPlace {
  face(instance: string, process: Process): Face;
  /** Nothing passes between this instance and the place until it is reachable again. */
  setReachable(instance: string, isReachable: boolean): void;
  /** This share of what is told to instances is lost on the way. */
  setLoss(share: number): void;
  /** Everything that was kept is gone; whoever listened hears that the way was interrupted. */
  restartEmpty(): void;
  /** Who is there by the place's own account, now. */
  membersNow(address: string): string[];
}

export interface SharedPlaceOptions {
  readonly scheduler: Scheduler;
  /** Of everything that came to be, at the moment it did. */
  readonly published: (address: string, epoch: string, publication: Publication) => void;
  readonly emptied: () => void;
}

const LATENCY_MS = { least: 0.2, most: 3 } as const;
/** A caller gives an answer up after this, not knowing what became of the question. */
const ANSWER_MS = 2_000;

interface Line {
  isReachable: boolean;
  /** What was sent first arrives first. */
  arrivesMs: number;
  process: Process;
  readonly listeners: Set<() => void>;
  /** Members that came through it, by address and id: a place that lost them is told again. */
  readonly own: Map<string, { readonly address: string; readonly member: Member }>;
}

export function createSharedPlace({ scheduler, published, emptied }: SharedPlaceOptions): SharedPlace {
  const { random } = scheduler;
  const clock = createSimulatedClock(scheduler, 1_700_000_000_000_000, () => null);
  const lines = new Map<string, Line>();
  const rooms = new Map<string, Map<string, { readonly member: Member; readonly process: Process }>>();
  const leases = new Map<string, number>();
  const told = new Map<string, Set<(change: PresenceChange) => void>>();
  const topics = new Map<string, Set<(payload: Uint8Array) => void>>();
  const heard = new Map<string, Set<(epoch: string, publication: Publication) => void>>();
  const watched = new Set<string>();
  let broker: MemoryBroker = createMemoryBroker({ clock });
  let loss = 0;

  const latencyMs = (): number => LATENCY_MS.least + random.next() * (LATENCY_MS.most - LATENCY_MS.least);

  /** One line an instance and life: in order, or not at all. */
  function deliver(line: Line, action: () => void): void {
    if (!line.isReachable || random.next() < loss) return;
    line.arrivesMs = Math.max(line.arrivesMs, scheduler.nowMs + latencyMs());
    const { process } = line;
    scheduler.after(line.arrivesMs - scheduler.nowMs, process, () => {
      if (line.isReachable && line.process === process) action();
    });
  }

  /** A question over the line and its answer, either of which may be lost: then the caller knows nothing. */
  function ask<T>(line: Line, answer: () => Promise<T>): Promise<T> {
    const { process } = line;
    return new Promise((resolve, reject) => {
      const unknown = new AppError('store-unavailable', 'the place does not answer', { temporary: true });
      const cancel = scheduler.after(ANSWER_MS, process, () => reject(unknown));
      const settle = (end: () => void): void => {
        scheduler.after(latencyMs(), process, () => {
          if (!line.isReachable) return;
          cancel();
          end();
        });
      };
      scheduler.after(latencyMs(), null, () => {
        if (!line.isReachable) return;
        answer().then(
          (value) => settle(() => resolve(value)),
          (thrown: unknown) => settle(() => reject(thrown instanceof Error ? thrown : unknown)),
        );
      });
    });
  }

  /** From now on all that is published to the address is known to the world and told to who listens. */
  function watch(address: string): void {
    if (watched.has(address)) return;
    watched.add(address);
    broker.listen(address, {
      publication(epoch, publication) {
        published(address, epoch, publication);
        for (const tell of heard.get(address) ?? []) tell(epoch, publication);
      },
      resumed: () => undefined,
    });
  }

  function addTo<T>(sets: Map<string, Set<T>>, name: string, one: T): () => void {
    const set = sets.get(name) ?? new Set<T>();
    sets.set(name, set);
    set.add(one);
    return () => void set.delete(one);
  }

  function brokerOf(line: Line): Broker {
    return {
      publish: (request: PublishRequest): Promise<Published> =>
        ask(line, () => {
          watch(request.address);
          return broker.publish(request);
        }),
      history: (address, query) => ask(line, () => broker.history(address, query)),
      listen(address, listener: BrokerListener) {
        watch(address);
        let isStopped = false;
        const resumed = (): void => deliver(line, () => void (isStopped || listener.resumed()));
        const ready = ask(line, async () => undefined).then(
          () => {
            if (isStopped) throw stopped();
          },
          // The connection is made again until it is there, as a client of Redis does.
          () => whenReachable(line, () => isStopped),
        );
        ready.catch(() => undefined);
        const stopHearing = addTo(heard, address, (epoch: string, publication: Publication) =>
          deliver(line, () => void (isStopped || listener.publication(epoch, publication))),
        );
        line.listeners.add(resumed);
        return {
          ready,
          stop() {
            isStopped = true;
            stopHearing();
            line.listeners.delete(resumed);
          },
        };
      },
      close: async () => undefined,
    };
  }

  function whenReachable(line: Line, isStopped: () => boolean): Promise<void> {
    const { process } = line;
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (isStopped()) reject(stopped());
        else if (line.isReachable) resolve();
        else scheduler.after(100, process, look);
      };
      look();
    });
  }

  function busOf(line: Line): Bus {
    return {
      publish: (topic, payload) =>
        deliver(line, () => {
          for (const tell of topics.get(topic) ?? []) tell(payload);
        }),
      hasListeners: () => true,
      subscribe(topic, handler) {
        return addTo(topics, topic, (payload: Uint8Array) => deliver(line, () => handler(payload, topic)));
      },
      close: async () => undefined,
    };
  }

  const isLeased = (process: Process): boolean =>
    (leases.get(process.name) ?? Number.NEGATIVE_INFINITY) > scheduler.nowMs;
  /** Makes what the place has of an instance what the instance has (redis-presence.ts). */
  const enterAgain = (line: Line): void => {
    if (!line.process.isAlive) return;
    for (const [address, room] of rooms)
      for (const [id, { process }] of room)
        if (process === line.process && !line.own.has(`${address} ${id}`)) room.delete(id);
    for (const { address, member } of line.own.values())
      roomOf(address).set(member.id, { member, process: line.process });
  };
  const tellRoom = (address: string, change: PresenceChange): void => {
    for (const tell of told.get(address) ?? []) tell(change);
  };

  function roomOf(address: string): Map<string, { readonly member: Member; readonly process: Process }> {
    const room =
      rooms.get(address) ?? new Map<string, { readonly member: Member; readonly process: Process }>();
    rooms.set(address, room);
    return room;
  }

  function presenceOf(line: Line): Presence {
    return {
      enter(address, member) {
        line.own.set(`${address} ${member.id}`, { address, member });
        return ask(line, async () => {
          if (!line.own.has(`${address} ${member.id}`)) return;
          roomOf(address).set(member.id, { member, process: line.process });
          tellRoom(address, { type: 'entered', member });
        });
      },
      async leave(address, id) {
        line.own.delete(`${address} ${id}`);
        // What is lost on the way is made good when the lease is renewed.
        await ask(line, async () => {
          if (rooms.get(address)?.delete(id) === true) tellRoom(address, { type: 'left', id });
        }).catch(() => undefined);
      },
      members: (address, limit) =>
        ask(line, async () => {
          const here = [...(rooms.get(address)?.values() ?? [])].filter((one) => isLeased(one.process));
          return { count: here.length, members: here.slice(0, limit).map(({ member }) => member) };
        }),
      listen: (address, changed) =>
        addTo(told, address, (change: PresenceChange) => deliver(line, () => changed(change))),
      close: async () => undefined,
    };
  }

  /** A lease is renewed for as long as its process lives and reaches the place. */
  function renew(instance: string, process: Process): void {
    const line = lines.get(instance);
    if (line?.process !== process || !process.isAlive) return;
    if (line.isReachable && !process.isStopped)
      leases.set(process.name, scheduler.nowMs + presenceLimits.leaseMs);
    scheduler.after(presenceLimits.leaseMs / 3, null, () => renew(instance, process));
  }

  return {
    face(instance, process) {
      const line: Line = {
        isReachable: lines.get(instance)?.isReachable ?? true,
        arrivesMs: 0,
        process,
        listeners: new Set(),
        own: new Map(),
      };
      lines.set(instance, line);
      renew(instance, process);
      return { broker: brokerOf(line), bus: busOf(line), presence: presenceOf(line) };
    },
    setReachable(instance, isReachable) {
      const line = lines.get(instance);
      if (line === undefined || line.isReachable === isReachable) return;
      line.isReachable = isReachable;
      if (!isReachable) return;
      enterAgain(line);
      for (const resumed of line.listeners) resumed();
    },
    setLoss(share) {
      loss = share;
    },
    restartEmpty() {
      broker = createMemoryBroker({ clock });
      emptied();
      const addresses = [...watched];
      watched.clear();
      for (const address of addresses) watch(address);
      rooms.clear();
      for (const line of lines.values()) {
        if (line.isReachable) enterAgain(line);
        for (const resumed of line.listeners) resumed();
      }
    },
    membersNow: (address) =>
      [...(rooms.get(address)?.values() ?? [])]
        .filter(({ process }) => isLeased(process))
        .map(({ member }) => member.subject),
  };
}

function stopped(): AppError {
  return new AppError('store-unavailable', 'the listening was stopped', { temporary: true });
}
