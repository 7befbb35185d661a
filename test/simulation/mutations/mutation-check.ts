/**
 * Owns the check that the simulation finds deliberate bugs: each mutated program runs generated histories in a process
 * of its own until one fails, and the program as it is must come through the very histories that failed. Bounds: CHILDREN
 * at a time, HISTORIES and about BUDGET_MS a mutant.
 */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { AppError } from '#base/errors.ts';
import type { Mutation, MutationProfile } from '#test/simulation/mutations/mutation.ts';

/** Continuous integration has two cores. */
const CHILDREN = 2;
/** Each mutation says where it is found soon; where the simulation changed since, it is looked for a little longer. */
const HISTORIES = 200;
const BUDGET_MS = 30_000;
/** One that hangs within a history is ended, and is a failure of the check. */
const CHILD_MS = 4 * BUDGET_MS;

export interface SeedsOfProfile {
  readonly profile: MutationProfile;
  readonly from: number;
  readonly count: number;
}

/** What one process is to do. */
export interface MutantOrder {
  /** Null: the program as it is. */
  readonly name: string | null;
  readonly seeds: readonly SeedsOfProfile[];
  /** No history begins after so long. */
  readonly budgetMs: number;
  /** Where compiled modules are kept, for the processes after it. */
  readonly cache: string;
}

/** What it says at its end. */
export interface MutantReport {
  /** Histories that were run, the failing one included. */
  readonly histories: number;
  /** Null: no history failed. */
  readonly failure: {
    readonly profile: MutationProfile;
    readonly seed: number;
    readonly check: string;
    readonly message: string;
  } | null;
  /** Files of the mutation that the simulation never loaded. */
  readonly unloaded: readonly string[];
}

export interface MutationResult extends MutantReport {
  readonly mutation: Mutation;
  readonly elapsedMs: number;
}

export interface MutationOutcome {
  /** In the order of the mutations. */
  readonly results: readonly MutationResult[];
  /** The program as it is, over the histories that failed. */
  readonly unchanged: MutantReport;
}

/** `onResult` hears of each as it is done. */
export async function checkMutations(
  mutations: readonly Mutation[],
  onResult: (result: MutationResult) => void = () => undefined,
): Promise<MutationOutcome> {
  const cache = mkdtempSync(join(tmpdir(), 'kymo-mutants-'));
  const results: MutationResult[] = [];
  const waiting = mutations.map((mutation, place) => ({ mutation, place }));
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { name, profile = 'short', from = 1 } = next.mutation;
      const startedMs = performance.now();
      const seeds = [{ profile, from, count: HISTORIES }];
      const report = await runProcess({ name, seeds, budgetMs: BUDGET_MS, cache });
      const result = { ...report, mutation: next.mutation, elapsedMs: performance.now() - startedMs };
      results[next.place] = result;
      onResult(result);
    }
  };
  try {
    await Promise.all(Array.from({ length: CHILDREN }, work));
    const failed = new Map(
      results.flatMap(({ failure }) => (failure === null ? [] : [[keyOf(failure), failure]])),
    );
    const seeds = [...failed.values()].map(({ profile, seed }) => ({ profile, from: seed, count: 1 }));
    const unchanged = await runProcess({ name: null, seeds, budgetMs: CHILD_MS, cache });
    return { results, unchanged };
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

function keyOf({ profile, seed }: { profile: string; seed: number }): string {
  return `${profile} ${seed}`;
}

/** What is wrong, in words: mutants that were not found, and what was found in the program as it is. */
export function mutationProblems({ results, unchanged }: MutationOutcome): string[] {
  const { failure } = unchanged;
  return [
    ...results.flatMap(({ mutation: { name }, histories, failure: found, unloaded }) => [
      ...(found === null ? [`${name} was not found in ${histories} histories`] : []),
      ...unloaded.map((file) => `${name} changes ${file}, which the simulation does not load`),
    ]),
    ...(failure === null
      ? []
      : [
          `without a mutation, seed ${failure.seed} of ${failure.profile} fails: ${failure.check}: ${failure.message}`,
        ]),
  ];
}

/** A table in Markdown, as docs/reliability.md has it. */
export function mutationTable(results: readonly MutationResult[]): string {
  const rows = results.map(({ mutation: { name, what }, failure, histories }) =>
    failure === null
      ? [name, what, 'not found', '', String(histories)]
      : [name, what, failure.check, `${failure.profile} ${failure.seed}`, String(histories)],
  );
  const head = [
    ['Mutant', 'What it breaks', 'Found by', 'In', 'Histories'],
    ['---', '---', '---', '---', '---:'],
  ];
  return [...head, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function runProcess(order: MutantOrder): Promise<MutantReport> {
  const script = fileURLToPath(new URL('./mutant-process.ts', import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, JSON.stringify(order)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-4096);
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), CHILD_MS + BUDGET_MS);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve(JSON.parse(output) as MutantReport);
      else
        reject(
          new AppError(
            'internal',
            `${order.name ?? 'the program as it is'} ended with ${signal ?? code}: ${errors}`,
          ),
        );
    });
  });
}
