/** Owns what the main thread knows of one session of the pipeline: its streams, its phase, and its failures. */

import { defaultBodyModel } from '#motion/default-body-model.ts';
import type { BodyModel } from '#motion/body-model.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import type { SessionPlan, Watched } from '#pipeline/live-session.ts';

export interface TrackedStream {
  readonly definition: StreamDefinition;
  /** Its number in the ring; -1: the body model has no use for it. */
  index: number;
}

export type Phase =
  /** Its streams are still coming up, or its body model is asked for. */
  | 'gathering'
  | 'running'
  /** Motion understands none of its streams. */
  | 'off'
  /** Its chain failed too often. */
  | 'given-up'
  /** There are as many sessions as the workers may have. */
  | 'refused'
  /** Not known any more: it begins like a new one. */
  | 'gone';

/** Of sessions that are known. */
export const phases = ['gathering', 'running', 'off', 'given-up', 'refused'] as const satisfies Phase[];

export interface TrackedSession {
  readonly orgId: string;
  readonly session: string;
  readonly streams: Map<string, TrackedStream>;
  phase: Phase;
  /** Of its worker and, there, of this beginning of its chain. Kept while the session is known. */
  worker: number | null;
  number: number;
  /** What its chain is begun with; null while nothing is known. */
  plan: Omit<SessionPlan, 'session'> | null;
  heardMs: number;
  /** Device time of the newest frame, for what is told of the session as a whole; null before the first. */
  deviceUs: number | null;
  /** When its chain failed, within the last minute. */
  failedMs: readonly number[];
  watched: Watched;
  /** Grows whenever the body model is asked for, so that an older answer does not count. */
  asked: number;
}

export const nobodyWatches: Watched = { angles: false, details: false };

export function trackSession(orgId: string, session: string, nowMs: number): TrackedSession {
  return {
    orgId,
    session,
    streams: new Map(),
    phase: 'gathering',
    worker: null,
    number: 0,
    plan: null,
    heardMs: nowMs,
    deviceUs: null,
    failedMs: [],
    watched: nobodyWatches,
    asked: 0,
  };
}

/** What the streams say by themselves; the wearer is synthetic when all of them are. */
export function defaultModelOf({ streams }: TrackedSession): BodyModel {
  return defaultBodyModel(
    [...streams.values()].map(({ definition }) => ({
      id: definition.stream,
      segment: definition.segment,
      axes: definition.axes,
      rateHz: definition.rateHz,
      clock: definition.clock,
      synthetic: definition.synthetic,
    })),
  );
}

/** How a chain for these streams is begun. Numbers the streams that the model places; without any there is nothing to do. */
export function planOf(tracked: TrackedSession, model: BodyModel): Omit<SessionPlan, 'session'> {
  const streams: SessionPlan['streams'][number][] = [];
  for (const stream of tracked.streams.values()) stream.index = -1;
  for (const [placement, { stream: id }] of model.placements.entries()) {
    const stream = tracked.streams.get(id);
    if (stream === undefined) continue;
    const { encoding, scale, axes } = stream.definition;
    stream.index = streams.length;
    streams.push({
      placement,
      packing: { encoding, axisCount: axes.length, ...(scale === undefined ? {} : { scale }) },
    });
  }
  return { model, streams };
}
