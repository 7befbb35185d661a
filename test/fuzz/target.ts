/** Owns what a target of the fuzzer is: where cases come from, how one is run, and what it tells of where it went. */

import type { Chance } from '#test/fuzz/chance.ts';
import type { Step } from '#test/fuzz/step.ts';

export interface Target {
  readonly name: string;
  /** What is under test, for --help. */
  readonly about: string;
  /** Of all inputs, relative to the other targets: what is fast and reaches most gets most. */
  readonly share: number;
  /** A case from nothing. */
  generate(chance: Chance): Step[];
  /**
   * Runs the case on fresh state. Throws, or rejects, when anything that should always hold does not. The same steps
   * always do the same.
   */
  run(steps: readonly Step[], notes: Notes): void | Promise<void>;
}

/** What a run tells. */
export interface Notes {
  /** A situation, in few words: a case that reaches a new one is kept and varied (semantic coverage). */
  reached(situation: string): void;
  /** Something was refused under this code. */
  refused(code: string): void;
}

/** A promise of the code under test that did not hold. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
}

let broken: BrokenPromise | null = null;

/** `what` states what should have been true. */
export function hold(condition: unknown, what: string, detail?: unknown): asserts condition {
  if (condition) return;
  const shown = detail === undefined ? '' : `: ${JSON.stringify(detail, shownBigints)?.slice(0, 500)}`;
  const error = new BrokenPromise(what + shown);
  broken ??= error;
  throw error;
}

/** The first promise that broke since the last call: the code under test may have caught what `hold` threw. */
export function takeBroken(): BrokenPromise | null {
  const first = broken;
  broken = null;
  return first;
}

function shownBigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
