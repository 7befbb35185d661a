/**
 * Owns what is asked of the server and waits for its answer: publications, requests, pages of history, members. In order,
 * at most MAX_UNDER_WAY sent and unanswered, at most MAX_ASKS in all: one more is refused at once and counted. After a
 * lost connection what is repeatable is sent again, before what waits; what was sent and is not, fails: nobody knows
 * whether it was done.
 */

import { errorCodes, type ErrorCode } from '#protocol/codes.ts';
import type { Answer, Ask, AskBody, LiveEffect } from '#sdk/live-events.ts';

/** As many as the server takes of one connection at a time. */
export const MAX_UNDER_WAY = 16;
/** A page that asks for more in one absence has a fault; at 16 KiB each this is 4 MiB. */
export const MAX_ASKS = 256;

const answerTypes: Readonly<Record<AskBody['type'], Answer['type']>> = {
  publish: 'published',
  request: 'response',
  history: 'history',
  members: 'members',
  state: 'stated',
};

export interface AskLine {
  /** Sends with a number of its own, which it returns. */
  send(body: AskBody): number;
  effect(effect: LiveEffect): void;
}

export interface Asks {
  readonly size: number;
  readonly underWay: number;
  /** How many were refused because MAX_ASKS were there. */
  readonly refused: number;
  readonly nextDeadlineMs: number;
  add(ask: Ask): void;
  /** Sends what waits, as far as the maximum allows. */
  pump(): void;
  /** False when it answers none of these. */
  answer(answer: Answer): boolean;
  error(id: number, code: string, message: string): boolean;
  /** The connection is gone. */
  lost(): void;
  expire(nowMs: number): void;
  /** Fails all. */
  end(code: string, message: string): void;
}

export function createAsks(line: AskLine): Asks {
  const waiting: Ask[] = [];
  const sent = new Map<number, Ask>();
  let refused = 0;

  const fail = (ask: Ask, code: string, message: string): void =>
    line.effect({ type: 'failed', ref: ask.ref, code, message, temporary: isTemporary(code) });
  const all = (): Ask[] => [...sent.values(), ...waiting];
  const pump = (): void => {
    while (sent.size < MAX_UNDER_WAY) {
      const ask = waiting.shift();
      if (ask === undefined) return;
      sent.set(line.send(ask.body), ask);
    }
  };
  const take = (id: number): Ask | undefined => {
    const ask = sent.get(id);
    sent.delete(id);
    return ask;
  };
  return {
    get size() {
      return sent.size + waiting.length;
    },
    get underWay() {
      return sent.size;
    },
    get refused() {
      return refused;
    },
    get nextDeadlineMs() {
      let at = Number.POSITIVE_INFINITY;
      for (const ask of sent.values()) at = Math.min(at, ask.deadlineMs);
      for (const ask of waiting) at = Math.min(at, ask.deadlineMs);
      return at;
    },
    add(ask) {
      if (sent.size + waiting.length >= MAX_ASKS) {
        refused++;
        fail(ask, 'overloaded', `at most ${MAX_ASKS} publications and requests wait at a time`);
      } else waiting.push(ask);
    },
    pump,
    answer(answer) {
      const ask = sent.get(answer.id);
      if (ask === undefined || answerTypes[ask.body.type] !== answer.type) return false;
      take(answer.id);
      line.effect({ type: 'answered', ref: ask.ref, answer });
      return true;
    },
    error(id, code, message) {
      const ask = take(id);
      if (ask !== undefined) fail(ask, code, message);
      return ask !== undefined;
    },
    lost() {
      const again: Ask[] = [];
      for (const ask of sent.values())
        if (ask.isRepeatable) again.push(ask);
        else fail(ask, 'unreachable', 'the connection was lost before the answer; it may have been done');
      sent.clear();
      waiting.unshift(...again);
    },
    expire(nowMs) {
      const isDue = (ask: Ask): boolean => nowMs >= ask.deadlineMs;
      const due = all().filter(isDue);
      if (due.length === 0) return;
      for (const [id, ask] of sent) if (isDue(ask)) sent.delete(id);
      const kept = waiting.filter((ask) => !isDue(ask));
      waiting.splice(0, waiting.length, ...kept);
      for (const ask of due) fail(ask, 'timed-out', 'no answer came in time');
    },
    end(code, message) {
      const left = all();
      sent.clear();
      waiting.length = 0;
      for (const ask of left) fail(ask, code, message);
    },
  };
}

/** Whether the same may succeed later: `unreachable` is the client's own word for a lost connection. */
export function isTemporary(code: string): boolean {
  return (
    code === 'unreachable' || (Object.hasOwn(errorCodes, code) && errorCodes[code as ErrorCode].temporary)
  );
}
