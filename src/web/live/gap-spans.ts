/**
 * Owns what is said about stretches without readings: from when to when, and why. A gap is never a line. The cause of
 * a hole is looked up anew at each drawing, since a reading may arrive, be stored or be declared lost later.
 */

import type { ReadingRing } from '#web/live/reading-ring.ts';
import type { Settlement } from '#web/live/settlement.ts';

/**
 * `lost`: declared lost. `stored`: in the recording, but not sent to this page. `pending`: may still arrive.
 * `offline`: this page was not connected. `pause`: the sensor took no readings. `restart`: the sensor's store is new.
 */
export type GapCause = 'lost' | 'stored' | 'pending' | 'offline' | 'pause' | 'restart';

export interface GapSpan {
  readonly fromMs: number;
  readonly toMs: number;
  readonly cause: GapCause;
}

export interface GapSource {
  readonly ring: ReadingRing;
  readonly settlement: Settlement;
  /** Two readings further apart than this have no line between them. */
  readonly breakMs: number;
  /** Whether the page was cut off at a time. */
  readonly isOffline: (timeMs: number) => boolean;
}

/** True when no line may lead from reading `index - 1` to `index`. */
export function isBreakAt(
  { ring, settlement, breakMs }: Omit<GapSource, 'isOffline'>,
  index: number,
): boolean {
  if (index <= ring.start) return false;
  return ring.timeOf(index) - ring.timeOf(index - 1) > breakMs || settlement.isRestart(index);
}

/** The gaps that touch the readings [from, to), in order. */
export function gapsIn(source: GapSource, from: number, to: number): GapSpan[] {
  const { ring } = source;
  const gaps: GapSpan[] = [];
  let i = Math.max(ring.start, from);
  // A gap that began before the range is told from its beginning, so that its label has one place.
  while (i > ring.start && !ring.has(i)) i--;
  for (; i < Math.min(to, ring.end); i++) {
    if (ring.has(i)) {
      const gap = breakBefore(source, i);
      if (gap !== null) gaps.push(gap);
      continue;
    }
    const cause = causeOfHole(source, i);
    const fromMs = ring.timeOf(Math.max(ring.start, i - 1));
    while (i + 1 < ring.end && !ring.has(i + 1) && causeOfHole(source, i + 1) === cause) i++;
    gaps.push({ fromMs, toMs: ring.timeOf(Math.min(ring.end - 1, i + 1)), cause });
  }
  return gaps;
}

function breakBefore(source: GapSource, index: number): GapSpan | null {
  const { ring, settlement, isOffline } = source;
  if (!ring.has(index - 1) || !isBreakAt(source, index)) return null;
  const fromMs = ring.timeOf(index - 1);
  const toMs = ring.timeOf(index);
  if (settlement.isRestart(index)) return { fromMs, toMs, cause: 'restart' };
  return { fromMs, toMs, cause: isOffline((fromMs + toMs) / 2) ? 'offline' : 'pause' };
}

function causeOfHole({ ring, settlement, isOffline }: GapSource, index: number): GapCause {
  if (settlement.isDeclaredLost(index)) return 'lost';
  if (settlement.isSettled(index)) return 'stored';
  return isOffline(ring.timeOf(index)) ? 'offline' : 'pending';
}
