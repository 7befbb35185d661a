/**
 * Owns what an answer to a long poll says, as the messages that a WebSocket would bring: where each channel begins, then
 * what it holds. Without I/O and without state.
 */

import type { HubMessage } from '#contract/live-messages.ts';
import { decodeCursor } from '#protocol/channel-cursor.ts';
import type { Position } from '#protocol/publication.ts';

export interface PollAnswer {
  readonly cursor: string;
  readonly channels: readonly {
    readonly channel: string;
    readonly lossClass: 'live' | 'event' | 'state';
    readonly recovered?: boolean;
  }[];
  readonly messages: readonly HubMessage[];
}

/** Null when it is none. */
export function readPollAnswer(value: unknown): PollAnswer | null {
  const answer = value as Partial<PollAnswer> | null;
  return typeof answer === 'object' &&
    answer !== null &&
    typeof answer.cursor === 'string' &&
    Array.isArray(answer.channels) &&
    Array.isArray(answer.messages)
    ? (answer as PollAnswer)
    : null;
}

/** Types that an answer may hold; anything else in it is not ours. */
const heldTypes: readonly unknown[] = ['message', 'reset', 'unsubscribed'];

/**
 * `known`: positions that the poll was asked with. A channel is told as subscribed when it is new or was not recovered;
 * `idsOf` gives the requests that it answers then.
 */
export function messagesOfPoll(
  { cursor, channels, messages }: PollAnswer,
  known: ReadonlyMap<string, Position>,
  idsOf: (channel: string, isRecovered: boolean) => readonly number[],
): HubMessage[] {
  const after = decodeCursor(cursor);
  const held = messages.filter((message) => heldTypes.includes((message as { type?: unknown } | null)?.type));
  const begins = channels.flatMap(({ channel, lossClass, recovered }, number): HubMessage[] => {
    const end = after?.positionOf(channel) ?? null;
    const first = held.find((message) => message.type === 'message' && message.channel === channel);
    const position =
      recovered === true ? (known.get(channel) ?? null) : end === null ? null : before(end, first);
    return idsOf(channel, recovered !== false).map((id) => ({
      type: 'subscribed',
      id,
      channel,
      number,
      lossClass,
      ...(position === null ? {} : { position }),
      ...(recovered === undefined ? {} : { recovered }),
    }));
  });
  return [...begins, ...held];
}

/** Where the messages of an answer begin. */
function before(end: Position, first: HubMessage | undefined): Position {
  const offset = first?.type === 'message' && first.offset !== undefined ? first.offset - 1 : end.offset;
  return { epoch: end.epoch, offset };
}
