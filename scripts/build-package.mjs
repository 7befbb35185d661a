/**
 * Owns the published package: `npm pack` calls this before and after (package.json's prepack and postpack). Before, it
 * writes JavaScript and declarations of exactly those modules that the entry points reach to lib/, and puts the published
 * manifest in place of the checkout's; after, it puts everything back. An interrupted run is put right by the next one.
 */

import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { inCheckout, readJson, root } from './checkout.mjs';
import { runQuietly } from './child-process.mjs';
import { environmentWithNode, ensureNode } from './node-runtime.mjs';
import { ensurePackages } from './packages.mjs';
import { createProgress, reportFailure, SetupError } from './progress.mjs';
import { ensureWebPage } from './web-page.mjs';

/** What runs: the command, and the processes that it starts. */
const programs = ['app/main.ts', 'simulator/fleet-process.ts'];
/** What others import, by its name in `exports`. */
const entries = {
  './client': 'sdk/client-entry.ts',
  './react': 'sdk/react-entry.ts',
  './device': { node: 'sdk/device-entry.ts', default: 'sdk/device-browser-entry.ts' },
  './device/node': 'sdk/device-entry.ts',
  './device/browser': 'sdk/device-browser-entry.ts',
  './extension': 'contract/extension-entry.ts',
};
/** Read by the modules beside which they lie. */
const assets = ['store/migrations'];
/** What goes in beside lib/; npm adds package.json, README.md and LICENSE by itself. */
const published = [
  'bin',
  'lib',
  'dist/web',
  'generated/openapi.json',
  'data/gaitmap',
  'data/norms',
  'NOTICE',
  'SECURITY.md',
  'CHANGELOG.md',
];
/** What a program brings itself, where it uses the entry point that needs it. */
const peers = { react: '>=18' };
/** No module imports it: ws finds it by itself. */
const unseenDependencies = ['bufferutil'];

const library = inCheckout('lib');
const manifestFile = inCheckout('package.json');
const savedManifest = inCheckout('dist', 'package.json.checkout');

async function pack() {
  restore();
  const progress = createProgress(process.stderr);
  const node = await ensureNode(progress);
  await ensurePackages('all', progress);
  await ensureWebPage(node, progress);
  const texts = { doing: 'Building the package', done: 'Package built' };
  await progress.step(texts, async () => {
    rmSync(library, { recursive: true, force: true });
    const { modules, packages } = await writeModules();
    await writeDeclarations(node);
    for (const asset of assets)
      cpSync(inCheckout('src', asset), path.join(library, asset), { recursive: true });
    rewriteDeclarations(modules);
    const manifest = publishedManifest(readJson(manifestFile), packages);
    renameSync(manifestFile, savedManifest);
    writeFileSync(manifestFile, `${JSON.stringify(manifest, null, 2)}\n`);
  });
}

function restore() {
  if (existsSync(savedManifest)) renameSync(savedManifest, manifestFile);
  rmSync(library, { recursive: true, force: true });
}

/** Writes every module that the programs and entry points reach; tells which they are, and which packages they need. */
async function writeModules() {
  const { transformWithOxc } = await import('vite');
  const modules = new Set([...programs, ...entryFiles()]);
  const packages = new Set(unseenDependencies);
  for (const module of modules) {
    const source = readFileSync(inCheckout('src', module), 'utf8');
    for (const name of importsOf(source, module)) {
      if (name.startsWith('#')) modules.add(name.slice(1));
      else if (!name.startsWith('node:')) packages.add(packageOf(name));
    }
    const { code } = await transformWithOxc(source, inCheckout('src', module), { target: 'es2024' });
    write(module.replace(/\.ts$/, '.js'), withPlainImports(code, module));
  }
  return { modules, packages };
}

function entryFiles() {
  return Object.values(entries).flatMap((entry) =>
    typeof entry === 'string' ? [entry] : Object.values(entry),
  );
}

/** Every module name in import and export statements and in import(); type imports too, since declarations need them. */
function importsOf(source, module) {
  const names = [...source.matchAll(/(?:^|\n)(?:import|export)\s[^'"`;]*?from '([^']+)'/g)];
  names.push(...source.matchAll(/(?:^|\n)import '([^']+)'/g), ...source.matchAll(/\bimport\('([^']+)'\)/g));
  const files = [...source.matchAll(/new URL\('([^']+\.ts)', import\.meta\.url\)/g)];
  return [
    ...names.map((match) => match[1]),
    ...files.map((match) => `#${path.posix.join(path.posix.dirname(module), match[1])}`),
  ];
}

function packageOf(name) {
  return name.split('/', name.startsWith('@') ? 2 : 1).join('/');
}

/** `#module/file.ts` as a path from `module`, so that every resolver and bundler finds it without help. */
function withPlainImports(code, module) {
  const here = path.posix.dirname(module);
  return code
    .replaceAll(/(['"])#([a-z]+\/[a-z0-9./-]+)\.ts\1/g, (_, quote, name) => {
      const relative = path.posix.relative(here, name);
      return `${quote}${relative.startsWith('.') ? '' : './'}${relative}.js${quote}`;
    })
    .replaceAll(/(new URL\((['"])[^'"]+)\.ts\2, import\.meta\.url\)/g, '$1.js$2, import.meta.url)');
}

async function writeDeclarations(node) {
  const configuration = inCheckout('dist', 'tsconfig.package.json');
  const options = {
    extends: '../tsconfig.json',
    compilerOptions: {
      noEmit: false,
      declaration: true,
      emitDeclarationOnly: true,
      stripInternal: true,
      rootDir: '../src',
      outDir: '../lib',
      types: ['node'],
    },
    files: entryFiles().map((entry) => `../src/${entry}`),
    include: [],
  };
  writeFileSync(configuration, JSON.stringify(options));
  const tsc = inCheckout('node_modules', 'typescript', 'bin', 'tsc');
  const result = await runQuietly(node, [tsc, '-p', configuration], {
    cwd: root,
    env: environmentWithNode(node),
  });
  if (result.exitCode !== 0)
    throw new SetupError('The declarations of the package cannot be made.', {
      output: result.output,
      next: 'mend what is named above, then run the same command again.',
    });
}

function rewriteDeclarations(modules) {
  for (const module of modules) {
    const file = path.join(library, module.replace(/\.ts$/, '.d.ts'));
    if (existsSync(file)) writeFileSync(file, withPlainImports(readFileSync(file, 'utf8'), module));
  }
}

/** The checkout's manifest without what only the checkout needs: scripts, tools, and the page's own libraries. */
function publishedManifest(manifest, packages) {
  const { scripts: _scripts, devDependencies: _tools, imports: _imports, dependencies, ...kept } = manifest;
  const missing = [...packages].filter((name) => dependencies[name] === undefined);
  if (missing.length > 0)
    throw new SetupError(`The package needs ${missing.join(', ')}, which package.json does not name.`, {
      next: 'add it to its dependencies.',
    });
  return {
    ...kept,
    files: published,
    sideEffects: ['./lib/app/*', './lib/simulator/fleet-process.js'],
    exports: {
      ...Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, target(entry)])),
      './openapi.json': './generated/openapi.json',
      './package.json': './package.json',
    },
    dependencies: Object.fromEntries(
      Object.entries(dependencies).filter(([name]) => packages.has(name) && !Object.hasOwn(peers, name)),
    ),
    peerDependencies: peers,
    peerDependenciesMeta: Object.fromEntries(Object.keys(peers).map((name) => [name, { optional: true }])),
  };
}

function target(entry) {
  if (typeof entry !== 'string')
    return Object.fromEntries(Object.entries(entry).map(([condition, file]) => [condition, target(file)]));
  const built = `./lib/${entry.replace(/\.ts$/, '')}`;
  return { types: `${built}.d.ts`, default: `${built}.js` };
}

function write(name, text) {
  const file = path.join(library, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
}

try {
  if (process.argv.includes('--restore')) restore();
  else await pack();
} catch (error) {
  restore();
  reportFailure(error);
  process.exitCode = error?.exitCode ?? 1;
}
