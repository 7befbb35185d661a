/**
 * Owns the lint rules. The import overrides are made from the module table, so the table is the rule; what a linter
 * cannot see well (sizes, opening comments, names, time and chance) is in test/tidy.
 */

import { defineConfig } from 'oxlint';

import { extensionImports, moduleTable, pureModules } from './test/tidy/module-table.ts';

// A type, not an interface: the configuration wants an index signature, which only types have implicitly.
type ImportRule = {
  'no-restricted-imports': ['error', { patterns: { group: string[]; message: string }[] }];
};

/** Whatever the table's row does not name is forbidden, so a new module starts closed. */
function importRule(name: string, allowed: readonly string[], isPure: boolean): ImportRule {
  const open = [name, ...allowed].map((module) => `!#${module}/**`);
  const patterns = [
    { group: ['#*/**', ...open], message: `${name} may import only: ${allowed.join(', ') || 'nothing'}.` },
    { group: ['./**', '../**', '!./**/*.css'], message: 'Import by #module/file.ts, also inside a module.' },
  ];
  if (isPure) patterns.push({ group: ['node:**'], message: `${name} is pure: it runs in any engine.` });
  return { 'no-restricted-imports': ['error', { patterns }] };
}

const imports = [...moduleTable].map(([name, allowed]) => ({
  files: [`src/${name}/**`],
  rules: importRule(name, allowed, pureModules.includes(name)),
}));

// Later overrides win: tests beside the source may also use test/ and read files.
const importsOfTests = [...moduleTable].map(([name, allowed]) => ({
  files: [`src/${name}/**/*.test.{ts,tsx}`],
  rules: importRule(name, [...allowed, 'test'], false),
}));

/** Extensions import their own files by path: they are no module of the core. */
const importsOfExtensions: ImportRule = {
  'no-restricted-imports': [
    'error',
    {
      patterns: [
        {
          group: ['#*/**', '../**', ...extensionImports.map((module) => `!#${module}/**`)],
          message: `An extension may import only: #extension, ${extensionImports.join(', ')}.`,
        },
      ],
    },
  ],
};

export default defineConfig({
  plugins: ['typescript', 'import', 'unicorn', 'oxc', 'promise', 'react', 'jsx-a11y', 'vitest'],
  categories: { correctness: 'error', suspicious: 'error' },
  rules: {
    eqeqeq: 'error',
    'no-console': 'error',
    'no-var': 'error',
    'prefer-const': 'error',
    'import/no-cycle': 'error',
    'import/no-default-export': 'error',
    'oxc/no-barrel-file': ['error', { threshold: 0 }],
    'typescript/no-explicit-any': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/only-throw-error': 'error',
    'typescript/prefer-promise-reject-errors': 'error',
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    'vitest/no-disabled-tests': 'error',
    'vitest/no-focused-tests': 'error',
    'vitest/valid-expect': ['error', { maxArgs: 2 }],

    // The compiler's jsx transform needs no React in scope.
    'react/react-in-jsx-scope': 'off',
    // Style sheets and worker entries are imported for their effect.
    'import/no-unassigned-import': 'off',
    // fast-check and pg are written `fc.integer`, `pg.Pool` in their own documentation.
    'import/no-named-as-default-member': 'off',
    // Narrowing at an edge is how a parsed value gets its type; tsc already refuses the impossible ones.
    'typescript/no-unsafe-type-assertion': 'off',
    // A switch over a union that returns in every case is complete; switch-exhaustiveness-check proves it.
    'typescript/consistent-return': 'off',
    // <output> is for results of a calculation; role="status" is what the pattern books use.
    'jsx-a11y/prefer-tag-over-role': 'off',
    // Interfaces are made by functions and closures here; there is no `this` that a method could lose.
    'typescript/unbound-method': 'off',
    // Loops that wait for an event are changed by its handler, which the rule does not see.
    'no-unmodified-loop-condition': 'off',
    // A parser of JSON files is named with the type that it gives.
    'typescript/no-unnecessary-type-parameters': 'off',
    // Type ids of pg are plain numbers to everybody but its declarations.
    'typescript/no-unsafe-enum-assignment': 'off',
    // A promise that ends a chain gives nothing to anyone.
    'promise/always-return': 'off',
    // Default exports of packages whose named export is the same thing.
    'import/no-named-as-default': 'off',
    // prom-client registers a metric by making it.
    'no-new': 'off',
    // A small function stands where it is used.
    'unicorn/consistent-function-scoping': 'off',
    // Sorting a fresh array in place saves the copy.
    'unicorn/no-array-sort': 'off',
  },
  ignorePatterns: ['dist/**', 'generated/**', 'deploy/k6/clinic.js', 'data/**', '.tools/**'],
  overrides: [
    ...imports,
    ...importsOfTests,
    { files: ['extensions/**'], rules: importsOfExtensions },
    // What people read on the terminal is written here.
    { files: ['src/app/**', 'scripts/**', 'bench/**', 'test/**'], rules: { 'no-console': 'off' } },
    // Plain JavaScript has no types that this rule could read.
    { files: ['**/*.mjs'], rules: { 'typescript/prefer-promise-reject-errors': 'off' } },
    // Their tools want a default export.
    {
      files: ['*.config.ts', '**/*.config.ts', 'test/support/*-setup.ts'],
      rules: { 'import/no-default-export': 'off' },
    },
  ],
});
