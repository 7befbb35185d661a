/** Owns the kept cases, one file each under test/fuzz/corpus: what once broke a promise, with a sentence about it. */

import { readdirSync } from 'node:fs';

import { readCase, type KeptCase } from '#test/fuzz/step.ts';

const directory = new URL('corpus/', import.meta.url);

/** By file name. */
export function keptCases(): ReadonlyMap<string, KeptCase> {
  const names = readdirSync(directory).filter((name) => name.endsWith('.json'));
  return new Map(names.toSorted().map((name) => [name, readCase(new URL(name, directory))]));
}
