/**
 * Owns the channel of the channels benchmark: rooms of class event, in which everybody may say something. What a channel of
 * a product would have is there too: permission is asked, the schema is checked, messages are numbered and kept.
 */

import { defineChannel, defineExtension, Type } from '#extension';

/** What the benchmark's clients publish and count. */
const Message = Type.Object(
  { n: Type.Integer(), sentUs: Type.Integer(), text: Type.String({ maxLength: 8_192 }) },
  { additionalProperties: false },
);

const room = defineChannel({
  name: 'bench/{room}',
  summary: 'A room of the benchmark',
  params: { room: Type.String({ pattern: '^[a-z0-9-]{1,40}$' }) },
  lossClass: 'event',
  history: { messages: 100, seconds: 3_600 },
  out: { message: Message },
  in: { message: Message },
  allow: () => true,
});

export const extension = defineExtension({
  name: 'bench-rooms',
  summary: 'Rooms of the channels benchmark',
  channels: [room],
});
