/** Owns the list of files that the house rules are about: everything in git or about to be, with its text. */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');

export interface SourceFile {
  /** From the root, with forward slashes. */
  readonly name: string;
  readonly text: string;
}

const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
  maxBuffer: 64 * 1024 * 1024,
});

/** The names of all files of the project, without what git ignores. */
export const fileNames: readonly string[] = listed
  .split('\0')
  .filter((name) => name !== '' && existsSync(path.join(root, name)));

/** The files whose name matches, with their text. */
export function filesMatching(pattern: RegExp): SourceFile[] {
  return fileNames
    .filter((name) => pattern.test(name))
    .map((name) => ({ name, text: readFileSync(path.join(root, name), 'utf8') }));
}

/** TypeScript of the product itself, tests left out. */
export const productFiles = filesMatching(/^src\/.*(?<!\.test)\.tsx?$/);

/** `file:line: text` for every line that matches, so that a failure can be clicked. */
export function linesMatching(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.flatMap(({ name, text }) =>
    text
      .split('\n')
      .flatMap((line, i) => (pattern.test(line) ? [`${name}:${i + 1}: ${line.trim().slice(0, 160)}`] : [])),
  );
}
