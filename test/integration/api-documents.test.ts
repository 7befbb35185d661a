/**
 * What the running server says of itself, as others see it: independent parsers take its documents, a client that a public
 * generator made from them compiles and works, and a person can read all of it with the network blocked.
 */

import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { Parser } from '@asyncapi/parser';
import { validate } from '@readme/openapi-parser';
import { generateApi } from 'swagger-typescript-api';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { launchBrowser } from '#test/support/browser.ts';
import { freePort, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';

/** The parser's diagnostics count from the worst. */
const isError = ({ severity }: { readonly severity: number }): boolean => severity === 0;
const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));
let folder: string;
let server: KymoProcess;
let origin: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kymo-documents-'));
  // The embedded database runs as another user when the test is root.
  await chmod(folder, 0o755);
  server = await startKymo({ dataDir: join(folder, 'data'), port: await freePort() });
  origin = new URL(server.address).origin;
}, 60_000);

afterAll(async () => {
  await server?.signal('SIGTERM');
  await rm(folder, { recursive: true });
});

const read = async (path: string): Promise<object> =>
  (await (await fetch(`${origin}${path}`)).json()) as object;

test('an OpenAPI parser that is not ours takes the document', async () => {
  const document = (await read('/openapi.json')) as { paths: Record<string, unknown> };
  const result = await validate(structuredClone(document) as Parameters<typeof validate>[0]);
  expect(result).toMatchObject({ valid: true });
  // The WebSocket endpoints are there too.
  expect(Object.keys(document.paths)).toEqual(
    expect.arrayContaining(['/v1/device', '/v1/live', '/v1/events', '/v1/poll']),
  );
});

test('an AsyncAPI parser that is not ours takes the document', async () => {
  const { document, diagnostics } = await new Parser().parse(JSON.stringify(await read('/asyncapi.json')));
  expect(diagnostics.filter(isError)).toEqual([]);
  const addresses =
    document
      ?.channels()
      .all()
      .map((channel) => channel.address()) ?? [];
  expect(addresses).toEqual(expect.arrayContaining(['/v1/live', 'session/{session}/chat']));
});

test('a client made by a public generator compiles and works', async () => {
  const { files } = await generateApi({
    spec: await read('/openapi.json'),
    output: false,
    silent: true,
    httpClientType: 'fetch',
  });
  const source = join(folder, 'client.ts');
  await writeFile(source, files.map((file) => file.fileContent).join('\n'));
  await writeFile(
    join(folder, 'use.ts'),
    `import { Api } from './client.ts';
    const [origin = '', key = ''] = process.argv.slice(2);
    const api = new Api({ baseUrl: origin, baseApiParams: { headers: { authorization: 'Bearer ' + key } } });
    const made = await api.v1.createDevice({ name: 'made by a generated client' });
    const { data } = await api.v1.listDevices({ limit: 5 });
    const name: string | undefined = data.devices.find((device) => device.id === made.data.id)?.name;
    console.log(name);
    // @ts-expect-error -- a device has a name, and the client knows
    void (() => api.v1.createDevice({}));
    `,
  );
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2024', '--module', 'nodenext'];
  const types = [
    '--allowImportingTsExtensions',
    '--types',
    'node',
    '--typeRoots',
    join(fileURLToPath(new URL('../../node_modules/@types', import.meta.url))),
  ];
  await writeFile(join(folder, 'package.json'), '{"type": "module"}');
  await promisify(execFile)(process.execPath, [tsc, ...options, ...types, join(folder, 'use.ts')], {
    cwd: folder,
  });
  const key = new URL(server.address).hash.replace(/^#(?:key=)?/, '');
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--experimental-transform-types',
    '--no-warnings',
    pathToFileURL(join(folder, 'use.ts')).pathname,
    origin,
    key,
  ]);
  expect(stdout.trim()).toBe('made by a generated client');
});

test('the page shows routes and messages with everything outside blocked, and nothing is missing', async () => {
  const browser = await launchBrowser();
  try {
    const page = await (await browser.newContext()).newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(error.message));
    // Nobody has signed in, and the page asks who is there.
    const isExpected = (text: string): boolean => text.includes('status of 401');
    page.on(
      'console',
      (line) => void (line.type() === 'error' && !isExpected(line.text()) && problems.push(line.text())),
    );
    await page.route('**', (route) =>
      route.request().url().startsWith(origin)
        ? route.continue()
        : (problems.push(route.request().url()), route.abort()),
    );
    await page.goto(`${origin}/docs`);
    await page.getByText('/healthz', { exact: true }).first().waitFor();
    // Of so many routes those are drawn that are in sight.
    const route = page.getByText('/v1/sessions/{id}', { exact: true }).first();
    await expect
      .poll(
        async () => {
          await page.mouse.wheel(0, 300);
          return route.count();
        },
        { timeout: 40_000, interval: 100 },
      )
      .toBe(1);
    await page.keyboard.press('Control+Home');
    await page.getByText('Channels and messages').click();
    await page.getByRole('heading', { name: 'session/{session}/chat' }).waitFor();
    await page.getByLabel('Find a channel or message').fill('no such channel');
    await page.getByText('No channel or message has').waitFor();
    expect(problems).toEqual([]);
  } finally {
    await browser.close();
  }
});
