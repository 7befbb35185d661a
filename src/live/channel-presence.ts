/**
 * Owns what viewers of one channel are told of who is in it: changes of `presenceMs` together, encoded once for all who are
 * equally far. What was missed is found by reading everybody again at least every lease. Large channels, and those that only
 * count, are read at most once a second and give a number. Bounds: `presenceLimits.listed` members, `presenceLeft` ids.
 */

import { AppError } from '#base/errors.ts';
import { presenceLimits, type Member, type Members, type PresenceChange } from '#bus/presence.ts';
import type { PresentMember } from '#contract/live-messages.ts';
import type { Batch, ChannelContext, ChannelSeat, Pulled } from '#live/channel.ts';
import { inTime } from '#live/in-time.ts';
import { encodeControl } from '#live/outgoing.ts';
import type { Outgoing } from '#live/transport.ts';

/** Where a viewer is in the comings and goings; 0 at first. */
export interface PresenceCursor {
  presenceRevision: number;
}

export interface ChannelPresence {
  pull(cursor: PresenceCursor, batch: Batch): Pulled;
  look(nowMs: number): void;
  stop(): void;
}

interface Known {
  readonly member: Member;
  readonly revision: number;
}

export function createChannelPresence(
  seat: ChannelSeat,
  context: ChannelContext,
  kind: 'count' | 'members',
): ChannelPresence {
  const { clock, limits, counters, channels } = context;
  const known = new Map<string, Known>();
  let left: { readonly id: string; readonly revision: number }[] = [];
  /** Who left at this revision or before is remembered no more. */
  let forgotten = 0;
  let revision = 0;
  let count = 0;
  let isCountOnly = kind === 'count';
  let isDirty = false;
  let isStopped = false;
  let isUntold = false;
  let readMs = Number.NEGATIVE_INFINITY;
  /** Who changed while everybody is read: of them the reading may be older. Null: nothing is read. */
  let touched: Set<string> | null = null;
  let cancelTelling: (() => void) | null = null;
  let cached: { readonly from: number; readonly to: number; readonly item: Outgoing } | null = null;

  const tellSoon = (): void => {
    cancelTelling ??= clock.after(limits.presenceMs, () => {
      cancelTelling = null;
      // A reading of everybody may have told it already.
      if (isUntold) tell();
    });
  };
  const tell = (): void => {
    revision++;
    isUntold = false;
    counters.presenceChanges++;
    if (left.length > limits.presenceLeft) {
      const gone = left.splice(0, left.length - limits.presenceLeft);
      forgotten = gone.at(-1)!.revision;
    }
    seat.changed();
  };
  const enter = (member: Member): void => {
    // Changes until the next telling belong to its revision.
    known.delete(member.id);
    known.set(member.id, { member, revision: revision + 1 });
  };
  const leave = (id: string): void => {
    if (known.delete(id)) left.push({ id, revision: revision + 1 });
  };
  const changed = (change: PresenceChange): void => {
    isDirty = true;
    if (isCountOnly) return;
    const id = change.type === 'entered' ? change.member.id : change.id;
    touched?.add(id);
    if (change.type === 'entered') enter(change.member);
    else leave(id);
    count = known.size;
    isUntold = true;
    if (count > presenceLimits.listed) countOnly();
    tellSoon();
  };
  /** The channel is too large to tell who it is. */
  const countOnly = (): void => {
    isCountOnly = true;
    isDirty = true;
    known.clear();
    left = [];
  };
  const compare = ({ count: counted, members }: Members, since: ReadonlySet<string>): void => {
    const wasCountOnly = isCountOnly;
    isCountOnly = kind === 'count' || counted > presenceLimits.listed;
    let isChanged = revision === 0 || wasCountOnly !== isCountOnly;
    if (isCountOnly) {
      countOnly();
      isDirty = false;
      isChanged ||= counted !== count;
      count = counted;
    } else {
      const listed = new Map(members.map((member) => [member.id, member]));
      for (const [id, member] of listed) {
        if (since.has(id) || known.get(id)?.member.state === member.state) continue;
        enter(member);
        isChanged = true;
      }
      for (const id of known.keys()) {
        if (since.has(id) || listed.has(id)) continue;
        leave(id);
        isChanged = true;
      }
      count = known.size;
    }
    if (isChanged) tell();
  };
  const read = async (): Promise<void> => {
    const since = new Set<string>();
    touched = since;
    isDirty = false;
    readMs = clock.monotonicMs();
    try {
      const most = kind === 'count' ? 0 : presenceLimits.listed;
      const members = await inTime(clock, limits.waitMs, channels.presence.members(seat.address, most));
      if (!isStopped) compare(members, since);
    } catch (cause) {
      // The next look reads again.
      isDirty = true;
      counters.presenceFailures++;
      if (!(cause instanceof AppError)) context.onFailure(cause);
    } finally {
      touched = null;
    }
  };
  const encodeSince = (from: number): Outgoing => {
    if (cached !== null && cached.from === from && cached.to === revision) return cached.item;
    const entered: PresentMember[] = [];
    for (const one of known.values()) if (one.revision > from) entered.push(presentMember(one.member));
    const gone = from === 0 ? [] : left.filter((one) => one.revision > from).map(({ id }) => id);
    const item = encodeControl({ type: 'presence', channel: seat.name, count, entered, left: gone });
    cached = { from, to: revision, item };
    return item;
  };
  const stopListening = channels.presence.listen(seat.address, changed);
  void read();
  return {
    pull(cursor, batch) {
      const from = cursor.presenceRevision;
      if (from === revision) return 'all';
      if (from > 0 && from < forgotten) return 'behind';
      const item = encodeSince(from);
      if (batch.bytes > 0 && batch.bytes + item.framed.length > batch.maxBytes) return 'more';
      batch.items.push(item);
      batch.bytes += item.framed.length;
      cursor.presenceRevision = revision;
      return 'all';
    },
    look(nowMs) {
      if (touched !== null) return;
      const isDue = nowMs - readMs >= presenceLimits.leaseMs;
      const isUnread = revision === 0 || isCountOnly;
      if (isDue || (isDirty && isUnread)) void read();
    },
    stop() {
      isStopped = true;
      stopListening();
      cancelTelling?.();
    },
  };
}

/** A member as viewers hear of it. What it says of itself is JSON that the hub made. */
export function presentMember({ id, subject, state }: Member): PresentMember {
  return { id, subject, state: JSON.parse(state) as unknown };
}
