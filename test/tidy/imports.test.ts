/**
 * Owns the proof that the module import table holds, by reading the import statements themselves: the linter's rule
 * can be switched off by a comment, this one cannot.
 */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { expect, test } from 'vitest';

import { extensionImports, moduleTable, pureModules } from '#test/tidy/module-table.ts';
import {
  fileNames,
  filesMatching,
  linesMatching,
  productFiles,
  root,
  type SourceFile,
} from '#test/tidy/source-files.ts';

const sources = filesMatching(/^src\/.*\.tsx?$/);

/** What a file imports, statically or not; type imports count, since they bind modules together as well. */
function importsOf(file: SourceFile): string[] {
  const statements = /(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*['"]([^'"]+)['"]/g;
  const effects = /(?:^|\n)\s*import\s*['"]([^'"]+)['"]/g;
  const calls = /\bimport\(\s*['"]([^'"]+)['"]/g;
  return [statements, effects, calls].flatMap((pattern) =>
    [...file.text.matchAll(pattern)].map((match) => match[1] ?? ''),
  );
}

function moduleOf(name: string): string {
  return name.split('/')[1] ?? '';
}

test('every import between modules is in the table', () => {
  const wrong = sources.flatMap((file) => {
    const own = moduleOf(file.name);
    const allowed = [
      own,
      ...(moduleTable.get(own) ?? []),
      ...(/\.test\.tsx?$/.test(file.name) ? ['test'] : []),
    ];
    return importsOf(file)
      .filter((target) => target.startsWith('#') && !allowed.includes(target.slice(1).split('/')[0] ?? ''))
      .map((target) => `${file.name} imports ${target}`);
  });
  expect(wrong).toEqual([]);
});

test('extensions import #extension, base and contract, their own files and what Node and packages bring', () => {
  const extensions = filesMatching(/^extensions\/.*(?<!\.test)\.ts$/);
  expect(extensions.length).toBeGreaterThan(0);
  const wrong = extensions.flatMap((file) =>
    importsOf(file)
      .filter(
        (target) =>
          (target.startsWith('#') &&
            target !== '#extension' &&
            !extensionImports.includes(target.slice(1).split('/')[0] ?? '')) ||
          target.startsWith('../'),
      )
      .map((target) => `${file.name} imports ${target}`),
  );
  expect(wrong).toEqual([]);
});

test('modules are imported by #module/file.ts, never by a relative path', () => {
  const wrong = sources.flatMap((file) =>
    importsOf(file)
      .filter((target) => target.startsWith('.') && !(target.startsWith('./') && target.endsWith('.css')))
      .map((target) => `${file.name} imports ${target}`),
  );
  expect(wrong).toEqual([]);
});

test('every imported file exists', () => {
  const wrong = [...sources, ...filesMatching(/^(test|bench)\/.*\.ts$/)].flatMap((file) =>
    importsOf(file)
      .filter(
        (target) =>
          /^#(?!test|bench|extension$)/.test(target) && !existsSync(path.join(root, 'src', target.slice(1))),
      )
      .map((target) => `${file.name} imports ${target}`),
  );
  expect(wrong).toEqual([]);
});

test('pure modules touch neither files, sockets nor processes', () => {
  const pure = productFiles.filter((file) => pureModules.includes(moduleOf(file.name)));
  expect(pure.length).toBeGreaterThan(0);
  const wrong = pure.flatMap((file) =>
    importsOf(file)
      .filter((target) => target.startsWith('node:'))
      .map((target) => `${file.name} imports ${target}`),
  );
  expect(wrong).toEqual([]);
});

test('nothing is exported from another file: there are no barrels', () => {
  // What the published package offers is named in one file an entry point.
  const inner = sources.filter(({ name }) => !/^src\/(sdk|contract)\/[a-z-]*-entry\.ts$/.test(name));
  expect(linesMatching(inner, /^export\s+(\*|\{[^}]*\}|type\s+\{[^}]*\})\s.*from\s+['"]/)).toEqual([]);
});

test('the table, the folders and package.json name the same modules', () => {
  const folders = new Set(fileNames.filter((name) => /^src\/[^/]+\//.test(name)).map(moduleOf));
  const description = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    imports: Record<string, string>;
  };
  for (const folder of folders) {
    expect(moduleTable.has(folder), `src/${folder} has no row in the module table`).toBe(true);
    expect(description.imports[`#${folder}/*`]).toBe(`./src/${folder}/*`);
  }
});
