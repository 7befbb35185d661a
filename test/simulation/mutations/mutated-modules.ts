/**
 * Owns the loading of a mutated program: the module loader of this process gives the changed text of the files that a
 * mutation names, and Node strips the types as it does of every other. Must be called before these are imported.
 */

import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

import { mutatedText, type Mutation } from '#test/simulation/mutations/mutation.ts';

const root = new URL('../../../', import.meta.url);

/** Returns what of the mutation was never loaded, as file names: such a mutation proves nothing. */
export function loadMutated(mutation: Mutation): () => string[] {
  const missing = new Map(mutation.edits.map(({ file }) => [new URL(file, root).href, file]));
  const files = new Map(missing);
  registerHooks({
    load(url, context, nextLoad) {
      const file = files.get(url);
      if (file === undefined) return nextLoad(url, context);
      missing.delete(url);
      const source = mutatedText(readFileSync(fileURLToPath(url), 'utf8'), mutation, file);
      return { format: 'module-typescript', source, shortCircuit: true };
    },
  });
  return () => [...missing.values()];
}
