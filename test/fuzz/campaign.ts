/**
 * Owns a run of the fuzzer over one target: fresh cases and varied kept ones, in turn, until so many inputs were given.
 * Guided by semantic coverage: a case that reaches a situation for the first time is kept and varied further. Bounds:
 * CORPUS cases are kept, STEPS steps a case. The first case that breaks a promise ends the run, shrunk.
 *
 * Why not Jazzer.js 4.0.0, the maintained coverage-guided fuzzer for Node: its native part comes in the package, but asks for
 * glibc 2.38, which Debian 12 has not; and its loader instruments modules of the format `module` alone, while Node 24 loads
 * TypeScript as `module-typescript`, so that it would be blind here.
 */

import { messageOf } from '#base/errors.ts';
import { createChance, type Chance } from '#test/fuzz/chance.ts';
import { shrink } from '#test/fuzz/shrink.ts';
import { varyStep, type Step } from '#test/fuzz/step.ts';
import { takeBroken, type Notes, type Target } from '#test/fuzz/target.ts';

/** Situations are some hundreds a target. */
const CORPUS = 2_000;
const STEPS = 400;
/** Share of cases that are variations. */
const VARIED = 0.5;

export interface CampaignOptions {
  readonly target: Target;
  readonly inputs: number;
  readonly seed: number;
  /** Cases to begin with, beside the fresh ones. */
  readonly kept?: readonly (readonly Step[])[];
  /** Asked after every case: true ends the run early. */
  readonly isOver?: (report: CampaignReport) => boolean;
}

export interface CampaignReport {
  readonly target: string;
  readonly seed: number;
  cases: number;
  /** Steps that were run. */
  inputs: number;
  /** How often each was reached, by name. */
  readonly situations: Map<string, number>;
  readonly refusals: Map<string, number>;
  kept: number;
  slowestMs: number;
  failure: Failure | null;
}

export interface Failure {
  readonly message: string;
  /** As it was found, and shrunk. */
  readonly steps: readonly Step[];
  readonly shrunk: readonly Step[];
}

export async function runCampaign(options: CampaignOptions): Promise<CampaignReport> {
  const { target, seed } = options;
  const chance = createChance(seed);
  const corpus: (readonly Step[])[] = [...(options.kept ?? [])];
  const report: CampaignReport = {
    target: target.name,
    seed,
    cases: 0,
    inputs: 0,
    situations: new Map(),
    refusals: new Map(),
    kept: corpus.length,
    slowestMs: 0,
    failure: null,
  };
  let isNew = false;
  const notes: Notes = {
    reached(situation) {
      const before = report.situations.get(situation);
      if (before === undefined) isNew = true;
      report.situations.set(situation, (before ?? 0) + 1);
    },
    refused: (code) => void report.refusals.set(code, (report.refusals.get(code) ?? 0) + 1),
  };
  while (report.inputs < options.inputs && report.failure === null) {
    const isVaried = corpus.length > 0 && chance.is(VARIED);
    const steps = isVaried ? varied(corpus, chance) : target.generate(chance);
    isNew = false;
    const startedMs = performance.now();
    const problem = await problemOf(target, steps, notes);
    report.slowestMs = Math.max(report.slowestMs, performance.now() - startedMs);
    report.cases++;
    report.inputs += steps.length;
    if (problem !== null) report.failure = await failureOf(target, steps, problem);
    else if (isNew) {
      if (corpus.length < CORPUS) corpus.push(steps);
      else corpus[chance.below(CORPUS)] = steps;
      report.kept = corpus.length;
    }
    if (options.isOver?.(report) === true) break;
  }
  return report;
}

const silent: Notes = { reached: () => undefined, refused: () => undefined };

/** Why the case fails, or null. What a promise nobody waits for rejected with counts too. */
export async function problemOf(
  target: Target,
  steps: readonly Step[],
  notes: Notes = silent,
): Promise<string | null> {
  let unhandled: unknown = null;
  const onUnhandled = (reason: unknown): void => void (unhandled ??= reason);
  process.on('unhandledRejection', onUnhandled);
  takeBroken();
  try {
    const running = target.run(steps, notes);
    if (running !== undefined) await running;
    const broken = takeBroken();
    if (broken !== null) throw broken;
    return unhandled === null ? null : `a promise that nobody waits for rejected: ${messageOf(unhandled)}`;
  } catch (thrown) {
    return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  } finally {
    process.off('unhandledRejection', onUnhandled);
  }
}

async function failureOf(target: Target, steps: readonly Step[], message: string): Promise<Failure> {
  const shrunk = await shrink(steps, async (fewer) => (await problemOf(target, fewer)) !== null);
  return { message: (await problemOf(target, shrunk)) ?? message, steps, shrunk };
}

function varied(corpus: readonly (readonly Step[])[], chance: Chance): Step[] {
  const steps = [...chance.among(corpus)];
  for (let edits = 1 + chance.below(4); edits > 0; edits--) {
    const at = chance.below(steps.length + 1);
    switch (chance.below(6)) {
      case 0:
        steps.splice(at, 1 + chance.below(4));
        break;
      case 1: {
        // Some steps of another case.
        const other = chance.among(corpus);
        const from = chance.below(other.length);
        steps.splice(at, 0, ...other.slice(from, from + 1 + chance.below(20)));
        break;
      }
      case 2: {
        const again = steps.slice(at, at + 1 + chance.below(3));
        for (let times = chance.is(0.05) ? 100 : 1; times > 0; times--) steps.splice(at, 0, ...again);
        break;
      }
      case 3: {
        const [moved] = steps.splice(at, 1);
        if (moved !== undefined) steps.splice(chance.below(steps.length + 1), 0, moved);
        break;
      }
      default: {
        const step = steps[at];
        if (step !== undefined) steps[at] = varyStep(step, chance);
      }
    }
  }
  return steps.slice(0, STEPS);
}
