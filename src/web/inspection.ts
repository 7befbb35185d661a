/**
 * Owns `window.kymoInspect()`, a promise of what the live page has drawn (the readings themselves, frames a second,
 * latency), `window.kymoInspectReview()`, the same of the review page, and `window.kymoInspectMotion()`, the live angles
 * as they are drawn, so that a test or a curious person can compare the picture with a recording. Always present, reads
 * only; on other pages the first lists no streams and the others give null.
 */

import type { LiveInspection } from '#web/live/worker-messages.ts';
import type { AngleInspection } from '#web/motion/angle-trace.ts';
import type { ReviewInspection } from '#web/review/review-inspection.ts';

declare global {
  interface Window {
    kymoInspect: () => Promise<LiveInspection>;
    kymoInspectReview: () => ReviewInspection | null;
    kymoInspectMotion: () => AngleInspection | null;
  }
}

type Inspector = () => Promise<LiveInspection>;

const nothing: Inspector = () => Promise.resolve({ fps: 0, delayMs: 0, connection: 'closed', streams: [] });
let current = nothing;
let review: (() => ReviewInspection) | null = null;
let motion: (() => AngleInspection) | null = null;

export function installInspection(): void {
  window.kymoInspect = () => current();
  window.kymoInspectReview = () => review?.() ?? null;
  window.kymoInspectMotion = () => motion?.() ?? null;
}

/** The page with live traces answers from now on; the returned function withdraws it. */
export function provideInspection(inspector: Inspector): () => void {
  current = inspector;
  return () => {
    if (current === inspector) current = nothing;
  };
}

/** The review page answers from now on; the returned function withdraws it. */
export function provideReview(inspector: () => ReviewInspection): () => void {
  review = inspector;
  return () => {
    if (review === inspector) review = null;
  };
}

/** The panel with live angles answers from now on; the returned function withdraws it. */
export function provideMotion(inspector: () => AngleInspection): () => void {
  motion = inspector;
  return () => {
    if (motion === inspector) motion = null;
  };
}
