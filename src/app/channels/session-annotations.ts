/**
 * Owns the definition of what people write on the time line of a session: every change in order, told in the transaction that
 * makes it (clinic/annotations.ts), so that all who look at the session see it. Nothing is published by clients: an annotation
 * is placed by the REST API. It goes with its session when that is erased.
 */

import { defineChannel } from '#contract/channel-definition.ts';
import { annotationEvents } from '#contract/visit.ts';
import { Id, isSessionVisible, listSessions } from '#app/channels/channel-rules.ts';

export const sessionAnnotations = defineChannel({
  name: 'session/{session}/annotations',
  summary: 'What people write on the time line of a session: placed, changed, removed',
  params: { session: Id },
  lossClass: 'event',
  durable: true,
  out: annotationEvents,
  allow: (context, operation) =>
    (operation === 'subscribe' || operation === 'history') && isSessionVisible(context),
  list: listSessions,
});
