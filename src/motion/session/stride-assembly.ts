/**
 * Owns the making of strides from what is recognised at each foot: stance, swing and double support need the contacts of both
 * feet, so a stride is given once those in it are known. Pure; its state is a record of few numbers.
 * Bounded: contacts
 * and strides of the wait and a longest stride.
 */

import type { Side } from '#motion/body-model.ts';
import type { Contact, Stride, Terrain } from '#motion/results.ts';

/** From the first contact of the slowest stride to its end. */
export const LONGEST_STRIDE_S = 6;

/** What an algorithm says of one stride; null where it does not know. */
export interface FootStride {
  readonly side: Side;
  readonly startUs: number;
  readonly endUs: number;
  readonly strideLengthM: number | null;
  readonly clearanceM: number | null;
  readonly turnDeg: number | null;
  readonly heightChangeM: number | null;
  readonly terrain: Terrain | null;
}

export interface AssemblyRecord {
  readonly contacts: readonly Contact[];
  readonly waiting: readonly FootStride[];
  readonly bout: number;
  readonly lastEndUs: number | null;
}

export interface StrideAssembly {
  contact(contact: Contact): void;
  stride(stride: FootStride): void;
  /** Whether a stride waits to be told. */
  readonly isWaiting: boolean;
  /**
   * Strides of which all is known when readings up to `nowUs` were seen, in order of their ends: the first waits until both
   * feet's contacts in it are there, or `waitUs`.
   */
  settle(nowUs: number): readonly Stride[];
  record(): AssemblyRecord;
  restore(record: AssemblyRecord): void;
}

/** A pause after which walking is another bout: Kluge et al. 2021, doi:10.1371/journal.pone.0256541 (Mobilise-D consensus). */
const BOUT_PAUSE_US = 3_000_000;
/** One instant, told twice. */
const SAME_US = 50_000;
const none: readonly Stride[] = [];

/** `waitUs`: after so long everything before a moment is known. */
export function createStrideAssembly(waitUs: number): StrideAssembly {
  const keptUs = waitUs + LONGEST_STRIDE_S * 1e6;
  let contacts: Contact[] = [];
  let waiting: FootStride[] = [];
  let bout = 0;
  let lastEndUs: number | null = null;
  /** Nothing came since the first that waits was found incomplete: only time can settle it. */
  let isKnown = false;

  const between = (side: Side, kind: Contact['kind'], fromUs: number, toUs: number): number | null => {
    for (const one of contacts)
      if (one.side === side && one.kind === kind && one.timeUs > fromUs && one.timeUs < toUs)
        return one.timeUs;
    return null;
  };
  const doubleSupport = (stride: FootStride, finalUs: number | null): number | null => {
    if (finalUs === null) return null;
    const other: Side = stride.side === 'left' ? 'right' : 'left';
    const otherFinalUs = between(other, 'final', stride.startUs - SAME_US, finalUs);
    const otherInitialUs = between(other, 'initial', stride.startUs + SAME_US, finalUs + SAME_US);
    if (otherFinalUs === null || otherInitialUs === null || otherFinalUs > otherInitialUs) return null;
    const bothUs = otherFinalUs - stride.startUs + (finalUs - otherInitialUs);
    return (100 * bothUs) / (stride.endUs - stride.startUs);
  };
  const complete = (stride: FootStride): Stride => {
    const { side, startUs, endUs, strideLengthM } = stride;
    const finalUs = between(side, 'final', startUs, endUs);
    const strideTimeS = (endUs - startUs) / 1e6;
    if (lastEndUs !== null && startUs - lastEndUs > BOUT_PAUSE_US) bout++;
    lastEndUs = lastEndUs === null ? endUs : Math.max(lastEndUs, endUs);
    return {
      side,
      startUs,
      endUs,
      finalContactUs: finalUs,
      strideTimeS,
      stanceTimeS: finalUs === null ? null : (finalUs - startUs) / 1e6,
      swingTimeS: finalUs === null ? null : (endUs - finalUs) / 1e6,
      doubleSupportPercent: doubleSupport(stride, finalUs),
      strideLengthM,
      speedMS: strideLengthM === null ? null : strideLengthM / strideTimeS,
      cadenceStepsPerMin: 120 / strideTimeS,
      clearanceM: stride.clearanceM,
      turnDeg: stride.turnDeg,
      heightChangeM: stride.heightChangeM,
      terrain: stride.terrain,
      bout,
    };
  };
  return {
    contact(contact) {
      isKnown = false;
      contacts.push(contact);
      const oldestUs = contact.timeUs - keptUs;
      if (contacts[0]!.timeUs < oldestUs) contacts = contacts.filter(({ timeUs }) => timeUs >= oldestUs);
    },
    stride(stride) {
      if (stride.endUs <= stride.startUs) return;
      isKnown = false;
      const after = waiting.findIndex(
        ({ endUs, side }) => endUs > stride.endUs || (endUs === stride.endUs && side > stride.side),
      );
      waiting.splice(after === -1 ? waiting.length : after, 0, stride);
    },
    get isWaiting() {
      return waiting.length > 0;
    },
    settle(nowUs) {
      // Asked with every reading while a stride waits.
      if (isKnown && waiting.length > 0 && waiting[0]!.endUs + waitUs > nowUs) return none;
      const given: Stride[] = [];
      for (;;) {
        const first = waiting[0];
        if (first === undefined) return given;
        const isDue = first.endUs + waitUs <= nowUs;
        isKnown = true;
        // The other foot's contacts are all that a stride waits for.
        const finalUs = isDue ? null : between(first.side, 'final', first.startUs, first.endUs);
        if (!isDue && doubleSupport(first, finalUs) === null) return given;
        waiting.shift();
        given.push(complete(first));
      }
    },
    record: () => ({ contacts, waiting, bout, lastEndUs }),
    restore(record) {
      isKnown = false;
      contacts = [...record.contacts];
      waiting = [...record.waiting];
      bout = record.bout;
      lastEndUs = record.lastEndUs;
    },
  };
}
