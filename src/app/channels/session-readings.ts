/** Owns the definition of a session's readings as they are measured: binary, newest wins (docs/protocol.md). */

import { defineChannel } from '#contract/channel-definition.ts';
import { Id, isSessionVisible, listSessions } from '#app/channels/channel-rules.ts';

export const sessionReadings = defineChannel({
  name: 'session/{session}/readings',
  summary: 'Readings of a session as they are measured, in binary messages, and what of them is committed',
  params: { session: Id },
  lossClass: 'live',
  encoding: 'readings',
  out: {},
  allow: (context, operation) => operation === 'subscribe' && isSessionVisible(context),
  list: listSessions,
});
