/** Owns a simulated viewer: a page that follows one session with the real subscriber client. */

import type { Process } from '#test/simulation/scheduler.ts';

export interface ViewerPlan {
  readonly name: string;
  /** Whose session it watches, by index. */
  readonly device: number;
  readonly org: string;
}

export interface ViewerNode {
  readonly name: string;
  /** The session that it asks for. */
  readonly sessionId: string;
  readonly plan: ViewerPlan;
  /** Null: not running. */
  readonly process: Process | null;
  boot(): void;
  kill(): void;
  /** It takes nothing from its socket meanwhile. */
  setSlow(isSlow: boolean): void;
}
