import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';

import { expect, test } from 'vitest';

import { mutatedText, occurrences } from '#test/simulation/mutations/mutation.ts';
import { mutations } from '#test/simulation/mutations/mutation-list.ts';

const textOf = (file: string): string => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');

test('every mutation finds its places exactly once, and what it makes of them is a program', () => {
  const lost = mutations.flatMap(({ name, edits }) =>
    edits
      .filter(({ file, find }) => occurrences(textOf(file), find) !== 1)
      .map(({ file, find }) => `${name}: ${occurrences(textOf(file), find)} times in ${file}: ${find}`),
  );
  expect(lost).toEqual([]);
  for (const mutation of mutations)
    for (const { file } of mutation.edits) {
      const mutated = mutatedText(textOf(file), mutation, file);
      expect(mutated).not.toBe(textOf(file));
      expect(() => stripTypeScriptTypes(mutated)).not.toThrow();
    }
});

test('mutations are many, each with a name of its own and a promise', () => {
  expect(mutations.length).toBeGreaterThanOrEqual(30);
  expect(new Set(mutations.map(({ name }) => name)).size).toBe(mutations.length);
  for (const { name, what } of mutations) {
    expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(what).toMatch(/^[A-Z].*\.$/);
  }
});
