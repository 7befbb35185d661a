/**
 * Owns the judgement of what viewers see: readings as they were pushed, of their own session only, each shown soon after
 * it was taken when nothing is wrong. Bound: one entry a viewer.
 */

import { covers } from '#base/ranges.ts';
import type { LiveMessage } from '#protocol/live-codec.ts';
import { readingTimeUs } from '#protocol/data-codec.ts';
import { idOf } from '#test/simulation/readings.ts';
import type { ViewerNode } from '#test/simulation/viewer-node.ts';
import type { Reading, Truth } from '#test/simulation/oracle/truth.ts';
import type { Verdict } from '#test/simulation/oracle/verdict.ts';

export interface ViewerCheck {
  saw(viewer: ViewerNode, message: LiveMessage): void;
  /** When the newest reading that this viewer has seen was pushed; -Infinity: it saw none. */
  newestMs(viewer: ViewerNode): number;
}

export interface ViewerCheckOptions {
  readonly truth: Truth;
  readonly verdict: Verdict;
  readonly axesOf: (streamId: string) => number | null;
  readonly hasDeviceClock: (streamId: string) => boolean;
}

export function createViewerCheck(options: ViewerCheckOptions): ViewerCheck {
  const { truth, verdict } = options;
  const newest = new Map<string, number>();

  function readingOf(viewer: ViewerNode, streamId: string, id: number | null): Reading | null {
    const reading = id === null ? undefined : truth.reading(id);
    if (reading === undefined) verdict.fail('shown bits', `${viewer.name} sees what no device pushed`);
    else if (reading.stream.id !== streamId)
      verdict.fail('shown stream', `${viewer.name} sees reading ${id} in stream ${streamId}`);
    else return reading;
    return null;
  }

  return {
    saw(viewer, { frames }) {
      let newestMs = newest.get(viewer.name) ?? Number.NEGATIVE_INFINITY;
      for (const frame of frames) {
        const { streamId, payload, count } = frame;
        const stream = truth.streams.get(streamId);
        if (stream === undefined || stream.sessionId !== viewer.sessionId)
          return verdict.fail(
            'shown session',
            `${viewer.name} watches session ${viewer.sessionId} and sees stream ${streamId} of ${stream?.sessionId ?? 'none'}`,
          );
        const epoch = truth.epoch(`${streamId}/${frame.epoch}`);
        if (!covers(epoch.live, { from: frame.firstSeq, to: frame.firstSeq + count }))
          verdict.fail(
            'shown as live',
            `${viewer.name} sees number ${frame.firstSeq} of ${epoch.key}, which was sent again and not as live`,
          );
        const axes = options.axesOf(streamId) ?? payload.length / count / 4;
        for (let i = 0; i < count; i++) {
          const reading = readingOf(viewer, streamId, idOf(payload, i * axes * 4, axes));
          if (reading === null) return;
          if (options.hasDeviceClock(streamId) && readingTimeUs(frame, i) !== reading.timeUs)
            verdict.fail(
              'shown bits',
              `${viewer.name} sees reading ${reading.id} at another time than its own`,
            );
          if (reading.pushedMs > newestMs) newestMs = reading.pushedMs;
        }
      }
      newest.set(viewer.name, newestMs);
    },
    newestMs: (viewer) => newest.get(viewer.name) ?? Number.NEGATIVE_INFINITY,
  };
}
