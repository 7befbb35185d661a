/**
 * Owns in which order and when viewers of a stopping instance are sent away: evenly over a time, each at a random place of its
 * own share, so that those who come back elsewhere come at a steady rate.
 */

import type { Clock } from '#base/clock.ts';
import { integerBelow, type Random } from '#base/random.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import type { Viewer } from '#live/viewer.ts';

export interface DrainOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: HubLimits;
}

/** Dismisses all of them in time; those who leave by themselves meanwhile are passed over. */
export function sendAway(viewers: readonly Viewer[], { clock, random, limits }: DrainOptions): void {
  const order = shuffled(viewers, random);
  const spreadMs = Math.min(limits.drainSpreadMs, order.length * limits.drainSpacingMs);
  const startMs = clock.monotonicMs();
  const dueMs = order.map((_, i) => startMs + ((i + random.next()) / order.length) * spreadMs);
  let next = 0;
  const step = (): void => {
    const nowMs = clock.monotonicMs();
    while (next < order.length && dueMs[next]! <= nowMs) order[next++]!.dismiss();
    if (next < order.length) clock.after(dueMs[next]! - nowMs, step);
  };
  step();
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = integerBelow(random, i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
