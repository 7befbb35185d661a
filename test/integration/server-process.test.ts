/** A server process from its first line to its exit, as the terminal sees it. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, expect, test } from 'vitest';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import type { SessionPage } from '#contract/rest.ts';
import { kymoMain, startKymo } from '#test/support/kymo-process.ts';

const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function dataDirectory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'kymo-server-'));
  endings.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** Runs a command that is expected to fail: its exit code and standard error. */
async function failing(args: readonly string[]): Promise<{ code: number | null; errors: string }> {
  const child = spawn(process.execPath, [kymoMain, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString('utf8')));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, errors };
}

test('the demo shows two live sessions, and Ctrl-C commits, ends them and stops the database', async () => {
  const dataDir = await dataDirectory();
  const kymo = await startKymo({ command: 'demo', dataDir, port: 0 });
  endings.push(() => kymo.signal('SIGKILL'));
  const { origin, hash } = new URL(kymo.address);
  const list = async (): Promise<SessionPage['sessions']> => {
    const answer = await fetch(`${origin}/v1/sessions`, {
      headers: { authorization: `Bearer ${hash.replace('#key=', '')}` },
    });
    return ((await answer.json()) as SessionPage).sessions;
  };
  const live = async (): Promise<unknown> =>
    (await list())
      .filter((session) => session.state === 'live' && session.storedReadings > 0)
      .map(({ streamCount, synthetic }) => ({ streamCount, synthetic }))
      .toSorted((a, b) => a.streamCount - b.streamCount);
  await expect.poll(live, { timeout: 15_000 }).toEqual([
    { streamCount: 2, synthetic: false },
    { streamCount: 7, synthetic: true },
  ]);
  expect(await kymo.signal('SIGINT')).toBe(0);
  expect(existsSync(join(dataDir, 'pg18', 'postmaster.pid'))).toBe(false);

  const embedded = await startEmbeddedDatabase({ dataDir });
  endings.push(() => embedded.stop());
  const again = await startKymo({ dataDir, port: 0 });
  endings.push(() => again.signal('SIGTERM'));
  const answer = await fetch(new URL('/v1/sessions', again.address), {
    headers: { authorization: `Bearer ${new URL(again.address).hash.replace('#key=', '')}` },
  });
  const { sessions } = (await answer.json()) as SessionPage;
  expect(sessions.map((session) => session.state)).toEqual(['ended', 'ended']);
});

test('an address that others can reach is refused without TLS', async () => {
  const { code, errors } = await failing(['start', '--host', '0.0.0.0', '--data', await dataDirectory()]);
  expect(code).toBe(2);
  expect(errors).toContain('--tls-cert');
});
