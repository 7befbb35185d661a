/**
 * Owns the built web page in dist/web. It is rebuilt when the hash of everything that goes into it changes, beside
 * the old one, and swapped in when complete, so that a failed or interrupted build leaves the old page in place.
 */

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { inCheckout, root } from './checkout.mjs';
import { runQuietly } from './child-process.mjs';
import { environmentWithNode } from './node-runtime.mjs';
import { SetupError } from './progress.mjs';
import { withSetUpLock } from './set-up-lock.mjs';

/** The modules that the page may be made of (the import table's row for web), and the data that it shows beside them. */
const sources = [
  ...['base', 'protocol', 'contract', 'motion', 'sdk', 'web'].map((name) => path.join('src', name)),
  path.join('data', 'norms'),
];
const configuration = ['package.json', 'package-lock.json'];

const page = inCheckout('dist', 'web');
const stampFile = inCheckout('dist', 'web.stamp');

export async function ensureWebPage(node, progress) {
  if (isFresh()) return;
  await withSetUpLock(progress, async () => {
    if (isFresh()) return;
    await progress.step({ doing: 'Building the web page', done: 'Web page built' }, () => build(node));
  });
}

function isFresh() {
  return existsSync(path.join(page, 'index.html')) && readStamp() === sourceHash();
}

async function build(node) {
  const config = inCheckout('src', 'web', 'vite.config.ts');
  if (!existsSync(config)) {
    throw new SetupError('The web page cannot be built: src/web/vite.config.ts is missing.', {
      next: 'this checkout is incomplete; restore it with `git checkout src/web`.',
    });
  }
  const hash = sourceHash();
  const staging = `${page}.new`;
  const vite = inCheckout('node_modules', 'vite', 'bin', 'vite.js');
  const args = [vite, 'build', '--config', config, '--outDir', staging, '--emptyOutDir'];
  const result = await runQuietly(node, args, {
    cwd: root,
    env: { ...environmentWithNode(node), NODE_ENV: 'production' },
  });
  if (result.exitCode !== 0) {
    throw new SetupError('Building the web page failed.', {
      output: result.output,
      next: 'mend what the build names above, then run the same command again.',
    });
  }
  rmSync(page, { recursive: true, force: true });
  renameSync(staging, page);
  writeFileSync(stampFile, hash);
}

function readStamp() {
  try {
    return readFileSync(stampFile, 'utf8');
  } catch {
    return undefined;
  }
}

/** A hash over names and contents, tests left out. Some hundred small files: about 10 ms. */
function sourceHash() {
  const hash = createHash('sha256');
  const files = [...configuration, ...sources.flatMap((directory) => filesIn(directory))];
  for (const file of files) {
    hash.update(`${file}\0`);
    hash.update(readFileSync(inCheckout(file)));
    hash.update('\0');
  }
  return hash.digest('hex');
}

function filesIn(directory) {
  if (!existsSync(inCheckout(directory))) return [];
  return readdirSync(inCheckout(directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.test\.tsx?$/.test(entry.name))
    .map((entry) => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}
