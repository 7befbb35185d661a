/** Owns the extension that tests of clients use: rooms in which everybody of an organisation speaks and listens. */

import { defineChannel, defineExtension, Type } from '#extension';

const Text = Type.Object({ text: Type.String({ maxLength: 200 }) }, { additionalProperties: false });

const room = defineChannel({
  name: 'room/{room}',
  summary: 'A room in which everybody speaks',
  params: { room: Type.String({ pattern: '^[a-z0-9-]{1,40}$' }) },
  lossClass: 'event',
  history: { messages: 100, seconds: 600 },
  presence: 'members',
  out: { said: Text },
  in: { said: Text },
  allow: () => true,
});

export const extension = defineExtension({
  name: 'rooms',
  summary: 'Rooms for tests',
  channels: [room],
});
