/**
 * Owns presence in Redis. Each instance holds one lease for all its members and renews it every third of its time; whose
 * lease ended is gone with all members, and any living instance that looks tells the others. What this instance has is
 * kept here too, and made equal in Redis whenever Redis may have forgotten it. Bounded by `MAX_MEMBERS`.
 */

import type { Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { Member, Presence, PresenceChange } from '#bus/presence.ts';
import { LinkLost, listOf, unavailable, type RedisLink, type RedisScript } from '#bus/redis-link.ts';
import {
  enterScript,
  leaveScript,
  membersScript,
  ownScript,
  reapScript,
  renewScript,
} from '#bus/redis-presence-scripts.ts';
import type { RedisSubscriptions } from '#bus/redis-subscriptions.ts';

export interface RedisPresenceOptions {
  readonly link: RedisLink;
  readonly subscriptions: RedisSubscriptions;
  readonly clock: Clock;
  readonly log: Log;
  readonly prefix: string;
  readonly instanceId: string;
  readonly leaseMs: number;
  /** How long a question waits for a Redis that is away. */
  readonly waitMs: number;
}

export interface RedisPresenceCounters {
  /** Rooms of dead instances that this one cleared. */
  readonly clearedRooms: number;
  /** Times that this instance came too late to renew its lease, or Redis had lost it. */
  readonly lostLeases: number;
}

export interface RedisPresence extends Presence {
  readonly counters: RedisPresenceCounters;
}

/** Members of this instance, as many as the memory presence takes. */
const MAX_MEMBERS = 200_000;
/** Rooms that one look clears: about 10 ms of Redis for rooms of ten. */
const REAP_ROOMS = 200;
/** Members that are entered again at a time. */
const REENTER = 500;

/** Starts renewing the lease; the first renewal is awaited, so that who enters afterwards has one. */
export async function createRedisPresence(options: RedisPresenceOptions): Promise<RedisPresence> {
  const { link, clock, log, prefix, instanceId, leaseMs, waitMs } = options;
  const subscriptions = options.subscriptions.scope();
  const counters = { clearedRooms: 0, lostLeases: 0 };
  const own = createOwnMembers();
  let isClosed = false;
  let stopTimer = (): void => undefined;

  const run = (script: RedisScript, args: readonly string[]): Promise<unknown> =>
    link.run(script, [], [prefix, ...args]);
  /** Everything here may be done twice, so what was lost on the way is done again until the time is over. */
  const insist = async (script: RedisScript, args: readonly string[]): Promise<unknown> => {
    const untilMs = clock.monotonicMs() + waitMs;
    for (;;) {
      if (isClosed) throw unavailable('presence is closed');
      await link.whenUp(Math.max(0, untilMs - clock.monotonicMs()));
      try {
        return await run(script, args);
      } catch (error) {
        if (!(error instanceof LinkLost) || clock.monotonicMs() >= untilMs)
          throw unavailable(`Redis does not take presence: ${messageOf(error)}`, error);
      }
    }
  };
  const enterArgs = (address: string, member: Member): string[] => {
    const change: PresenceChange = { type: 'entered', member };
    return [instanceId, address, member.id, JSON.stringify(member), JSON.stringify(change)];
  };
  const leaveArgs = (address: string, id: string): string[] => {
    const change: PresenceChange = { type: 'left', id };
    return [instanceId, address, id, JSON.stringify(change)];
  };
  /** Makes what Redis has of this instance what this instance has. */
  const makeEqual = async (): Promise<void> => {
    const there = new Map<string, Set<string>>();
    for (const room of listOf(await run(ownScript, [instanceId]))) {
      const [address, ids] = listOf(room);
      there.set(String(address), new Set(listOf(ids).map(String)));
    }
    for (const [address, ids] of there)
      for (const id of ids)
        if (own.get(address, id) === undefined) await run(leaveScript, leaveArgs(address, id));
    const missing = own.all().filter(([address, { id }]) => there.get(address)?.has(id) !== true);
    for (let i = 0; i < missing.length; i += REENTER)
      await Promise.all(
        missing
          .slice(i, i + REENTER)
          .filter(([address, member]) => own.get(address, member.id) === member)
          .map(([address, member]) => run(enterScript, enterArgs(address, member))),
      );
  };
  /** `isNew`: the link was down, so leaving may have been lost, or Redis emptied. */
  const renew = async (isNew: boolean): Promise<void> => {
    const was = await run(renewScript, [instanceId, String(leaseMs)]);
    if (was !== 1 && own.size > 0) counters.lostLeases++;
    if (was !== 1 || isNew) await makeEqual();
    counters.clearedRooms += Number(await run(reapScript, [String(REAP_ROOMS)]));
  };
  const tick = (isNew: boolean): void => {
    stopTimer();
    if (isClosed || !link.isUp) return;
    stopTimer = clock.after(leaseMs / 3, () => tick(false));
    renew(isNew).catch((error: unknown) => {
      if (!(error instanceof LinkLost)) log.error('presence cannot be renewed', { reason: messageOf(error) });
    });
  };

  await renew(false);
  tick(false);
  link.listen({ up: () => tick(true), down: () => stopTimer() });
  return {
    counters,
    async enter(address, member) {
      if (isClosed) throw unavailable('presence is closed');
      own.put(address, member);
      try {
        while (own.get(address, member.id) === member) {
          if ((await insist(enterScript, enterArgs(address, member))) === 1) return;
          await insist(renewScript, [instanceId, String(leaseMs)]);
          counters.lostLeases++;
          await makeEqual();
        }
      } catch (error) {
        if (own.get(address, member.id) === member) own.remove(address, member.id);
        throw error instanceof AppError ? error : unavailable('Redis is not there', error);
      }
    },
    async leave(address, id) {
      if (isClosed) throw unavailable('presence is closed');
      if (!own.remove(address, id)) return;
      // Without Redis it is done when the link is back, or by the end of the lease.
      await run(leaveScript, leaveArgs(address, id)).catch((error: unknown) => {
        if (!(error instanceof LinkLost)) throw unavailable('Redis refuses presence', error);
      });
    },
    async members(address, limit) {
      if (isClosed) throw unavailable('presence is closed');
      const [count, listed] = listOf(await insist(membersScript, [address, String(limit)]));
      return {
        count: Number(count),
        members: listOf(listed).map((text) => JSON.parse(String(text)) as Member),
      };
    },
    listen(address, changed) {
      return subscriptions.add(`${prefix}p:${address}`, {
        message: (message) => changed(JSON.parse(message.toString()) as PresenceChange),
        // Who must be right reads the members again; presence.ts says so.
        resumed: () => undefined,
      }).stop;
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      stopTimer();
      subscriptions.close();
      // The others need not wait for the lease.
      if (link.isUp) await leaveAll().catch(() => undefined);
    },
  };

  async function leaveAll(): Promise<void> {
    await Promise.all(own.all().map(([address, { id }]) => run(leaveScript, leaveArgs(address, id))));
    await link.call(['DEL', `${prefix}lease:${instanceId}`]);
    await link.call(['SREM', `${prefix}instances`, instanceId]);
  }
}

interface OwnMembers {
  readonly size: number;
  /** Throws AppError `overloaded` when there are too many. */
  put(address: string, member: Member): void;
  get(address: string, id: string): Member | undefined;
  remove(address: string, id: string): boolean;
  all(): [string, Member][];
}

function createOwnMembers(): OwnMembers {
  const rooms = new Map<string, Map<string, Member>>();
  let size = 0;
  return {
    get size() {
      return size;
    },
    put(address, member) {
      const room = rooms.get(address) ?? new Map<string, Member>();
      if (!room.has(member.id)) {
        if (size >= MAX_MEMBERS)
          throw new AppError('overloaded', `more than ${MAX_MEMBERS} members are here`, { temporary: true });
        size++;
      }
      rooms.set(address, room);
      room.set(member.id, member);
    },
    get: (address, id) => rooms.get(address)?.get(id),
    remove(address, id) {
      const room = rooms.get(address);
      if (room === undefined || !room.delete(id)) return false;
      size--;
      if (room.size === 0) rooms.delete(address);
      return true;
    },
    all: () =>
      [...rooms].flatMap(([address, room]) =>
        [...room.values()].map((member): [string, Member] => [address, member]),
      ),
  };
}
