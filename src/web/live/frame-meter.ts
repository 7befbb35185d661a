/** Owns the measure of drawing itself: frames in the last second, the longest wait between two, the longest drawing. */

export interface FrameMeter {
  /** A frame began at `atMs` and took `drawMs` to draw. */
  add(atMs: number, drawMs: number): void;
  summarise(nowMs: number): { fps: number; longestFrameMs: number; longestDrawMs: number };
}

/** One second of a 240 Hz display; the oldest go. */
const MAX_FRAMES = 256;
const SPAN_MS = 1000;

export function createFrameMeter(): FrameMeter {
  const startedMs = new Float64Array(MAX_FRAMES);
  const drawMs = new Float64Array(MAX_FRAMES);
  let added = 0;
  return {
    add(atMs, took) {
      startedMs[added % MAX_FRAMES] = atMs;
      drawMs[added % MAX_FRAMES] = took;
      added++;
    },
    summarise(nowMs) {
      let fps = 0;
      let longestFrameMs = 0;
      let longestDrawMs = 0;
      let laterMs = nowMs;
      for (let i = added - 1; i >= Math.max(0, added - MAX_FRAMES); i--) {
        const atMs = startedMs[i % MAX_FRAMES]!;
        if (atMs <= nowMs - SPAN_MS) break;
        fps++;
        longestFrameMs = Math.max(longestFrameMs, laterMs - atMs);
        longestDrawMs = Math.max(longestDrawMs, drawMs[i % MAX_FRAMES]!);
        laterMs = atMs;
      }
      return { fps, longestFrameMs, longestDrawMs };
    },
  };
}
