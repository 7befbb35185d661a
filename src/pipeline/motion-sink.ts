/** Owns the types by which the pipeline meets what it does not know: where body models come from, and where results go. */

import type { LiveAngles } from '#contract/motion.ts';
import type { BodyModel } from '#motion/body-model.ts';
import type { GaitEvent } from '#pipeline/live-records.ts';
import type { Watched } from '#pipeline/live-session.ts';

export interface SessionAddress {
  readonly orgId: string;
  readonly session: string;
}

/** Where results go. Must not wait or throw. */
export interface MotionSink {
  watched(address: SessionAddress): Watched;
  angles(address: SessionAddress, angles: LiveAngles): void;
  gait(address: SessionAddress, event: GaitEvent): void;
}

export interface BodyModels {
  /** The one that somebody made, or null: the streams' own counts. */
  find(orgId: string, session: string): Promise<BodyModel | null>;
}
