/**
 * Owns who is in a channel as one who watches it knows: the list that was asked for, with the changes that were told since.
 * Bound: at most as many as the server lists; beyond, and for channels that only count, there is the count.
 */

import type { PresentMember } from '#contract/live-messages.ts';
import type { ChannelMembers } from '#sdk/live-api.ts';
import type { PresenceChange } from '#sdk/live-subscribers.ts';

/** As many as one answer lists (bus/presence.ts). */
const MAX_MEMBERS = 500;

export interface PresenceList {
  readonly current: ChannelMembers;
  /** The list is asked for: what is told until it comes is newer than it. */
  asked(): void;
  listed(answer: ChannelMembers): void;
  told(change: Pick<PresenceChange, 'count' | 'entered' | 'left'>): void;
}

export function createPresenceList(): PresenceList {
  let current: ChannelMembers = { count: 0, members: [] };
  /** Told since the list was asked for; null: left. */
  let since = new Map<string, PresentMember | null>();

  const withChanges = (
    members: readonly PresentMember[],
    changes: ReadonlyMap<string, PresentMember | null>,
  ): readonly PresentMember[] => {
    const byId = new Map(members.map((member) => [member.id, member]));
    for (const [id, member] of changes)
      if (member === null) byId.delete(id);
      else if (byId.has(id) || byId.size < MAX_MEMBERS) byId.set(id, member);
    return [...byId.values()];
  };
  return {
    get current() {
      return current;
    },
    asked() {
      since = new Map();
    },
    listed({ count, members }) {
      const now = withChanges(members, since);
      // A change that was told meanwhile brought a newer count.
      current = { count: since.size > 0 ? current.count : count, members: now };
    },
    told({ count, entered, left }) {
      const changes = new Map<string, PresentMember | null>();
      for (const id of left) changes.set(id, null);
      for (const member of entered) changes.set(member.id, member);
      for (const [id, member] of changes) if (since.size < 2 * MAX_MEMBERS) since.set(id, member);
      current = { count, members: withChanges(current.members, changes) };
    },
  };
}
