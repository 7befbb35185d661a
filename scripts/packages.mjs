/**
 * Owns the installed packages. What is installed is read from npm's own record (node_modules/.package-lock.json) and
 * compared with package-lock.json, so a developer's `npm install` counts too and a warm start calls no npm. Missing
 * packages are added beside the others (a running server keeps its files); different ones mean a clean install.
 */

import { existsSync, lstatSync, readdirSync } from 'node:fs';
import path from 'node:path';

import { inCheckout, readJson, root } from './checkout.mjs';
import { runNpm } from './npm-client.mjs';
import { libc } from './platform.mjs';
import { SetupError } from './progress.mjs';
import { withSetUpLock } from './set-up-lock.mjs';

const pollMs = 250;

/** Makes sure that the packages of `set` ('production' or 'all') are installed as package-lock.json says. */
export async function ensurePackages(set, progress) {
  if (comparePackages(set) === 'fresh' || isLinked()) return;
  await withSetUpLock(progress, async () => {
    const state = comparePackages(set);
    if (state === 'fresh') return;
    const texts = { doing: 'Installing packages', done: 'Packages installed' };
    await progress.step(texts, (report) => install(set, state, report));
    if (comparePackages(set) === 'fresh') return;
    throw new SetupError('npm succeeded, but the installed packages are not those of package-lock.json.', {
      next: 'remove node_modules and run the same command again; optional packages may have failed to download.',
    });
  });
}

/** `node_modules` as a link (a second git worktree) belongs to another checkout, which keeps it in order. */
function isLinked() {
  return lstatSync(inCheckout('node_modules'), { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

async function install(set, state, report) {
  const choice = set === 'production' ? ['--omit=dev'] : ['--include=dev'];
  const command = state === 'incomplete' ? ['install', '--no-save'] : ['ci'];
  const expected = wantedPackages(set).length;
  const timer = setInterval(() => report(countInstalled() / expected), pollMs);
  try {
    await runNpm([...command, ...choice, '--include=optional'], { cwd: root, what: 'Installing packages' });
  } finally {
    clearInterval(timer);
  }
}

/** 'fresh', 'incomplete' (what is there is right, something is missing) or 'different'. */
function comparePackages(set) {
  const installed = readJson(inCheckout('node_modules', '.package-lock.json'))?.packages;
  if (installed === undefined) return 'different';
  let state = 'fresh';
  for (const [place, wanted] of wantedPackages(set)) {
    const found = installed[place];
    if (found === undefined || !existsSync(inCheckout(place, 'package.json'))) state = 'incomplete';
    else if (found.version !== wanted.version || found.integrity !== wanted.integrity) return 'different';
  }
  return state;
}

function wantedPackages(set) {
  const locked = readJson(inCheckout('package-lock.json'))?.packages;
  if (locked === undefined) {
    throw new SetupError('package-lock.json is missing or damaged.', {
      next: 'restore it with `git checkout package-lock.json`.',
    });
  }
  return Object.entries(locked).filter(([place, entry]) => place !== '' && isWanted(entry, set));
}

// An optional package is expected when it names this platform. Those that name none hang below others for other
// platforms (WebAssembly fallbacks), and npm leaves them out.
function isWanted(entry, set) {
  if (set === 'production' && entry.dev) return false;
  if (!entry.optional && !entry.devOptional) return true;
  if (entry.os === undefined || !entry.os.includes(process.platform)) return false;
  if (entry.cpu !== undefined && !entry.cpu.includes(process.arch)) return false;
  return entry.libc === undefined || entry.libc.includes(libc);
}

/** How many packages stand in node_modules by now, counted cheaply while npm works. */
function countInstalled() {
  const modules = inCheckout('node_modules');
  if (!existsSync(modules)) return 0;
  let count = 0;
  for (const name of readdirSync(modules)) {
    if (name.startsWith('@')) count += readdirSync(path.join(modules, name)).length;
    else if (!name.startsWith('.')) count++;
  }
  return count;
}
