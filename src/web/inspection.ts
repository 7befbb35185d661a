/**
 * Owns `window.kymoInspect()`: a promise of what the live page has drawn (the readings themselves, frames a second,
 * latency), so that a test or a curious person can compare the picture with a recording. Always present, reads only;
 * on a page without live traces its list of streams is empty.
 */

import type { LiveInspection } from '#web/live/worker-messages.ts';

declare global {
  interface Window {
    kymoInspect: () => Promise<LiveInspection>;
  }
}

type Inspector = () => Promise<LiveInspection>;

const nothing: Inspector = () => Promise.resolve({ fps: 0, delayMs: 0, connection: 'closed', streams: [] });
let current = nothing;

export function installInspection(): void {
  window.kymoInspect = () => current();
}

/** The page with live traces answers from now on; the returned function withdraws it. */
export function provideInspection(inspector: Inspector): () => void {
  current = inspector;
  return () => {
    if (current === inspector) current = nothing;
  };
}
