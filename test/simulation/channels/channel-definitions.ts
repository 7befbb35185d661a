/** Owns the channels of the simulated world: short histories and one of each loss class, so that every edge is met. */

import { Type } from 'typebox';

import { defineChannel, type AnyChannel } from '#contract/channel-definition.ts';

const params = { room: Type.String({ pattern: '^[a-z0-9]{1,8}$' }) };
const Note = Type.Object({ n: Type.Integer(), from: Type.String() }, { additionalProperties: false });
const message = { note: Note };
const allow = (): boolean => true;

/** `short`: what a client misses in a few seconds is no longer kept. */
export const simulatedDefinitions: readonly AnyChannel[] = [
  defineChannel({
    name: 'short/{room}',
    summary: 'Every message, of which few are kept',
    params,
    lossClass: 'event',
    history: { messages: 12, seconds: 600 },
    presence: 'members',
    out: message,
    in: message,
    allow,
  }),
  defineChannel({
    name: 'long/{room}',
    summary: 'Every message, of which many are kept',
    params,
    lossClass: 'event',
    history: { messages: 1_000, seconds: 3_600 },
    out: message,
    in: message,
    allow,
  }),
  defineChannel({
    name: 'board/{room}',
    summary: 'The last value',
    params,
    lossClass: 'state',
    out: message,
    in: message,
    allow,
  }),
];

export const simulatedChannels = ['short/a', 'long/a', 'long/b', 'board/a'] as const;
