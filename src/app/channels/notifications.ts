/**
 * Owns the definition of what the server has to tell an organisation: sessions that begin and end, devices that are gone,
 * commands that came to nothing. Ids and no names: what is told outlives an erasure.
 */

import { Type } from 'typebox';

import { defineChannel } from '#contract/channel-definition.ts';
import { Id, watches } from '#app/channels/channel-rules.ts';

const strict = { additionalProperties: false } as const;

export const notifications = defineChannel({
  name: 'notifications',
  summary: 'What the server has to tell an organisation: sessions, devices, commands',
  params: {},
  lossClass: 'event',
  durable: true,
  out: {
    /** The first stream of a new session was opened by this device. */
    'session-started': Type.Object({ session: Id, device: Id }, strict),
    /** The last stream of the session has ended. Told in the transaction that ends it. */
    'session-ended': Type.Object({ session: Id }, strict),
    /** A device whose connection broke is still away. */
    'device-lost': Type.Object({ device: Id }, strict),
    /** A device said no, or could not. */
    'command-refused': Type.Object(
      {
        device: Id,
        id: Id,
        command: Type.String(),
        message: Type.Optional(Type.String({ maxLength: 1024 })),
      },
      strict,
    ),
    /** No answer came before the command's time was over. */
    'command-expired': Type.Object({ device: Id, id: Id, command: Type.String() }, strict),
  },
  allow: ({ identity }, operation) =>
    watches(identity) && (operation === 'subscribe' || operation === 'history'),
  list: ({ identity }) => Promise.resolve(watches(identity) ? [{}] : []),
});
