/** Owns the types of what the main thread and a worker of the pipeline say to each other beside the ring. */

import type { SessionPlan, SessionResults, Watched } from '#pipeline/live-session.ts';

export type ToMotionWorker =
  /** Before its first frame is in the ring. */
  | { readonly type: 'begin'; readonly plan: SessionPlan }
  | { readonly type: 'watch'; readonly session: number; readonly watched: Watched }
  /** `isOver`: no frame will come any more, and what waits for the future is told without it. */
  | { readonly type: 'end'; readonly session: number; readonly isOver: boolean }
  /** Work off what is there, tell it, and end. */
  | { readonly type: 'stop' };

export type FromMotionWorker =
  | { readonly type: 'results'; readonly results: readonly SessionResults[] }
  /** Its chain threw, and is gone. */
  | { readonly type: 'failed'; readonly session: number; readonly message: string };
