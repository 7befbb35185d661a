/** Owns the proof that no test file is forgotten: each belongs to exactly one project of vitest.config.ts. */

import path from 'node:path';

import { expect, test } from 'vitest';

import { fileNames } from '#test/tidy/source-files.ts';
import config from '../../vitest.config.ts';

interface Project {
  test: { name: string; include: string[]; exclude?: string[] };
}

test('every test file runs in exactly one project', () => {
  const projects = (config.test?.projects ?? []) as Project[];
  const matches = (globs: readonly string[], name: string): boolean =>
    globs.some((glob) => path.matchesGlob(name, glob));
  const placed = fileNames
    .filter((name) => /\.test\.(tsx?|mjs)$/.test(name))
    .map((name) => {
      const homes = projects.filter(
        ({ test: { include, exclude = [] } }) => matches(include, name) && !matches(exclude, name),
      );
      return `${name}: ${homes.map((home) => home.test.name).join(', ') || 'none'}`;
    });
  expect(placed.length).toBeGreaterThan(0);
  expect(placed.filter((line) => !/: [a-z0-9]+$/.test(line) || line.endsWith(': none'))).toEqual([]);
});
