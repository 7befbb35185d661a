/** Owns what the talk about a session shows: messages in their order, whose they are, and how many have read them. */

import type { PresentMember } from '#contract/live-messages.ts';
import type { ChannelMessage } from '#sdk/live-subscribers.ts';

/** The messages of `session/{session}/chat` (docs/commands-and-chat.md). */
export type TalkMessage =
  | ChannelMessage<'message', { readonly text: string }>
  | ChannelMessage<'receipt', { readonly upTo: number }>;

export interface TalkEntry {
  readonly offset: number;
  readonly text: string;
  readonly timeUs: number;
  readonly author: string;
  readonly isOwn: boolean;
  /** People other than its author who have read up to here. */
  readonly readers: number;
}

export interface Talk {
  readonly entries: readonly TalkEntry[];
  /** Offset of the newest message of others that `me` has not confirmed; null: none. */
  readonly unread: number | null;
}

/** `me`: null while it is not known. */
export function talkOf(messages: readonly TalkMessage[], me: string | null): Talk {
  const readUpTo = new Map<string, number>();
  for (const { event, data, by } of messages)
    if (event === 'receipt' && by !== null) readUpTo.set(by, Math.max(readUpTo.get(by) ?? 0, data.upTo));
  const entries: TalkEntry[] = [];
  let newestOfOthers = 0;
  for (const { event, data, by, offset, timeUs } of messages) {
    if (event !== 'message' || offset === null) continue;
    const isOwn = by !== null && by === me;
    if (!isOwn) newestOfOthers = offset;
    const readers = [...readUpTo].filter(([reader, upTo]) => reader !== by && upTo >= offset).length;
    entries.push({ offset, text: data.text, timeUs, author: authorOf(by), isOwn, readers });
  }
  const isUnread = me !== null && newestOfOthers > (readUpTo.get(me) ?? 0);
  return { entries, unread: isUnread ? newestOfOthers : null };
}

/** A subject as people can tell it from others: the end of a key's id, or the name that a token gives. */
export function authorOf(subject: string | null): string {
  if (subject === null) return 'Server';
  return /^[0-9a-f-]{36}$/.test(subject) ? `Reader ${subject.slice(-4)}` : subject.replace(/^user:/, '');
}

/** How many people beside `me` are there; `seat` is what this page says of itself. */
export function whoIsHere(
  members: readonly PresentMember[],
  seat: string,
): { readonly me: string | null; readonly others: number } {
  const own = members.find(({ state }) => (state as { seat?: unknown } | null)?.seat === seat);
  const me = own?.subject ?? null;
  const subjects = new Set(members.map(({ subject }) => subject));
  return { me, others: me === null ? 0 : subjects.size - 1 };
}
