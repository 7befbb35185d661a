/**
 * Owns the definitions of what is recognised in a session's readings as they come: joint angles, newest wins, and the
 * strides, cycles, turns, notices and figures of its gait, every one in order. All of it is provisional: what counts is the
 * analysis of the committed readings (GET /v1/sessions/{id}/motion), of which the gait channel tells what became new.
 */

import { defineChannel } from '#contract/channel-definition.ts';
import { gaitEvents, LiveAngles } from '#contract/motion.ts';
import { Id, isSessionVisible, listSessions } from '#app/channels/channel-rules.ts';

export const sessionMotion = defineChannel({
  name: 'session/{session}/motion',
  summary: 'Joint angles of a session as they are measured, in degrees; provisional',
  params: { session: Id },
  lossClass: 'live',
  out: { angles: LiveAngles },
  allow: (context, operation) => operation === 'subscribe' && isSessionVisible(context),
  list: listSessions,
});

export const sessionGait = defineChannel({
  name: 'session/{session}/gait',
  summary: 'Strides, cycles, turns and figures of a session as they are recognised; provisional',
  params: { session: Id },
  lossClass: 'event',
  // Two minutes of a walk with its cycles; a stride takes 0.4 kB, a cycle of both legs up to 8 kB.
  history: { messages: 256, seconds: 3_600 },
  out: gaitEvents,
  allow: (context, operation) =>
    (operation === 'subscribe' || operation === 'history') && isSessionVisible(context),
  list: listSessions,
});
