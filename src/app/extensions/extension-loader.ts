/**
 * Owns the finding and loading of extensions: `NAME.extension.ts` and `NAME/extension.ts` (or .js) in the folders that
 * the configuration names. Each is checked before the server starts; what is wrong with one is told with its file and
 * field. At most EXTENSIONS are loaded.
 */

import { readdirSync, type Dirent } from 'node:fs';
import { registerHooks } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { AppError, messageOf } from '#base/errors.ts';
import { checkExtension, type ExtensionDefinition } from '#contract/extension.ts';

/** Names in one process; each costs its own code. */
const EXTENSIONS = 100;

const ending = /\.(?:ts|mts|js|mjs)$/;
const nameText = /^[a-z][a-z0-9-]{0,39}$/;
const entryPoint = new URL('../../contract/extension-entry.ts', import.meta.url).href;

export interface LoadedExtension {
  readonly file: string;
  readonly extension: ExtensionDefinition;
}

/** The folder with the examples; only a checkout has it. */
export const exampleDirectory = fileURLToPath(new URL('../../../extensions', import.meta.url));

/** In the order of folders, then of names. Throws AppError `invalid-field` or `conflict` naming the file. */
export async function loadExtensions(directories: readonly string[]): Promise<readonly LoadedExtension[]> {
  const files = directories.flatMap((directory) => findFiles(path.resolve(directory)));
  if (files.length > EXTENSIONS)
    throw new AppError('limit-exceeded', `${files.length} extensions are more than ${EXTENSIONS}`);
  if (files.length > 0) offerEntryPoint(directories.map((directory) => path.resolve(directory)));
  const loaded: LoadedExtension[] = [];
  for (const { file, name } of files) {
    const other = loaded.find((one) => one.extension.name === name);
    if (other !== undefined)
      throw new AppError('conflict', `${other.file} and ${file} are two extensions of one name`);
    loaded.push({ file, extension: await load(file, name) });
  }
  return loaded;
}

interface Found {
  readonly file: string;
  readonly name: string;
}

function findFiles(directory: string): readonly Found[] {
  const found: Found[] = [];
  for (const entry of entriesOf(directory, true)) {
    const at = path.join(directory, entry.name);
    if (entry.isDirectory()) {
      const inner = entriesOf(at, false).find(({ name }) => /^extension\.(?:ts|mts|js|mjs)$/.test(name));
      if (inner !== undefined) found.push({ file: path.join(at, inner.name), name: entry.name });
    } else if (/\.extension\.[a-z]+$/.test(entry.name) && ending.test(entry.name))
      found.push({ file: at, name: entry.name.replace(/\.extension\.[a-z]+$/, '') });
  }
  for (const { file, name } of found)
    if (!nameText.test(name))
      throw invalid(file, '/name', `"${name}" is no name of lower-case letters, digits and -`);
  return found.toSorted((a, b) => (a.file < b.file ? -1 : 1));
}

function entriesOf(directory: string, isAsked: boolean): readonly Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (cause) {
    if (!isAsked) return [];
    throw new AppError('invalid-field', `--extensions ${directory} cannot be read: ${messageOf(cause)}`, {
      field: 'extensions',
      cause,
    });
  }
}

async function load(file: string, name: string): Promise<ExtensionDefinition> {
  let module: { readonly extension?: unknown; readonly default?: unknown };
  try {
    module = (await import(pathToFileURL(file).href)) as typeof module;
  } catch (cause) {
    throw invalid(file, fieldOf(cause), messageOf(cause), cause);
  }
  const value = module.extension ?? module.default;
  if (value === undefined)
    throw invalid(file, '', 'it exports no extension: export const extension = defineExtension({...})');
  try {
    checkExtension(value);
  } catch (cause) {
    throw invalid(file, fieldOf(cause), messageOf(cause), cause);
  }
  if (value.name !== name)
    throw invalid(file, '/name', `/name is "${value.name}", but its file says "${name}"`);
  return value;
}

function fieldOf(cause: unknown): string {
  return cause instanceof AppError ? (cause.field ?? '') : '';
}

function invalid(file: string, field: string, message: string, cause?: unknown): AppError {
  return new AppError('invalid-field', `${file}: ${message}`, { field, cause });
}

let offered: string[] = [];

/**
 * Lets the files of these folders import `#extension` (and `kymo/extension`), wherever they lie: Node looks for `#` names
 * in the nearest package.json, which may be another project's or none.
 */
function offerEntryPoint(directories: readonly string[]): void {
  const isNew = offered.length === 0;
  offered = [...new Set([...offered, ...directories.map((one) => `${pathToFileURL(one).href}/`)])];
  if (!isNew) return;
  registerHooks({
    resolve(specifier, context, next) {
      const isEntry = specifier === '#extension' || specifier === 'kymo/extension';
      if (isEntry && offered.some((one) => context.parentURL?.startsWith(one) === true))
        return { url: entryPoint, shortCircuit: true, format: formatOfEntry };
      return next(specifier, context);
    },
  });
}

const formatOfEntry = entryPoint.endsWith('.ts') ? 'module-typescript' : 'module';
