/**
 * Owns the definition of the talk about a session: messages for good, in one order for all, and receipts that say up to
 * which message their author has read. The author of both is whoever sent them, by their identity. Patients do not read it. It goes with its
 * session when that is erased.
 */

import { Type } from 'typebox';

import { defineChannel } from '#contract/channel-definition.ts';
import { Id, isSessionOfColleagues, listSessionsOfColleagues } from '#app/channels/channel-rules.ts';

const strict = { additionalProperties: false } as const;

export const chatLimits = {
  /** Half a page of text; at most 8 kB of UTF-8, half of what a message may have. */
  textCharacters: 2_000,
} as const;

const Message = Type.Object(
  { text: Type.String({ minLength: 1, maxLength: chatLimits.textCharacters, pattern: '\\S' }) },
  strict,
);
const Receipt = Type.Object(
  {
    /** Offset of the newest message that was read. */
    upTo: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
  },
  strict,
);

export const sessionChat = defineChannel({
  name: 'session/{session}/chat',
  summary: 'Talk about a session: kept for good, with receipts, and who is there',
  params: { session: Id },
  lossClass: 'event',
  durable: true,
  presence: 'members',
  out: { message: Message, receipt: Receipt },
  in: { message: Message, receipt: Receipt },
  allow: (context) => isSessionOfColleagues(context),
  list: listSessionsOfColleagues,
  message: {
    // The same receipt by the same reader from two windows, or sent again, is one.
    receipt: async ({ publish }, receipt) => {
      await publish('receipt', receipt, { key: `receipt ${receipt.upTo}` });
    },
  },
});
