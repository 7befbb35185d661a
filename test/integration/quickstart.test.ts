/** docs/quickstart.md as a newcomer follows it: its own lines are run, against a real server. */

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from 'vitest';

import type { SessionDetail, SessionPage } from '#contract/rest.ts';
import { runKymo, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);
let dataDir: string;
let kymo: KymoProcess;
let document: string;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'kymo-quickstart-'));
  document = await readFile(new URL('docs/quickstart.md', root), 'utf8');
  kymo = await startKymo({ dataDir, port: 0 });
});

afterAll(async () => {
  await kymo.signal('SIGTERM');
  await rm(dataDir, { recursive: true, force: true });
});

async function get<T>(path: string): Promise<T> {
  const address = new URL(kymo.address);
  const response = await fetch(new URL(path, address.origin), {
    headers: { authorization: `Bearer ${address.hash.replace('#key=', '')}` },
  });
  expect(response.status).toBe(200);
  return (await response.json()) as T;
}

test('one line of curl stores a reading and makes a session', async () => {
  const key = await runKymo(['device', 'add', 'curl', '--data', dataDir]);
  const block = /```sh\n(curl [\s\S]*?)```/.exec(document)?.[1];
  const line = block
    ?.replace('http://127.0.0.1:7900', new URL(kymo.address).origin)
    .replace('kd_...', key)
    .trimEnd();
  const { stdout } = await run('bash', ['-c', `${line} --silent --fail`]);
  const accepted = JSON.parse(stdout) as { session: string; stream: string; count: number };
  expect(accepted.count).toBe(1);
  const detail = await get<SessionDetail>(`/v1/sessions/${accepted.session}`);
  expect(detail.streams[0]?.definition.axes).toEqual([{ name: 'acc_x', unit: 'm/s2' }]);
  expect(detail.session.storedReadings).toBe(1);
});

test('ten lines of the SDK make a device whose readings are stored', async () => {
  const key = await runKymo(['device', 'add', 'sdk', '--data', dataDir]);
  const block = /```ts\n([\s\S]*?)```/.exec(document)?.[1];
  const program = join(dataDir, 'device.ts');
  const values = { url: new URL(kymo.address).origin, key, directory: join(dataDir, 'device') };
  // The package's own imports, written out, since the program stands outside of the checkout.
  const imports = String(block).replaceAll(
    /'#(sdk\/[a-z-]+\.ts)'/g,
    (_, file: string) => `'${new URL(`src/${file}`, root).href}'`,
  );
  await writeFile(program, `const { url, key, directory } = ${JSON.stringify(values)};\n${imports}`);
  await run(process.execPath, [program]);
  const { sessions } = await get<SessionPage>('/v1/sessions?limit=1');
  expect(sessions[0]).toMatchObject({ storedReadings: 200, lostReadings: 0, streamCount: 1, state: 'ended' });
});
