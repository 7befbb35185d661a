/**
 * Owns the figures over strides, as a summary that grows with each of them and as one call over a list. Means, symmetry,
 * variation and trends are over steady strides only (straight ahead, on the level); amounts are over all. A stride costs
 * microseconds, and so do the figures, however long the session is.
 */

import {
  addContact,
  addCycle,
  addRegularity,
  addStride,
  addTurn,
  createSummaryState,
  type SummaryState,
} from '#motion/gait/summary-state.ts';
import { summaryValues } from '#motion/gait/summary-values.ts';
import type { Contact, Cycle, MetricValue, Stride, Turn } from '#motion/results.ts';
import type { TrunkRegularity } from '#motion/symmetry/trunk-regularity.ts';

/** Each list in order of time, strides and cycles by their end. */
export interface StrideRecords {
  readonly strides: readonly Stride[];
  readonly contacts?: readonly Contact[];
  readonly cycles?: readonly Cycle[];
  readonly turns?: readonly Turn[];
}

export interface StrideSummary {
  /** What came since the last time. A contact comes before or with the stride that it lies in, a cycle with or after its own. */
  add(records: StrideRecords): void;
  /** Of a stretch of steady strides; null says that there is a sensor on the trunk, but no stretch yet. */
  addRegularity(stretch: TrunkRegularity | null): void;
  /**
   * Figures over everything so far, in the units of the metric catalogue. Side null is both sides together. Every metric that
   * applies is there, without a value and with a reason where it cannot be told.
   */
  values(): readonly MetricValue[];
  /** The whole state, for `createStrideSummary`. */
  save(): string;
}

export function createStrideSummary(saved?: string): StrideSummary {
  const state = saved === undefined ? createSummaryState() : (JSON.parse(saved) as SummaryState);
  return {
    add: (records) => addRecords(state, records),
    addRegularity: (stretch) => addRegularity(state, stretch),
    values: () => summaryValues(state),
    save: () => JSON.stringify(state),
  };
}

/** Figures over all given strides. What was recorded of both feet is put together: no order between the lists is needed. */
export function summariseStrides(records: StrideRecords): readonly MetricValue[] {
  const state = createSummaryState();
  addRecords(state, records);
  return summaryValues(state);
}

/**
 * Contacts and cycles are taken up as far as each stride needs them, since only the newest are remembered. The ends of strides
 * are contacts too, given or not.
 */
function addRecords(
  state: SummaryState,
  { strides, contacts = [], cycles = [], turns = [] }: StrideRecords,
): void {
  const initial: Contact[] = contacts.filter(({ kind }) => kind === 'initial');
  for (const { side, startUs, endUs } of strides)
    initial.push({ side, kind: 'initial', timeUs: startUs }, { side, kind: 'initial', timeUs: endUs });
  initial.sort((a, b) => a.timeUs - b.timeUs);
  let contact = 0;
  let cycle = 0;
  for (const stride of strides) {
    while (contact < initial.length && initial[contact]!.timeUs <= stride.endUs)
      addContact(state, initial[contact++]!);
    addStride(state, stride);
    while (cycle < cycles.length && cycles[cycle]!.endUs <= stride.endUs) addCycle(state, cycles[cycle++]!);
  }
  while (contact < initial.length) addContact(state, initial[contact++]!);
  while (cycle < cycles.length) addCycle(state, cycles[cycle++]!);
  for (const turn of turns) addTurn(state, turn);
}
