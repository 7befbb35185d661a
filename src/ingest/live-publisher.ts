/**
 * Owns the way from ingest to live display: frames of one turn of the event loop leave as one bus message a session, and
 * so does what was committed. It encodes nothing while nobody listens. Every frame passes the tap first, when there is one. Bound:
 * PUBLISH_BYTES a bus message; a turn that brings more leaves as several.
 */

import type { Progress } from '#contract/live-messages.ts';
import { sizeOf, union } from '#base/ranges.ts';
import type { Bus } from '#bus/bus.ts';
import type { EpochProgress, Frame, FrameTap, StreamHandle } from '#contract/readings.ts';
import { encodeLiveFrames, liveFrameBytes } from '#protocol/live-codec.ts';
import { limits } from '#protocol/limits.ts';

/** One device message at its limit; the hub takes twice as much. */
const PUBLISH_BYTES = limits.messageBytes;

export const readingsTopic = (sessionId: string): string => `session/${sessionId}/readings`;
export const committedTopic = (sessionId: string): string => `session/${sessionId}/committed`;

export interface LivePublisher {
  frame(handle: StreamHandle, frame: Frame): void;
  committed(handle: StreamHandle, progress: EpochProgress): void;
  readonly counters: { publishedFrames: number };
}

/** `soon` calls back once at the end of the current turn of the event loop. */
export function createLivePublisher(
  bus: Bus,
  soon: (callback: () => void) => void,
  tap?: FrameTap,
): LivePublisher {
  const gathered = new Map<string, { frames: Frame[]; bytes: number }>();
  const progress = new Map<string, Map<string, Progress>>();
  const counters = { publishedFrames: 0 };
  // Every frame asks whether anybody listens: a name made anew would be hashed anew each time.
  const topics = new WeakMap<StreamHandle, string>();
  let isScheduled = false;

  function topicOf(handle: StreamHandle): string {
    let topic = topics.get(handle);
    if (topic === undefined) {
      topic = readingsTopic(handle.definition.session);
      topics.set(handle, topic);
    }
    return topic;
  }

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    soon(flush);
  }

  function flush(): void {
    isScheduled = false;
    for (const [session, { frames }] of gathered) publish(session, frames);
    gathered.clear();
    for (const [session, streams] of progress)
      bus.publish(committedTopic(session), new TextEncoder().encode(JSON.stringify([...streams.values()])));
    progress.clear();
  }

  function publish(session: string, frames: readonly Frame[]): void {
    counters.publishedFrames += frames.length;
    bus.publish(readingsTopic(session), encodeLiveFrames(frames));
  }

  return {
    counters,
    frame(handle, frame) {
      tap?.frame(handle, frame);
      const { session } = handle.definition;
      const size = liveFrameBytes(frame);
      const waiting = gathered.get(session);
      if (waiting === undefined) {
        if (!bus.hasListeners(topicOf(handle))) return;
        gathered.set(session, { frames: [frame], bytes: size });
        schedule();
      } else if (waiting.bytes + size > PUBLISH_BYTES) {
        publish(session, waiting.frames);
        gathered.set(session, { frames: [frame], bytes: size });
      } else {
        waiting.frames.push(frame);
        waiting.bytes += size;
      }
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
