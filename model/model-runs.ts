/**
 * Owns what is checked of the model: which property within which bound, and which deliberate bugs must be refuted by
 * which property. Every property is refuted by a bug at least, so none of them can pass by saying nothing.
 */

import { buildChecker, type Bound, type Property, type Verdict } from './spin.ts';

export interface Proof {
  readonly bound: Bound;
  readonly properties: readonly Property[];
}

export interface Bug {
  /** The macro, without BREAK_. */
  readonly name: string;
  readonly is: string;
  readonly refutedBy: Property;
  readonly bound: Bound;
}

/** A minute on two cores. */
export const quickProofs: readonly Proof[] = [
  { bound: { readings: 2, faults: 2 }, properties: ['both'] },
  { bound: { readings: 1, faults: 3 }, properties: ['everyReadingSettles'] },
  { bound: { readings: 2, faults: 1 }, properties: ['everyReadingSettles'] },
  { bound: { readings: 1, faults: 2, hasRoom: true }, properties: ['nothingIsLost'] },
  { bound: { readings: 2, faults: 1, hasRoom: true }, properties: ['nothingIsLost'] },
];

/** A quarter of an hour. */
export const largeProofs: readonly Proof[] = [
  {
    bound: { readings: 1, faults: 4 },
    properties: ['both', 'everyReadingSettles'],
  },
  { bound: { readings: 2, faults: 2 }, properties: ['everyReadingSettles'] },
  { bound: { readings: 1, faults: 3, hasRoom: true }, properties: ['nothingIsLost'] },
  { bound: { readings: 2, faults: 2, hasRoom: true }, properties: ['nothingIsLost'] },
  {
    bound: { readings: 3, faults: 1 },
    properties: ['both', 'everyReadingSettles'],
  },
];

const one: Bound = { readings: 1, faults: 1 };
const two: Bound = { readings: 1, faults: 2 };

export const bugs: readonly Bug[] = [
  {
    name: 'ACKNOWLEDGE_EARLY',
    is: 'acknowledges what a flush has taken, before its commit',
    refutedBy: 'acknowledgedIsStored',
    bound: one,
  },
  {
    name: 'UNKNOWN_OUTCOME',
    is: 'takes a commit without an answer for done',
    refutedBy: 'acknowledgedIsStored',
    bound: one,
  },
  { name: 'GUARD', is: 'writes without subtracting what is committed', refutedBy: 'storedOnce', bound: one },
  {
    name: 'RETRY',
    is: 'repeats a commit without an answer without reading the guard again',
    refutedBy: 'storedOnce',
    bound: one,
  },
  { name: 'LOCK', is: 'reads the guard row without its lock', refutedBy: 'storedOnce', bound: one },
  {
    name: 'FENCING',
    is: 'takes the lock from a stopped writer without ending its transaction',
    refutedBy: 'storedOnce',
    bound: one,
  },
  { name: 'STORED_WINS', is: 'declares lost what is stored', refutedBy: 'storedOnce', bound: two },
  {
    name: 'INCARNATION',
    is: 'restores the database under the same incarnation',
    refutedBy: 'everyReadingSettles',
    bound: one,
  },
  {
    name: 'NOTICE',
    is: 'keeps connections over a change of incarnation',
    refutedBy: 'everyReadingSettles',
    bound: one,
  },
  {
    name: 'GENERATION',
    is: 'compares generations from before and after a restore',
    refutedBy: 'everyReadingSettles',
    bound: two,
  },
  {
    name: 'UNKNOWN_STREAM',
    is: 'drops frames of a stream without a guard row and keeps the connection',
    refutedBy: 'everyReadingSettles',
    bound: one,
  },
  {
    name: 'REWIND',
    is: 'drops frames without asking for them again',
    refutedBy: 'everyReadingSettles',
    bound: one,
  },
  {
    name: 'STALE_ACKNOWLEDGEMENT',
    is: 'hears an acknowledgement of the connection before',
    refutedBy: 'everyReadingSettles',
    bound: two,
  },
  {
    name: 'DECLARE',
    is: 'does not declare what a restored server lacks and the device has freed',
    refutedBy: 'everyReadingSettles',
    bound: one,
  },
  {
    name: 'TOMBSTONE',
    is: 'states a loss on one connection only',
    refutedBy: 'everyReadingSettles',
    bound: two,
  },
  {
    name: 'FORGET',
    is: 'frees readings as soon as they are acknowledged',
    refutedBy: 'nothingIsLost',
    bound: { ...one, hasRoom: true },
  },
];

/** `proof` for a property of the model itself, `bug` for a deliberate bug in it. */
export type Run = { readonly bound: Bound; readonly property: Property; readonly verdict: Verdict } & (
  | { readonly kind: 'proof' }
  | { readonly kind: 'bug'; readonly bug: Bug }
);

/** What went as it should: the model's properties hold in full, and the bugs are found. */
export function isAsExpected(run: Run): boolean {
  return run.kind === 'bug' ? !run.verdict.holds : run.verdict.holds;
}

/** Runs everything, `atOnce` checkers at a time, each with at most `memoryMb`; reports each run as it ends. */
export async function runModel(
  work: { proofs: readonly Proof[]; bugs: readonly Bug[] },
  limits: { atOnce: number; memoryMb: number },
  report: (run: Run) => void,
): Promise<void> {
  const { memoryMb } = limits;
  const jobs = [
    ...work.proofs.map(({ bound, properties }) => async (): Promise<void> => {
      const checker = await buildChecker(bound, { properties, memoryMb });
      try {
        for (const property of properties)
          report({ kind: 'proof', bound, property, verdict: await checker.check(property) });
      } finally {
        await checker.remove();
      }
    }),
    ...work.bugs.map((bug) => async (): Promise<void> => {
      const { bound, refutedBy: property } = bug;
      const checker = await buildChecker(bound, { properties: [property], bug: bug.name, memoryMb });
      try {
        report({ kind: 'bug', bug, bound, property, verdict: await checker.check(property) });
      } finally {
        await checker.remove();
      }
    }),
  ];
  const worker = async (): Promise<void> => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
  };
  await Promise.all(Array.from({ length: limits.atOnce }, worker));
}
