/**
 * Owns the way from ingest to live display: frames of one turn of the event loop leave as one bus message a session, and
 * so does what was committed. It encodes nothing while nobody listens. Bounds: what one turn brings; beyond that the
 * oldest frames of a session go, since live display shows the newest.
 */

import type { Progress } from '#contract/live-messages.ts';
import { sizeOf, union } from '#base/ranges.ts';
import type { Bus } from '#bus/bus.ts';
import type { EpochProgress, Frame, StreamHandle } from '#contract/readings.ts';
import { encodeLiveFrames } from '#protocol/live-codec.ts';
import { limits } from '#protocol/limits.ts';

/** Frames of one session in one turn: 256 streams with four frames each. */
const FRAMES_PER_TURN = 1_024;

export const readingsTopic = (sessionId: string): string => `session/${sessionId}/readings`;
export const committedTopic = (sessionId: string): string => `session/${sessionId}/committed`;

export interface LivePublisher {
  frame(handle: StreamHandle, frame: Frame): void;
  committed(handle: StreamHandle, progress: EpochProgress): void;
  readonly counters: { publishedFrames: number; droppedFrames: number };
}

/** `soon` calls back once at the end of the current turn of the event loop. */
export function createLivePublisher(bus: Bus, soon: (callback: () => void) => void): LivePublisher {
  const frames = new Map<string, Frame[]>();
  const progress = new Map<string, Map<string, Progress>>();
  const counters = { publishedFrames: 0, droppedFrames: 0 };
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    soon(flush);
  }

  function flush(): void {
    isScheduled = false;
    for (const [session, list] of frames) {
      counters.publishedFrames += list.length;
      bus.publish(readingsTopic(session), encodeLiveFrames(list));
    }
    frames.clear();
    for (const [session, streams] of progress)
      bus.publish(committedTopic(session), new TextEncoder().encode(JSON.stringify([...streams.values()])));
    progress.clear();
  }

  return {
    counters,
    frame(handle, frame) {
      const { session } = handle.definition;
      const list = frames.get(session);
      if (list === undefined) {
        if (!bus.hasListeners(readingsTopic(session))) return;
        frames.set(session, [frame]);
        schedule();
        return;
      }
      if (list.length >= FRAMES_PER_TURN) {
        list.shift();
        counters.droppedFrames++;
      }
      list.push(frame);
    },
    committed(handle, state) {
      const { session, stream } = handle.definition;
      if (!bus.hasListeners(committedTopic(session))) return;
      const streams = progress.get(session) ?? new Map<string, Progress>();
      progress.set(session, streams);
      streams.set(handle.key, progressOf(stream, handle.epoch, state));
      schedule();
    },
  };
}

function progressOf(stream: string, epoch: string, state: EpochProgress): Progress {
  const settled = union(state.committed, state.lost);
  const startsAtZero = settled[0]?.from === 0;
  const rest = startsAtZero ? settled.slice(1) : settled;
  return {
    stream,
    epoch,
    next: startsAtZero ? settled[0]!.to : 0,
    // The newest ranges: what a viewer is looking at.
    ranges: rest.slice(-limits.rangesPerAck).map((range) => [range.from, range.to]),
    lost: sizeOf(state.lost),
  };
}
