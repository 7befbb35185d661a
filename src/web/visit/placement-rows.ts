/** Owns the rows of the form that says which sensor is worn where: those of the plan, and those that the protocol asks for. */

import type { PlacementsChange, Visit } from '#contract/visit.ts';

export interface PlacementDraft {
  /** Only for the page. */
  readonly key: number;
  readonly segment: string;
  /** Empty: not chosen yet. */
  readonly deviceId: string;
  /** Of a device that is not in the list of those that may be chosen. */
  readonly deviceName: string;
  readonly isRequired: boolean;
}

type Planned = Pick<Visit, 'protocol' | 'placements'>;

/** What is assigned, then what the protocol asks for and nobody has assigned. */
export function placementRows({ protocol, placements }: Planned): PlacementDraft[] {
  const wanted = protocol?.segments ?? [];
  const assigned = placements.map(({ segment, deviceId, deviceName }) => ({
    segment,
    deviceId,
    deviceName,
    isRequired: wanted.some((one) => one.segment === segment && one.isRequired),
  }));
  const missing = wanted
    .filter(({ segment }) => !placements.some((placement) => placement.segment === segment))
    .map(({ segment, isRequired }) => ({ segment, deviceId: '', deviceName: '', isRequired }));
  return [...assigned, ...missing].map((row, key) => ({ ...row, key }));
}

/** Rows without a sensor are left out: what is not assigned is not recorded here. */
export function placementsOf(rows: readonly PlacementDraft[]): PlacementsChange['placements'] {
  return rows
    .filter(({ deviceId, segment }) => deviceId !== '' && segment !== '')
    .map(({ deviceId, segment }) => ({ deviceId, segment }));
}

export function isChanged(rows: readonly PlacementDraft[], { placements }: Planned): boolean {
  const words = (list: readonly { readonly deviceId: string; readonly segment: string }[]): string =>
    list
      .map(({ deviceId, segment }) => `${deviceId} ${segment}`)
      .toSorted()
      .join();
  return words(placementsOf(rows)) !== words(placements);
}
