/** The published package as its users meet it: packed, installed in an empty folder, run, type-checked, bundled, loaded. */

import { execFile, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { bundleForBrowser, type Bundle } from '#test/support/browser-bundle.ts';
import { launchBrowser } from '#test/support/browser.ts';

const run = promisify(execFile);
const checkout = fileURLToPath(new URL('../..', import.meta.url));
const env = {
  ...process.env,
  // This Node first, for npm's and the package's own `node`; and no database but its own.
  PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`,
  DATABASE_URL: '',
  NODE_ENV: '',
};

let directory: string;
let consumer: string;
let packed: { readonly filename: string; readonly files: readonly { readonly path: string }[] };
const endings: (() => unknown)[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kymo-package-'));
  endings.push(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  const copy = join(directory, 'checkout');
  consumer = join(directory, 'consumer');
  await copyCheckout(copy);
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', directory], {
    cwd: copy,
    env,
  });
  packed = parsePacked(stdout);
  await mkdir(consumer);
  await writeFile(join(consumer, 'package.json'), '{ "private": true, "type": "module" }\n');
  await run(
    'npm',
    [
      'install',
      '--ignore-scripts',
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      join(directory, packed.filename),
    ],
    { cwd: consumer, env },
  );
}, 180_000);

afterAll(async () => {
  for (const end of endings.toReversed()) await end();
});

/** Packing writes beside the sources for a moment, so it is done elsewhere than where other tests read them. */
async function copyCheckout(to: string): Promise<void> {
  const left = new Set(['node_modules', '.git', '.tools', 'lib', 'test-results']);
  await cp(checkout, to, {
    recursive: true,
    filter: (file) => !left.has(relative(checkout, file).split('/')[0]!),
  });
  await symlink(join(checkout, 'node_modules'), join(to, 'node_modules'));
}

/** npm 12 and newer name the package; older ones give a list. */
function parsePacked(stdout: string): typeof packed {
  const parsed = JSON.parse(stdout.slice(stdout.search(/^[[{]/m))) as
    | (typeof packed)[]
    | Record<string, typeof packed>;
  const [first] = Object.values(parsed);
  return { ...first!, filename: basename(first!.filename) };
}

function kymo(...args: readonly string[]): Promise<{ stdout: string }> {
  return run('npx', ['--no-install', 'kymo', ...args], { cwd: consumer, env });
}

test('only what belongs is in the package', () => {
  const paths = packed.files.map((file) => file.path);
  const known = [
    /^(package\.json|README\.md|LICENSE|NOTICE|SECURITY\.md|CHANGELOG\.md)$/,
    /^bin\/kymo\.mjs$/,
    /^lib\/(app|api|base|bus|clinic|contract|identity|ingest|jobs|live|motion|pipeline|protocol|sdk|simulator|store)\/([a-z]+\/)?[a-z0-9-]+\.js$/,
    /^lib\/(base|contract|protocol|sdk)\/[a-z0-9-]+\.d\.ts$/,
    /^lib\/store\/migrations\/[0-9]{4}-[a-z-]+\.sql$/,
    /^dist\/web\/(index\.html|licenses\.md|assets\/[A-Za-z0-9._-]+|[a-z0-9-]+\.(svg|png|ico|webmanifest|txt))$/,
    /^generated\/openapi\.json$/,
    /^data\/gaitmap\/(LICENSE|README\.md|[a-z0-9_]+\.(json|f32))$/,
    /^data\/norms\/(LICENSE|README\.md|[a-z-]+\.json)$/,
  ];
  expect(paths.filter((path) => !known.some((pattern) => pattern.test(path)))).toEqual([]);
  expect(paths.filter((path) => /\.test\.|conformance|bench|(?<!body)-model\./.test(path))).toEqual([]);
  for (const wanted of [
    'LICENSE',
    'NOTICE',
    'SECURITY.md',
    'dist/web/index.html',
    'dist/web/licenses.md',
    'data/gaitmap/LICENSE',
    'data/norms/LICENSE',
  ])
    expect(paths).toContain(wanted);
});

test('packing leaves the checkout as it was', async () => {
  const copy = join(directory, 'checkout');
  expect(await readFile(join(copy, 'package.json'), 'utf8')).toBe(
    await readFile(join(checkout, 'package.json'), 'utf8'),
  );
  expect(existsSync(join(copy, 'lib'))).toBe(false);
});

test('packing that was interrupted is put right', async () => {
  const copy = join(directory, 'checkout');
  const manifest = join(copy, 'package.json');
  const own = await readFile(manifest, 'utf8');
  // What a killed npm leaves: the published manifest in the place of the checkout's, and what was built.
  await rename(manifest, join(copy, 'dist', 'package.json.checkout'));
  await writeFile(manifest, '{ "name": "kymo" }');
  await mkdir(join(copy, 'lib'));
  await run(process.execPath, ['scripts/build-package.mjs', '--restore'], { cwd: copy, env });
  expect(await readFile(manifest, 'utf8')).toBe(own);
  expect(existsSync(join(copy, 'lib'))).toBe(false);
});

test('no package of the web page or of the tools comes with it', async () => {
  const { dependencies, devDependencies } = JSON.parse(
    await readFile(join(consumer, 'node_modules/kymo/package.json'), 'utf8'),
  ) as { dependencies: Record<string, string>; devDependencies?: object };
  expect(devDependencies).toBeUndefined();
  expect(existsSync(join(consumer, 'node_modules/react')), "react is the program's own").toBe(false);
  expect(Object.keys(dependencies).filter((name) => /vite|react|mantine|typescript/.test(name))).toEqual([]);
  expect(existsSync(join(consumer, 'node_modules/vite'))).toBe(false);
});

const program = `
import { AppError, connectLive, createHttpClient, type SessionPage } from 'kymo/client';
import { memoryStore, openDevice, type Device, type DeviceStream } from 'kymo/device';
const http = createHttpClient({ origin: 'https://kymo.example', key: () => null });
const page: SessionPage = await http.sessions(10, null);
const live = connectLive({ url: 'wss://kymo.example/v1/live', ticket: async () => (await http.ticket()).ticket });
live.subscribe(\`session/\${page.sessions[0]?.id ?? ''}/live\`);
const device: Device = await openDevice({ url: 'https://kymo.example', key: 'kd_', store: memoryStore() });
const foot: DeviceStream = device.stream({ segment: 'left-foot', sensor: 'imu', axes: [{ name: 'x', unit: '1' }], rateHz: 200 });
foot.push([9.81]);
if (!(await device.drained())) throw new AppError('overloaded', 'not in time');
// @ts-expect-error: a reading is numbers
foot.push('9.81');
`;

test('every path in the declarations leads to one', async () => {
  const paths = packed.files.map((file) => file.path);
  const known = new Set(paths);
  const lost: string[] = [];
  for (const path of paths.filter((name) => name.endsWith('.d.ts'))) {
    const text = await readFile(join(consumer, 'node_modules/kymo', path), 'utf8');
    for (const [, name] of text.matchAll(/(?:from |import\()['"]([^'"]+)['"]/g)) {
      const isOwn = name!.startsWith('.');
      const target = join(dirname(path), name!).replace(/\.js$/, '.d.ts');
      if (isOwn ? !known.has(target) : !['typebox', 'react'].includes(name!)) lost.push(`${path}: ${name}`);
    }
  }
  expect(lost).toEqual([]);
  expect(paths.filter((name) => name.endsWith('.d.ts')).length).toBeGreaterThan(20);
});

/** What the documented programs are given; the first of them is for Node, the others for a browser. */
const given = `export {};
declare const url: string, key: string, directory: string, accessKey: string;
`;

test.each([
  ['nodenext', 'nodenext'],
  ['esnext', 'bundler'],
])('a program that imports it passes the compiler: module %s, resolution %s', async (module, resolution) => {
  await writeFile(join(consumer, 'program.ts'), program);
  const documented = await documentedPrograms();
  for (const [i, block] of documented.entries())
    await writeFile(join(consumer, `documented-${i}.ts`), given + block);
  const documentedFiles = documented.map((_, i) => `documented-${i}.ts`);
  expect(documentedFiles.length).toBeGreaterThan(3);
  const tsc = join(checkout, 'node_modules', 'typescript', 'bin', 'tsc');
  const flags = [
    '--noEmit',
    '--strict',
    '--target',
    'es2024',
    '--exactOptionalPropertyTypes',
    '--skipLibCheck',
  ];
  const args = [
    tsc,
    ...flags,
    '--module',
    module,
    '--moduleResolution',
    resolution,
    'program.ts',
    ...(resolution === 'nodenext' ? documentedFiles.slice(0, 1) : documentedFiles.slice(1)),
  ];
  const result = await run(process.execPath, args, { cwd: consumer, env }).catch((error: unknown) => error);
  expect((result as { stdout: string }).stdout).toBe('');
});

/** Every block of docs/sdk.md, as a program of its own. */
async function documentedPrograms(): Promise<string[]> {
  const text = await readFile(join(checkout, 'docs', 'sdk.md'), 'utf8');
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map((block) => block[1]!);
}

async function bundled(
  name: string,
  source: string,
  format: 'es' | 'iife' = 'es',
): Promise<Bundle & { gzipBytes: number }> {
  const entry = join(consumer, `${name}.js`);
  await writeFile(entry, source);
  const bundle = await bundleForBrowser({ entry, root: consumer, isMinified: true, format });
  return { ...bundle, gzipBytes: gzipSync(bundle.code, { level: 9 }).length };
}

const modulesOf = {
  client: new Set(['base', 'contract', 'protocol', 'sdk']),
  device: new Set(['base', 'protocol', 'sdk']),
};

/** Minified and gzipped. What was measured and a quarter more, so that growth is a decision. */
const gzipLimits = { client: 19_500, device: 24_000 };

test.each(['client', 'device'] as const)(
  'kymo/%s is bundled for a browser without a module of the server',
  async (name) => {
    const { modules, gzipBytes, code } = await bundled(name, `export * from 'kymo/${name}';`);
    const inside = modules.map((file) => /node_modules\/kymo\/lib\/([a-z]+)\//.exec(file)?.[1] ?? file);
    const own = join(consumer, `${name}.js`);
    expect(new Set(inside.filter((part) => part !== own))).toEqual(modulesOf[name]);
    expect(modules.filter((file) => /file-store|node-|\/ws\/|node:/.test(file))).toEqual([]);
    console.log(
      `kymo/${name}: ${code.length} bytes minified, ${gzipBytes} gzipped, ${modules.length - 1} modules`,
    );
    expect(gzipBytes).toBeLessThan(gzipLimits[name]);
  },
);

test('npx kymo --help says what it does; npx kymo start serves page and API; a page uses both entry points', async () => {
  expect((await kymo('--help')).stdout).toContain('Usage: kymo');
  // Of its own, where the database's unprivileged account can enter.
  const data = await mkdtemp(join(tmpdir(), 'kymo-package-data-'));
  endings.push(() => rm(data, { recursive: true, force: true, maxRetries: 5 }));
  const address = new URL(await start(data));
  expect(await (await fetch(address.origin)).text()).toContain('<div id="root">');
  const about = (await (await fetch(`${address.origin}/v1/about`)).json()) as { version: string };
  expect(about.version).toBe(/kymo-(.*)\.tgz/.exec(packed.filename)?.[1]);
  const key = (await kymo('device', 'add', 'page', '--data', data)).stdout.trim();
  expect(await runDocumented(address)).toMatchObject({
    storedReadings: 200,
    lostReadings: 0,
    state: 'ended',
  });
  const { code } = await bundled('page', pageProgram, 'iife');
  const browser = await launchBrowser();
  endings.push(() => browser.close());
  const page = await browser.newPage();
  // A page of the server's own origin, as an application beside it would be.
  await page.goto(address.origin);
  await page.evaluate(code);
  const outcome = await page.evaluate(
    ([device, access]) =>
      (globalThis as unknown as { runPage(device: string, access: string): Promise<unknown> }).runPage(
        device!,
        access!,
      ),
    [key, address.hash.replace('#key=', '')],
  );
  expect(outcome).toEqual({ isDrained: true, storedReadings: 200, state: 'ended' });
});

/** Runs the first program of docs/sdk.md on the installed package; resolves to the session that it made. */
async function runDocumented(address: URL): Promise<object> {
  const data = join(directory, 'device');
  const [block] = await documentedPrograms();
  const key = await deviceKey(address);
  const values = JSON.stringify({ url: address.origin, key, directory: data });
  await writeFile(join(consumer, 'device.js'), `const { url, key, directory } = ${values};\n${block}`);
  await run(process.execPath, ['device.js'], { cwd: consumer, env });
  const { sessions } = (await (await ask(address, 'GET', '/v1/sessions?limit=1')).json()) as {
    sessions: object[];
  };
  return sessions[0]!;
}

async function deviceKey(address: URL): Promise<string> {
  const answer = await ask(address, 'POST', '/v1/devices', { name: 'documented' });
  return ((await answer.json()) as { key: string }).key;
}

function ask(address: URL, method: string, path: string, body?: object): Promise<Response> {
  return fetch(`${address.origin}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${address.hash.replace('#key=', '')}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

const pageProgram = `
import { createHttpClient } from 'kymo/client';
import { indexedDbStore, openDevice } from 'kymo/device';
globalThis.runPage = async (key, access) => {
  const device = await openDevice({ key, store: await indexedDbStore('page') });
  const foot = device.stream({ segment: 'left-foot', sensor: 'imu', axes: [{ name: 'x', unit: '1' }], rateHz: 200 });
  for (let i = 0; i < 200; i++) foot.push([i]);
  await foot.end();
  const isDrained = await device.drained();
  await device.close();
  const http = createHttpClient({ origin: '', key: () => access });
  const { sessions } = await http.sessions(1, null);
  return { isDrained, storedReadings: sessions[0].storedReadings, state: sessions[0].state };
};
`;

/** Starts the installed server in a process group of its own, since npx is its parent; resolves to its address. */
async function start(data: string): Promise<string> {
  const child = spawn(
    'npx',
    ['--no-install', 'kymo', 'start', '--port', '0', '--data', data, '--print-key'],
    {
      cwd: consumer,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    },
  );
  endings.push(async () => {
    const ended = new Promise((resolve) => child.once('close', resolve));
    process.kill(-child.pid!, 'SIGTERM');
    await ended;
  });
  let output = '';
  return new Promise((resolve, reject) => {
    const hear = (chunk: Buffer): void => {
      output += chunk.toString('utf8');
      const found = /Kymo is ready: (\S+)/.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('exit', (code) => reject(new Error(`kymo ended with ${code}:\n${output}`)));
  });
}
