/** Owns how contacts become what a lane of steps draws: the time that each foot was on the ground. */

import type { Static } from 'typebox';

import type { Contact } from '#contract/motion.ts';

export type StepContact = Static<typeof Contact>;
export type Side = 'left' | 'right';

export interface StanceBar {
  readonly side: Side;
  /** Initial contact; null where it is not known. */
  readonly fromUs: number | null;
  /** Final contact; null where it is not known. */
  readonly toUs: number | null;
}

/** A foot that stays down for longer stands. Its contacts are drawn, the time between them is no stance of a step. */
const LONGEST_US = 3_000_000;

/** In order of time, a side at a time. */
export function stanceBars(contacts: readonly StepContact[], side: Side): StanceBar[] {
  const own = contacts.filter((contact) => contact.side === side).toSorted((a, b) => a.timeUs - b.timeUs);
  const bars: StanceBar[] = [];
  let fromUs: number | null = null;
  for (const { kind, timeUs } of own) {
    if (kind === 'initial') {
      if (fromUs !== null) bars.push({ side, fromUs, toUs: null });
      fromUs = timeUs;
    } else if (fromUs !== null && timeUs - fromUs <= LONGEST_US) {
      bars.push({ side, fromUs, toUs: timeUs });
      fromUs = null;
    } else {
      if (fromUs !== null) bars.push({ side, fromUs, toUs: null });
      bars.push({ side, fromUs: null, toUs: timeUs });
      fromUs = null;
    }
  }
  if (fromUs !== null) bars.push({ side, fromUs, toUs: null });
  return bars;
}

/** The first bar that is not wholly before a time. */
export function firstBarAt(bars: readonly StanceBar[], timeUs: number): number {
  let low = 0;
  let high = bars.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const { fromUs, toUs } = bars[middle]!;
    if ((toUs ?? fromUs ?? 0) < timeUs) low = middle + 1;
    else high = middle;
  }
  return low;
}
