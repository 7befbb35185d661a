/**
 * Owns the proof of set-up: in a small checkout of its own, with a stand-in for npm that installs without a network,
 * the real scripts install, build, run and pass signals on. What npm itself does is shown by every fresh clone.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { createTemporaryDirectory, type TemporaryDirectory } from '#test/support/temporary-directory.ts';

const scripts = fileURLToPath(new URL('../../scripts', import.meta.url));

/** Installs what the lock names, slowly enough that two at once would meet, and keeps a list of its calls. */
const standInForNpm = `#!${process.execPath}
const fs = require('node:fs');
fs.appendFileSync('npm-calls', process.argv.slice(2).join(' ') + '\\n');
fs.writeFileSync('npm-cache', process.env.npm_config_cache ?? 'its own');
if (fs.existsSync('npm-fails')) {
  console.error('npm error the registry is on fire');
  process.exit(1);
}
const lock = JSON.parse(fs.readFileSync('package-lock.json', 'utf8'));
const omitDev = process.argv.includes('--omit=dev');
const packages = Object.entries(lock.packages).filter(([place, entry]) => place && !(omitDev && entry.dev));
setTimeout(() => {
  for (const [place, entry] of packages) {
    fs.mkdirSync(place + '/bin', { recursive: true });
    fs.writeFileSync(place + '/package.json', JSON.stringify(entry));
  }
  fs.writeFileSync('node_modules/vite/bin/vite.js', fs.readFileSync('stand-in-for-vite.js'));
  if (!omitDev) fs.writeFileSync('node_modules/vitest/vitest.mjs', fs.readFileSync('stand-in-for-vitest.js'));
  fs.writeFileSync('node_modules/.package-lock.json', JSON.stringify({ packages: Object.fromEntries(packages) }));
}, 300);
`;

const standInForVite = `
const fs = require('node:fs');
const target = process.argv[process.argv.indexOf('--outDir') + 1];
if (fs.existsSync('vite-fails')) process.exit(1);
fs.mkdirSync(target, { recursive: true });
fs.writeFileSync(target + '/index.html', fs.readFileSync('src/web/page.txt'));
fs.appendFileSync('vite-calls', 'built\\n');
`;

/** As far as vitest is concerned: one test passed. It writes the report to the file that its arguments name. */
const standInForVitest = `
import fs from 'node:fs';
const file = process.argv.find((arg) => arg.startsWith('--outputFile.json=')).split('=')[1];
fs.writeFileSync(file, JSON.stringify({ testResults: [{ status: 'passed', assertionResults: [{ status: 'passed' }] }] }));
`;

/** Package tools that install by making the command appear on the PATH, and a sudo that asks for no password. */
const standInForApt = `#!${process.execPath}
const fs = require('node:fs');
fs.appendFileSync('apt-calls', process.argv.slice(2).join(' ') + '\\n');
if (process.argv[2] === 'install')
  for (const { files = [], commands = [] } of JSON.parse(fs.readFileSync('scripts/system-tools.json', 'utf8'))) {
    for (const file of files) fs.mkdirSync(file, { recursive: true });
    for (const name of commands) fs.writeFileSync(__dirname + '/' + name, '', { mode: 0o755 });
  }
`;
const standInForSudo = `#!${process.execPath}
const words = process.argv.slice(2).filter((word) => word !== '-n' && word !== 'env' && !word.includes('='));
if (words[0] !== 'true') require('node:child_process').execFileSync(words[0], words.slice(1));
`;

const program = `
const [command, ...args] = process.argv.slice(2);
let signals = 0;
process.on('SIGTERM', () => {
  console.log('terminated');
  process.exit(0);
});
process.on('SIGINT', () => {
  signals++;
  setTimeout(() => {
    console.log('signals ' + signals);
    process.exit(7);
  }, 700);
});
console.log(JSON.stringify({ command, args }));
if (command === 'demo') setInterval(() => undefined, 1000);
else process.exitCode = Number(args[0] ?? 0);
`;

let directory: TemporaryDirectory;
const started: ChildProcess[] = [];

beforeEach(() => {
  directory = createTemporaryDirectory();
  cpSync(scripts, inside('scripts'), { recursive: true });
  // What this machine has is not there.
  const tools = readFileSync(inside('scripts/system-tools.json'), 'utf8');
  writeFileSync(inside('scripts/system-tools.json'), tools.replaceAll('"/usr/', `"${inside('usr')}/`));
  const lock = {
    packages: {
      '': {},
      'node_modules/vite': { version: '1.0.0' },
      'node_modules/vitest': { version: '1.0.0', dev: true },
    },
  };
  for (const folder of ['bin', 'src/app', 'src/web']) mkdirSync(inside(folder), { recursive: true });
  writeFileSync(inside('package.json'), '{ "type": "commonjs" }');
  writeFileSync(inside('package-lock.json'), JSON.stringify(lock));
  writeFileSync(inside('src/app/main.ts'), program);
  writeFileSync(inside('src/web/vite.config.ts'), '');
  writeFileSync(inside('src/web/page.txt'), 'first page');
  writeFileSync(inside('stand-in-for-vite.js'), standInForVite);
  writeFileSync(inside('stand-in-for-vitest.js'), standInForVitest);
  writeFileSync(inside('bin/npm'), standInForNpm, { mode: 0o755 });
});

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  directory.remove();
});

function inside(name: string): string {
  return path.join(directory.path, name);
}

interface Outcome {
  exitCode: number | null;
  out: string;
  err: string;
}

interface Run {
  child: ChildProcess;
  ended: Promise<Outcome>;
  saw(text: string): Promise<void>;
}

/** Runs a command of the scripts; only the stand-ins are on its PATH. */
function run(...args: string[]): Run {
  return runWith({}, ...args);
}

function runWith(env: Readonly<Record<string, string>>, ...args: string[]): Run {
  const child = spawn(process.execPath, [inside('scripts/bootstrap.mjs'), ...args], {
    cwd: directory.path,
    env: { PATH: inside('bin'), HOME: '/nonexistent', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  return {
    child,
    ended: once(child, 'close').then(([exitCode]) => ({ exitCode: exitCode as number | null, out, err })),
    async saw(text) {
      while (!out.includes(text)) await once(child.stdout, 'data');
    },
  };
}

function callsOf(tool: 'npm' | 'vite'): number {
  const file = inside(`${tool}-calls`);
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').length : 0;
}

test('a first run installs, builds and runs; the next only runs, and leaves stdout to the command', async () => {
  const first = await run('kymo', 'report', '3', '--json').ended;
  expect(first.exitCode).toBe(3);
  expect(JSON.parse(first.out)).toEqual({ command: 'report', args: ['3', '--json'] });
  expect(first.err).toMatch(/^ {2}Packages installed +\d+\.\d s\n {2}Web page built +\d+\.\d s\n$/);
  expect(readFileSync(inside('npm-calls'), 'utf8')).toMatch(/^ci --omit=dev .*--ignore-scripts/);

  const second = await run('kymo', 'report', '0').ended;
  expect(second).toMatchObject({ exitCode: 0, err: '' });
  expect([callsOf('npm'), callsOf('vite')]).toEqual([1, 1]);
});

test('the page is built again when a source changed, and not for a test', async () => {
  await run('kymo', 'report').ended;
  writeFileSync(inside('src/web/page.test.ts'), 'a test');
  await run('kymo', 'report').ended;
  expect(callsOf('vite')).toBe(1);
  writeFileSync(inside('src/web/page.txt'), 'second page');
  await run('kymo', 'report').ended;
  expect(callsOf('vite')).toBe(2);
  expect(readFileSync(inside('dist/web/index.html'), 'utf8')).toBe('second page');
});

test('a failed build keeps the old page and says what to do', async () => {
  await run('kymo', 'report').ended;
  writeFileSync(inside('src/web/page.txt'), 'second page');
  writeFileSync(inside('vite-fails'), '');
  const failed = await run('kymo', 'report').ended;
  expect(failed.exitCode).toBe(1);
  expect(failed.err).toContain('Next: ');
  expect(readFileSync(inside('dist/web/index.html'), 'utf8')).toBe('first page');
});

test('development packages are added beside the others; other versions mean a clean install', async () => {
  await run('kymo', 'report').ended;
  await run('bench').ended;
  mkdirSync(inside('bench'));
  writeFileSync(inside('bench/ingest.ts'), 'console.log(process.argv.slice(2).join())');
  expect(await run('bench', 'ingest', '--quick').ended).toMatchObject({ exitCode: 0, out: '--quick\n' });
  writeFileSync(
    inside('package-lock.json'),
    readFileSync(inside('package-lock.json'), 'utf8').replaceAll('1.0.0', '2.0.0'),
  );
  await run('kymo', 'report').ended;
  const calls = readFileSync(inside('npm-calls'), 'utf8').trim().split('\n');
  expect(calls.map((call) => call.split(' ').slice(0, 3).join(' '))).toEqual([
    'ci --omit=dev --include=optional',
    'install --no-save --include=dev',
    'ci --omit=dev --include=optional',
  ]);
});

test('without a home that can be written npm keeps its cache in the checkout', async () => {
  await run('kymo', 'report').ended;
  // Where the account `nobody` is at home.
  expect(readFileSync(inside('npm-cache'), 'utf8')).toBe(path.join(directory.path, '.tools', 'npm-cache'));
  mkdirSync(inside('home'));
  rmSync(inside('node_modules'), { recursive: true });
  await runWith({ HOME: inside('home') }, 'kymo', 'report').ended;
  expect(readFileSync(inside('npm-cache'), 'utf8')).toBe('its own');
});

test('two runs at once set up once', async () => {
  const outcomes = await Promise.all([run('kymo', 'report').ended, run('kymo', 'report').ended]);
  expect(outcomes.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  expect([callsOf('npm'), callsOf('vite')]).toEqual([1, 1]);
});

test('a set-up that was killed does not block the next', async () => {
  mkdirSync(inside('.tools'));
  const gone = spawn('true');
  await once(gone, 'exit');
  writeFileSync(inside('.tools/set-up.lock'), String(gone.pid));
  expect((await run('kymo', 'report').ended).exitCode).toBe(0);
});

test('what npm says is shown when it fails, with a next step', async () => {
  writeFileSync(inside('npm-fails'), '');
  const failed = await run('start').ended;
  expect(failed).toMatchObject({ exitCode: 1, out: '' });
  expect(failed.err).toContain('the registry is on fire');
  expect(failed.err).toContain('Next: ');
  rmSync(inside('npm-fails'));
  expect((await run('kymo', 'report').ended).exitCode).toBe(0);
});

test('a signal that arrives twice for one key press is passed on once, and the exit code comes back', async () => {
  const demo = run('start');
  await demo.saw('demo');
  demo.child.kill('SIGINT');
  // Apart, or the system would merge the two before anyone could count them.
  await new Promise((resolve) => setTimeout(resolve, 100));
  demo.child.kill('SIGINT');
  const outcome = await demo.ended;
  expect(outcome.out).toContain('signals 1\n');
  expect(outcome.exitCode).toBe(7);
});

test('when npm is ended, the command below it is told', async () => {
  await run('kymo', 'report').ended;
  // npm's shell, which dies of the signal and leaves its child without a word.
  const command = `"${process.execPath}" scripts/bootstrap.mjs start; true`;
  const shell = spawn('sh', ['-c', command], {
    cwd: directory.path,
    env: { PATH: `${inside('bin')}:/usr/bin:/bin`, npm_lifecycle_event: 'start' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(shell);
  const lines: string[] = [];
  shell.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(text));
  while (!lines.join('').includes('demo')) await once(shell.stdout, 'data');
  shell.kill('SIGTERM');
  await once(shell.stdout, 'close');
  expect(lines.join('')).toContain('terminated');
});

test('a signal during set-up ends it, and what it started', async () => {
  const waiting = run('kymo', 'report');
  while (callsOf('npm') === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  waiting.child.kill('SIGTERM');
  expect(await waiting.ended).toMatchObject({ exitCode: 143, out: '' });
  expect(existsSync(inside('.tools/set-up.lock'))).toBe(false);
});

test('a missing program is installed where we may, and the last line counts the tests', async () => {
  writeFileSync(inside('bin/apt-get'), standInForApt, { mode: 0o755 });
  writeFileSync(inside('bin/sudo'), standInForSudo, { mode: 0o755 });
  const outcome = await run('test', 'one-file').ended;
  expect(outcome).toMatchObject({ exitCode: 0, err: '' });
  expect(outcome.out.trimEnd().split('\n').at(-1)).toBe('1 passed, 0 failed');
  const calls = readFileSync(inside('apt-calls'), 'utf8');
  const packages =
    'chromium spin gcc libc6-dev redis-server nginx haproxy curl poppler-utils python3-websockets python3-aiohttp';
  expect(calls).toBe(`update\ninstall -y --no-install-recommends ${packages}\n`);
});

test('a missing program that we may not install is named, and counts as a failure', async () => {
  const outcome = await run('test').ended;
  expect(outcome.exitCode).toBe(1);
  expect(outcome.err).toContain('apt-get install chromium');
  expect(outcome.out.trimEnd().split('\n').at(-1)).toBe('0 passed, 1 failed');
});

test('an unknown command or benchmark is an error that names what there is', async () => {
  expect(await run('dance').ended).toMatchObject({
    exitCode: 2,
    err: expect.stringContaining('npm start') as string,
  });
  mkdirSync(inside('bench'));
  writeFileSync(inside('bench/ingest.ts'), '');
  const unknown = await run('bench', 'dance').ended;
  expect(unknown).toMatchObject({ exitCode: 2, err: expect.stringContaining('ingest') as string });
});
