/**
 * Owns what the channel `session/{session}/gait` has told so far, as the page shows it: strides and cycles in order of
 * time, each once, whether the stored analysis has confirmed them, the newest figures, turns and notices. Bound: the
 * messages that were given, which the caller keeps to KEPT_EVENTS.
 */

import type { Static } from 'typebox';

import type { gaitEvents } from '#contract/motion.ts';
import type { ChannelMessage } from '#sdk/live-subscribers.ts';

export type Stride = Static<(typeof gaitEvents)['stride']>;
export type Cycle = Static<(typeof gaitEvents)['cycle']>;
export type Turn = Static<(typeof gaitEvents)['turn']>;
export type MotionNotice = Static<(typeof gaitEvents)['notice']>;
export type Metric = Static<(typeof gaitEvents)['summary']>['metrics'][number];

/** The messages of the channel (contract/motion.ts). */
export type GaitMessage = {
  [E in keyof typeof gaitEvents]: ChannelMessage<E, Static<(typeof gaitEvents)[E]>>;
}[keyof typeof gaitEvents];

/** About a minute of walking: two strides and two cycles a second, with a summary. A page of history is 256. */
export const KEPT_EVENTS = 256;

/** Half-open stretch of device time that the stored analysis covers. */
export interface CommittedSpan {
  readonly startUs: number;
  readonly endUs: number;
}

export interface GaitFeed {
  /** Oldest first. */
  readonly strides: readonly Stride[];
  readonly cycles: readonly Cycle[];
  readonly turns: readonly Turn[];
  /** Newest first, each text once. */
  readonly notices: readonly MotionNotice[];
  /** Null before the first summary. */
  readonly summary: { readonly metrics: readonly Metric[]; readonly strides: number } | null;
  /** Disjoint, in order. */
  readonly committed: readonly CommittedSpan[];
}

export function gaitFeedOf(messages: readonly GaitMessage[]): GaitFeed {
  // What is recognised again, better, takes the place of what was there.
  const strides = new Map<string, Stride>();
  const cycles = new Map<string, Cycle>();
  const turns = new Map<number, Turn>();
  const notices = new Map<string, MotionNotice>();
  const summary = createSummary();
  const windows: CommittedSpan[] = [];
  for (const { event, data } of messages) {
    if (event === 'stride') strides.set(keyOf(data), data);
    else if (event === 'cycle') cycles.set(keyOf(data), joinCycles(cycles.get(keyOf(data)), data));
    else if (event === 'turn') turns.set(data.startUs, data);
    else if (event === 'notice') notices.set(data.text, data);
    else if (event === 'summary') summary.take(data);
    else windows.push(...data.windows);
  }
  return {
    strides: byTime(strides.values()),
    cycles: byTime(cycles.values()),
    turns: byTime(turns.values()),
    notices: [...notices.values()].toSorted((a, b) => b.timeUs - a.timeUs),
    summary: summary.current(),
    committed: mergeSpans(windows),
  };
}

/** A cycle of many curves comes in pieces. */
function joinCycles(before: Cycle | undefined, next: Cycle): Cycle {
  return before === undefined ? next : { ...next, curves: { ...before.curves, ...next.curves } };
}

type SummaryPart = Static<(typeof gaitEvents)['summary']>;

/**
 * A summary of many figures comes in pieces of the same `untilUs`. What has not come yet is that of the summary before:
 * no figure is gone for a moment, and none outlives a summary without it.
 */
function createSummary(): { take(part: SummaryPart): void; current(): GaitFeed['summary'] } {
  let before = new Map<string, Metric>();
  let now = new Map<string, Metric>();
  let newest: SummaryPart | null = null;
  return {
    take(part) {
      if (newest?.untilUs !== part.untilUs) {
        before = now;
        now = new Map();
      }
      newest = part;
      for (const metric of part.metrics) now.set(`${metric.metric} ${metric.side}`, metric);
    },
    current: () =>
      newest === null
        ? null
        : { metrics: [...new Map([...before, ...now]).values()], strides: newest.strides },
  };
}

/** Two feet can begin a stride at the same moment; one foot cannot begin two. */
function keyOf({ side, startUs }: { readonly side: string; readonly startUs: number }): string {
  return `${side} ${startUs}`;
}

function byTime<T extends { readonly endUs: number }>(items: Iterable<T>): T[] {
  return [...items].toSorted((a, b) => a.endUs - b.endUs);
}

/** Disjoint spans in order, those that touch joined. */
export function mergeSpans(spans: readonly CommittedSpan[]): CommittedSpan[] {
  const merged: { startUs: number; endUs: number }[] = [];
  for (const { startUs, endUs } of spans.toSorted((a, b) => a.startUs - b.startUs)) {
    const last = merged.at(-1);
    if (last !== undefined && startUs <= last.endUs) last.endUs = Math.max(last.endUs, endUs);
    else merged.push({ startUs, endUs });
  }
  return merged;
}

/** Whether the stored analysis covers a moment. */
export function isCommitted(spans: readonly CommittedSpan[], timeUs: number): boolean {
  return spans.some(({ startUs, endUs }) => timeUs >= startUs && timeUs < endUs);
}

/** Whether the wearer turned while making the stride. */
export function turnDuring(turns: readonly Turn[], { startUs, endUs }: CommittedSpan): Turn | null {
  return turns.find((turn) => turn.startUs < endUs && turn.endUs > startUs) ?? null;
}
