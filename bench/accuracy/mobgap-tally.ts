/** Owns the counting of gait from the lower back against reference bouts: pairs of contacts, sides, means per bout, time walked. */

import type { ReferenceBout, ReferenceContact } from '#bench/accuracy/mobgap-reference.ts';
import { LUMBAR_WIDTH, lumbarColumns, lumbarKinds, lumbarSides } from '#motion/gait/lumbar-rows.ts';

/** Of the issue, and of Mobilise-D's figures. */
const TOLERANCE_S = 0.25;

export interface Found {
  readonly contacts: readonly ReferenceContact[];
  readonly finals: readonly ReferenceContact[];
  readonly strides: readonly {
    readonly startS: number;
    readonly endS: number;
    readonly lengthM: number;
    readonly speedMS: number;
  }[];
  readonly bouts: readonly { readonly startS: number; readonly endS: number }[];
}

export interface Tally {
  readonly errorsMs: number[];
  readonly finalErrorsMs: number[];
  missed: number;
  wrong: number;
  rightSides: number;
  readonly lengthErrorsM: number[];
  readonly speedErrorsMS: number[];
  readonly cadenceErrors: number[];
  bouts: number;
  boutsWithStrides: number;
  referenceS: number;
  foundS: number;
  bothS: number;
}

export function emptyTally(): Tally {
  return {
    errorsMs: [],
    finalErrorsMs: [],
    missed: 0,
    wrong: 0,
    rightSides: 0,
    lengthErrorsM: [],
    speedErrorsMS: [],
    cadenceErrors: [],
    bouts: 0,
    boutsWithStrides: 0,
    referenceS: 0,
    foundS: 0,
    bothS: 0,
  };
}

/** The rows of lumbar-rows.ts by what they are. A bout that the end of the recording cut has no row of its own. */
export function foundOf(rows: Float64Array): Found {
  const found = { contacts: [], finals: [], strides: [], bouts: [] } as {
    contacts: ReferenceContact[];
    finals: ReferenceContact[];
    strides: Found['strides'][number][];
    bouts: { bout: number; startS: number; endS: number }[];
  };
  for (let at = 0; at < rows.length; at += LUMBAR_WIDTH) {
    const value = (column: keyof typeof lumbarColumns): number => rows[at + lumbarColumns[column]]!;
    const timeS = value('timeS');
    const contact = { timeS, isLeft: value('side') === lumbarSides.left };
    if (value('kind') === lumbarKinds.initialContact) found.contacts.push(contact);
    if (value('kind') === lumbarKinds.finalContact) found.finals.push(contact);
    if (value('kind') === lumbarKinds.initialContact) {
      const last = found.bouts.at(-1);
      if (last?.bout === value('bout')) last.endS = timeS;
      else found.bouts.push({ bout: value('bout'), startS: timeS, endS: timeS });
    }
    if (value('kind') === lumbarKinds.stride)
      found.strides.push({
        startS: value('startS'),
        endS: timeS,
        lengthM: value('lengthM'),
        speedMS: value('speedMS'),
      });
  }
  return found;
}

/** All reference bouts of one recording of `lengthS`. */
export function addBout(
  tally: Tally,
  references: readonly ReferenceBout[],
  found: Found,
  lengthS: number,
): void {
  for (const bout of references) {
    const { pairs, left } = pairUp(bout.initial, within(found.contacts, bout));
    tally.missed += bout.initial.length - pairs.length;
    tally.wrong += left.filter(({ timeS }) => timeS >= bout.startS && timeS <= bout.endS).length;
    for (const [reference, ours] of pairs) {
      tally.errorsMs.push(1000 * (ours.timeS - reference.timeS));
      if (ours.isLeft === reference.isLeft) tally.rightSides++;
    }
    for (const [reference, ours] of pairUp(bout.final, within(found.finals, bout)).pairs)
      tally.finalErrorsMs.push(1000 * (ours.timeS - reference.timeS));
    addMeans(tally, bout, found);
  }
  addTime(tally, { references, found, lengthS });
}

function addMeans(tally: Tally, bout: ReferenceBout, found: Found): void {
  tally.bouts++;
  const times = within(found.contacts, bout).map(({ timeS }) => timeS);
  const cadence = (60 * (times.length - 1)) / (times.at(-1)! - times[0]!);
  if (times.length > 2 && Number.isFinite(bout.cadenceStepsPerMin))
    tally.cadenceErrors.push(cadence - bout.cadenceStepsPerMin);
  const strides = found.strides.filter(
    ({ startS, endS }) => startS >= bout.startS - TOLERANCE_S && endS <= bout.endS + TOLERANCE_S,
  );
  if (strides.length === 0) return;
  tally.boutsWithStrides++;
  const add = (errors: number[], ours: number, reference: number): void => {
    if (Number.isFinite(reference)) errors.push(ours - reference);
  };
  add(tally.lengthErrorsM, mean(strides.map(({ lengthM }) => lengthM)), bout.strideLengthM);
  add(tally.speedErrorsMS, mean(strides.map(({ speedMS }) => speedMS)), bout.speedMS);
}

function addTime(
  tally: Tally,
  { references, found, lengthS }: { references: readonly ReferenceBout[]; found: Found; lengthS: number },
): void {
  const stepS = 0.01;
  const isIn = (bouts: readonly { startS: number; endS: number }[], timeS: number): boolean =>
    bouts.some(({ startS, endS }) => timeS >= startS && timeS < endS);
  for (let timeS = 0; timeS < lengthS; timeS += stepS) {
    const reference = isIn(references, timeS);
    const ours = isIn(found.bouts, timeS);
    if (reference) tally.referenceS += stepS;
    if (ours) tally.foundS += stepS;
    if (reference && ours) tally.bothS += stepS;
  }
}

function within(
  contacts: readonly ReferenceContact[],
  { startS, endS }: ReferenceBout,
): readonly ReferenceContact[] {
  return contacts.filter(({ timeS }) => timeS >= startS - TOLERANCE_S && timeS <= endS + TOLERANCE_S);
}

/** One to one, the nearest pairs first, none further apart than the tolerance; and what of ours is left. */
function pairUp(
  references: readonly ReferenceContact[],
  ours: readonly ReferenceContact[],
): {
  pairs: readonly (readonly [ReferenceContact, ReferenceContact])[];
  left: readonly ReferenceContact[];
} {
  const candidates = references
    .flatMap((reference) => ours.map((one) => [reference, one] as const))
    .filter(([reference, one]) => Math.abs(reference.timeS - one.timeS) <= TOLERANCE_S)
    .toSorted((a, b) => Math.abs(a[0].timeS - a[1].timeS) - Math.abs(b[0].timeS - b[1].timeS));
  const used = new Set<ReferenceContact>();
  const pairs = candidates.filter(([reference, one]) => {
    if (used.has(reference) || used.has(one)) return false;
    used.add(reference).add(one);
    return true;
  });
  return { pairs, left: ours.filter((one) => !used.has(one)) };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function meanAbsolute(values: readonly number[]): number | null {
  return values.length === 0 ? null : mean(values.map(Math.abs));
}

function share(part: number, of: number): number | null {
  return of === 0 ? null : part / of;
}

export function figuresOf(tally: Tally): { metric: string; unit: string; value: number | null }[] {
  const { errorsMs, finalErrorsMs, missed, wrong, rightSides } = tally;
  const paired = errorsMs.length;
  return [
    { metric: 'initial contact error', unit: 'ms', value: meanAbsolute(errorsMs) },
    { metric: 'initial contact bias', unit: 'ms', value: paired === 0 ? null : mean(errorsMs) },
    { metric: 'initial contact recall', unit: '1', value: share(paired, paired + missed) },
    { metric: 'initial contact precision', unit: '1', value: share(paired, paired + wrong) },
    { metric: 'initial contact F1', unit: '1', value: share(2 * paired, 2 * paired + missed + wrong) },
    { metric: 'side right', unit: '1', value: share(rightSides, paired) },
    { metric: 'final contact error', unit: 'ms', value: meanAbsolute(finalErrorsMs) },
    {
      metric: 'final contact bias',
      unit: 'ms',
      value: finalErrorsMs.length === 0 ? null : mean(finalErrorsMs),
    },
    { metric: 'stride length error', unit: 'm', value: meanAbsolute(tally.lengthErrorsM) },
    { metric: 'walking speed error', unit: 'm/s', value: meanAbsolute(tally.speedErrorsMS) },
    { metric: 'cadence error', unit: '1/min', value: meanAbsolute(tally.cadenceErrors) },
    { metric: 'bouts with strides', unit: '1', value: share(tally.boutsWithStrides, tally.bouts) },
    { metric: 'walking time found', unit: '1', value: share(tally.bothS, tally.referenceS) },
    { metric: 'found time that is walking', unit: '1', value: share(tally.bothS, tally.foundS) },
  ];
}
