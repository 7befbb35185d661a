/**
 * Owns the way from the model to a verdict: Spin writes a checker in C, the C compiler builds it, and it searches every
 * state. A verdict counts only when the search was complete: a bound that was hit, or a statement that a whole model
 * never reached, is an error and never a pass.
 */

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const model = fileURLToPath(new URL('acknowledgement.pml', import.meta.url));

/** Longest run of the model that any bound has needed, times forty; a longer one fails the check. */
const MAX_DEPTH = 10_000;
/** A checker's report is a page; a counterexample of this model a few hundred lines. */
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;

export interface Bound {
  readonly readings: 1 | 2 | 3;
  /** The nemesis has so many faults to spend. */
  readonly faults: number;
  /** The device has room for everything and overwrites nothing. */
  readonly hasRoom?: boolean;
}

/** `both`: acknowledgedIsStored and storedOnce, in one search. */
export type Property =
  | 'acknowledgedIsStored'
  | 'storedOnce'
  | 'both'
  | 'everyReadingSettles'
  | 'nothingIsLost';

export interface Verdict {
  readonly holds: boolean;
  readonly states: number;
  /** Steps of the longest run that was looked at. */
  readonly depth: number;
  readonly seconds: number;
  /** What happens in the counterexample, a line a step; empty when the property holds. */
  readonly counterexample: readonly string[];
  /** Statements of the model that no run reached. */
  readonly unreached: readonly string[];
}

export interface Checker {
  check(property: Property): Promise<Verdict>;
  remove(): Promise<void>;
}

/** Properties that say `eventually` need a search for cycles, the others only one for states. */
const LIVENESS: ReadonlySet<Property> = new Set(['everyReadingSettles', 'nothingIsLost']);

/** Optimising costs the compiler two seconds, which a search of a few thousand states does not win back. */
const LONG_SEARCH_FAULTS = 2;

/**
 * Builds a checker of some properties within a bound; `bug`: with this deliberate bug (the part of the macro's name
 * after BREAK_). `memoryMb`: what it may use. Throws when Spin or the compiler is missing or fails.
 */
export async function buildChecker(
  bound: Bound,
  options: { properties: readonly Property[]; bug?: string; memoryMb: number },
): Promise<Checker> {
  const { bug, memoryMb } = options;
  const isLong = bound.faults > LONG_SEARCH_FAULTS || (bug === undefined && bound.readings > 1);
  const needsCycles = options.properties.some((property) => LIVENESS.has(property));
  const flags = [isLong ? '-O1' : '-O0', needsCycles ? '-DNOFAIR' : '-DSAFETY', `-DMEMLIM=${memoryMb}`];
  const macros = [
    `-DREADINGS=${bound.readings}`,
    `-DFAULTS=${bound.faults}`,
    ...(bound.hasRoom === true ? ['-DROOM'] : []),
    ...(bug === undefined ? [] : [`-DBREAK_${bug}`]),
  ];
  const cwd = await mkdtemp(path.join(os.tmpdir(), 'kymo-model-'));
  const execute = async (command: string, args: readonly string[]): Promise<string> =>
    (await run(command, args, { cwd, maxBuffer: MAX_OUTPUT_BYTES })).stdout;
  const remove = (): Promise<void> => rm(cwd, { recursive: true, force: true });
  try {
    await execute('spin', ['-a', ...macros, model]);
    await execute('gcc', [...flags, '-w', '-o', 'pan', 'pan.c']);
  } catch (cause) {
    await remove();
    throw new Error('the checker could not be built; it needs Spin and gcc (Debian: spin, gcc, libc6-dev)', {
      cause,
    });
  }
  return {
    async check(property) {
      const cycles = LIVENESS.has(property) ? ['-a'] : [];
      const report = await execute('./pan', [`-m${MAX_DEPTH}`, ...cycles, '-N', property]);
      const verdict = readReport(report);
      if (verdict.holds) return { ...verdict, counterexample: [] };
      const trail = await execute('spin', [
        ...macros,
        '-T',
        '-t',
        '-k',
        `${path.basename(model)}.trail`,
        model,
      ]);
      return { ...verdict, counterexample: stepsOf(trail) };
    },
    remove,
  };
}

export function readReport(report: string): Omit<Verdict, 'counterexample'> {
  const number = (pattern: RegExp): number => {
    const found = pattern.exec(report)?.[1];
    if (found === undefined) throw new Error(`the checker did not finish:\n${report}`);
    return Number(found);
  };
  const errors = number(/errors: (\d+)/);
  const isCutShort = /max search depth too small|Search not completed|out of memory|memory limit/i.test(
    report,
  );
  if (errors === 0 && isCutShort) throw new Error(`the search was cut short:\n${report}`);
  return {
    holds: errors === 0,
    states: number(/^\s*(\d[\d.e+]*) states, stored/m),
    depth: number(/depth reached (\d+)/),
    seconds: number(/elapsed time ([\d.]+) seconds/),
    unreached: unreachedOf(report),
  };
}

/** `-end-` is never reached: the processes of the model run for ever. */
function unreachedOf(report: string): string[] {
  const sections = report.split(/^unreached in (?:proctype|claim) /m).slice(1);
  return sections.flatMap((section) =>
    [...section.matchAll(/\.pml:(\d+), state \d+, "(.*)"$/gm)]
      .filter(([, , statement]) => statement !== '-end-')
      .map(([, line, statement]) => `line ${line}: ${statement}`),
  );
}

/** What the model itself prints while Spin replays the counterexample. */
function stepsOf(trail: string): string[] {
  return trail
    .split('\n')
    .filter(
      (line) => /^(device|server \d|fault:|database|the database) /.test(line) || line.startsWith('fault:'),
    );
}
