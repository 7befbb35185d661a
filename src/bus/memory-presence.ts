/**
 * Owns presence in a single process. No lease is needed: the members die with the process that holds them. Bounded by
 * `maxMembers`; who comes beyond it is refused.
 */

import { AppError } from '#base/errors.ts';
import type { Member, Presence, PresenceChange } from '#bus/presence.ts';

export interface MemoryPresenceOptions {
  /** Members of all channels together: a quarter of a gigabyte when each says as much as it may. */
  readonly maxMembers?: number;
}

export function createMemoryPresence({ maxMembers = 200_000 }: MemoryPresenceOptions = {}): Presence {
  const rooms = new Map<string, Map<string, Member>>();
  const listeners = new Map<string, Set<(change: PresenceChange) => void>>();
  let count = 0;
  let isClosed = false;

  const tell = (address: string, change: PresenceChange): void => {
    const set = listeners.get(address);
    if (set === undefined) return;
    const listening = [...set];
    for (const changed of listening) if (set.has(changed)) changed(change);
  };
  const assertOpen = (): void => {
    if (isClosed) throw new AppError('store-unavailable', 'presence is closed', { temporary: true });
  };
  return {
    async enter(address, member) {
      assertOpen();
      const room = rooms.get(address) ?? new Map<string, Member>();
      if (!room.has(member.id)) {
        if (count >= maxMembers)
          throw new AppError('overloaded', `more than ${maxMembers} members are here`, { temporary: true });
        count++;
      }
      rooms.set(address, room);
      room.set(member.id, member);
      tell(address, { type: 'entered', member });
    },
    async leave(address, id) {
      assertOpen();
      const room = rooms.get(address);
      if (room === undefined || !room.delete(id)) return;
      count--;
      if (room.size === 0) rooms.delete(address);
      tell(address, { type: 'left', id });
    },
    async members(address, limit) {
      assertOpen();
      const room = rooms.get(address);
      return { count: room?.size ?? 0, members: [...(room?.values() ?? [])].slice(0, limit) };
    },
    listen(address, changed) {
      const set = listeners.get(address) ?? new Set();
      listeners.set(address, set);
      // A wrapper of its own, so that the same function may listen twice and leave once.
      const own = (change: PresenceChange): void => changed(change);
      if (!isClosed) set.add(own);
      return () => {
        set.delete(own);
        if (set.size === 0 && listeners.get(address) === set) listeners.delete(address);
      };
    },
    async close() {
      isClosed = true;
      for (const set of listeners.values()) set.clear();
      listeners.clear();
      rooms.clear();
      count = 0;
    },
  };
}
