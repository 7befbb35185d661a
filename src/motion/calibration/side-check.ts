/**
 * Owns the question whether left and right are exchanged as a whole: the lower back knows by its own sway which foot comes down
 * (gait/lumbar-gait.ts), so its contacts are held against those of the sensors on the feet. Asked once, over the first contacts
 * of a session, then it costs nothing. Needs both feet and the lower back or pelvis.
 */

import type { Algorithm } from '#motion/algorithm.ts';
import type { BodyModel, Side } from '#motion/body-model.ts';
import { lumbarGait } from '#motion/gait/lumbar-gait.ts';
import { lumbarColumns, lumbarKinds, lumbarSides } from '#motion/gait/lumbar-rows.ts';
import type { Contact, MotionNotice } from '#motion/results.ts';

/** One heel strike by both sensors: half the time between two steps of a fast walk. */
const SAME_US = 200_000;
/** Contacts of the back that have one of a foot beside them. */
const MATCHED = 24;
/** Of which so many are of the other side: with sides told right nine times out of ten, chance makes that once in a million. */
const EXCHANGED = 18;
/** Contacts that wait for their like. */
const KEPT = 64;

export interface SideCheckRecord {
  readonly feet: readonly { readonly side: Side; readonly timeUs: number }[];
  readonly back: readonly { readonly side: Side; readonly timeUs: number }[];
  readonly firstUs: number | null;
  readonly isOver: boolean;
}

export interface SideCheck {
  /** Placement whose readings are wanted; -1 when the question cannot be asked or was answered. */
  readonly placement: number;
  /** A reading of that placement (acc, gyr in m/s2 and rad/s). */
  take(timeUs: number, values: Float64Array, at: number): void;
  /** A contact of a foot's own sensor. */
  contact(contact: Contact): void;
  takeNotices(): readonly MotionNotice[];
  /** Readings are missing: it begins anew. */
  reset(): void;
  /** With a state of its own; null when the question cannot be asked. */
  readonly algorithm: Algorithm | null;
  record(): SideCheckRecord;
  restore(record: SideCheckRecord): void;
}

export function createSideCheck({ placements }: BodyModel): SideCheck {
  const has = (segment: string): boolean => placements.some((one) => one.segment === segment);
  const trunk = placements.findIndex(({ segment }) => segment === 'lower-back' || segment === 'pelvis');
  const isAsked = trunk !== -1 && has('left-foot') && has('right-foot');
  const algorithm = isAsked ? lumbarGait.create(placements[trunk]!.rateHz) : null;
  const { maxRows, outputs } = lumbarGait;
  const out = new Float64Array(maxRows * outputs.length);
  let feet: { side: Side; timeUs: number }[] = [];
  let back: { side: Side; timeUs: number }[] = [];
  let firstUs: number | null = null;
  let isOver = !isAsked;
  let notices: readonly MotionNotice[] = [];

  const judge = (timeUs: number): void => {
    let same = 0;
    let other = 0;
    for (const contact of back) {
      const nearest = feet.reduce<{ side: Side; timeUs: number } | null>(
        (best, one) =>
          best === null || Math.abs(one.timeUs - contact.timeUs) < Math.abs(best.timeUs - contact.timeUs)
            ? one
            : best,
        null,
      );
      if (nearest === null || Math.abs(nearest.timeUs - contact.timeUs) > SAME_US) continue;
      if (nearest.side === contact.side) same++;
      else other++;
    }
    if (same + other < MATCHED) return;
    isOver = true;
    feet = [];
    back = [];
    if (other < EXCHANGED) return;
    notices = [
      {
        timeUs,
        code: 'swapped-sides',
        segment: null,
        text: 'the lower back sways as if left and right were exchanged: are the sensors of the feet on the other side?',
      },
    ];
  };
  return {
    get placement() {
      return isOver ? -1 : trunk;
    },
    take(timeUs, values, at) {
      if (isOver || algorithm === null) return;
      firstUs ??= timeUs;
      const rows = algorithm.update(values, at, out);
      for (let i = 0; i < rows; i++) {
        const row = i * outputs.length;
        if (out[row + lumbarColumns.kind] !== lumbarKinds.initialContact) continue;
        const side = out[row + lumbarColumns.side] === lumbarSides.left ? 'left' : 'right';
        back.push({ side, timeUs: Math.round(firstUs + out[row + lumbarColumns.timeS]! * 1e6) });
        if (back.length > KEPT) back.shift();
        judge(timeUs);
        if (isOver) return;
      }
    },
    contact({ side, kind, timeUs }) {
      if (isOver || kind !== 'initial') return;
      feet.push({ side, timeUs });
      if (feet.length > KEPT) feet.shift();
    },
    takeNotices() {
      const told = notices;
      notices = [];
      return told;
    },
    reset() {
      algorithm?.reset();
      firstUs = null;
      feet = [];
      back = [];
    },
    algorithm,
    record: () => ({ feet, back, firstUs, isOver }),
    restore(record) {
      feet = [...record.feet];
      back = [...record.back];
      firstUs = record.firstUs;
      isOver = record.isOver;
    },
  };
}
