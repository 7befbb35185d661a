/**
 * Owns a chain of motion for tests of what surrounds it: of the type of motion/session-motion.ts, tiny, recursive, so that
 * every reading changes all that follows, and late by one reading, so that an end matters. A reading of `poison` makes it
 * throw.
 */

import type { BodyModel } from '#motion/body-model.ts';
import type { CreateSessionMotion, MotionBatch, SessionMotion } from '#motion/session-motion.ts';
import type { Contact } from '#motion/results.ts';

export const poison = 666;

interface Waiting {
  readonly timeUs: number;
  readonly placement: number;
  readonly value: number;
}

interface State {
  level: number;
  readings: number;
  last: number | null;
  waiting: Waiting[];
}

/** A contact for each reading, at the next one, whose side says which way a recursive mean went; its time carries the mean. */
export const createStandIn: CreateSessionMotion = (model: BodyModel, saved?: Uint8Array): SessionMotion => {
  const state: State =
    saved === undefined
      ? { level: model.heightM ?? 0, readings: 0, last: null, waiting: [] }
      : (JSON.parse(Buffer.from(saved).toString()) as State);
  let contacts: Contact[] = [];
  const tell = (): void => {
    if (state.last === null) return;
    contacts.push({
      side: state.level > 0 ? 'left' : 'right',
      kind: 'initial',
      timeUs: state.last + state.level,
    });
    state.last = null;
  };
  const process = (untilUs: number): void => {
    const due = state.waiting
      .filter(({ timeUs }) => timeUs < untilUs)
      .toSorted((a, b) => a.timeUs - b.timeUs || a.placement - b.placement);
    state.waiting = state.waiting.filter(({ timeUs }) => timeUs >= untilUs);
    for (const { timeUs, placement, value } of due) {
      if (value === poison) throw new Error('the chain was poisoned');
      tell();
      state.level = 0.9 * state.level + Math.sin(value) / (placement + 3);
      state.readings++;
      state.last = timeUs;
    }
  };
  return {
    model,
    angleNames: [],
    push(placement, { timesUs, values, axes, count }) {
      for (let i = 0; i < count; i++)
        state.waiting.push({ timeUs: timesUs[i]!, placement, value: values[i * axes]! });
    },
    advance: process,
    finish() {
      process(Number.POSITIVE_INFINITY);
      tell();
    },
    take(): MotionBatch {
      const batch = { angles: [], contacts, strides: [], cycles: [], turns: [], notices: [] };
      contacts = [];
      return batch;
    },
    summary: () => [
      {
        metric: 'cadence',
        side: null,
        value: state.level,
        spread: null,
        count: state.readings,
        reason: null,
      },
    ],
    counters: { readings: 0, late: 0, dropped: 0, gaps: 0 },
    save: () => Buffer.from(JSON.stringify(state)),
  };
};
