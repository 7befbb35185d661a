/** Owns the house rules that are executed rather than written: sizes, opening comments, names, time and chance. */

import { expect, test } from 'vitest';

import { fileNames, filesMatching, linesMatching, productFiles } from '#test/tidy/source-files.ts';

/** Past this a file has more than one owner's work in it (docs: house style); tests may list many cases. */
const maxLines = 400;

test('every source file opens by saying what it owns', () => {
  const silent = productFiles
    .filter(({ text }) => !/^\/\*\*\s+(\*\s+)?Owns\s/.test(text))
    .map(({ name }) => name);
  expect(silent).toEqual([]);
});

test(`no file of the product or its tools is longer than ${maxLines} lines`, () => {
  const files = [...productFiles, ...filesMatching(/^(bench|scripts|test\/support)\/.*\.(ts|mjs)$/)];
  const long = files
    .map(({ name, text }) => ({ name, lines: text.trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > maxLines)
    .map(({ name, lines }) => `${name}: ${lines} lines`);
  expect(long).toEqual([]);
});

test('files are kebab-case nouns with a subject', () => {
  const code = fileNames.filter((name) => /^(src|bench|scripts|test)\/.*\.(tsx?|mjs)$/.test(name));
  const badlyNamed = code.filter(
    (name) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)*$/.test(name.split('/').at(-1) ?? ''),
  );
  expect(badlyNamed).toEqual([]);
  // A name that fits everything says nothing about what belongs in the file.
  const vague = /(^|[/-])(utils?|helpers?|managers?|common|misc)([.-]|\/|$)/;
  expect(code.filter((name) => vague.test(name))).toEqual([]);
});

test('the environment is read in one file', () => {
  const elsewhere = productFiles.filter(({ name }) => name !== 'src/app/config.ts');
  expect(linesMatching(elsewhere, /\bprocess\.env\b/)).toEqual([]);
});

test('time and chance come in as Clock and Random', () => {
  // What talks to the outside is where real time enters: the clock itself, sockets' own limits, and the browser.
  const adapters =
    /^src\/(base\/(clock|random)\.ts|sdk\/device-client\.ts|live\/live-socket\.ts|bus\/[a-z-]*conformance[a-z-]*\.ts|web\/)/;
  const inner = productFiles.filter(({ name }) => !adapters.test(name));
  const direct = /\b(Date\.now|Math\.random|setTimeout|setInterval|performance\.now)\s*\(|\bnew Date\(\)/;
  expect(linesMatching(inner, direct)).toEqual([]);
});

test('nothing names a machine or a registry', () => {
  const text = filesMatching(/\.(tsx?|mjs|json|md|sql|css|html|ya?ml|sh)$|^\.ci\/|^\.npmrc$/);
  // Put together here, so that this file does not find itself.
  const paths = ['work', 'root', 'farm', 'tmp/wt'].map((name) => `/${name}/`).join('|');
  const machine = new RegExp(`(^|[\\s"'\`(=:])(${paths})`);
  expect(linesMatching(text, machine)).toEqual([]);
  const registry = new RegExp(['registry', 'npmjs'].join('\\.'));
  expect(linesMatching(text, registry)).toEqual([]);
});

test('nothing is left for later', () => {
  const marks = new RegExp(
    `\\b(${['TO', 'FIX', 'XX'].map((start, i) => start + ['DO', 'ME', 'X'][i]).join('|')})\\b`,
  );
  expect(linesMatching(filesMatching(/^(src|test|bench|scripts)\/.*\.(tsx?|mjs|sql)$/), marks)).toEqual([]);
});
