/**
 * A device in a browser, on real parts: a page streams to a server while its connection is cut, its page reloaded, and
 * all of Chromium killed. Whatever its store had taken is in PostgreSQL afterwards, once, under the number it was given.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Page } from 'playwright-core';
import { afterEach, expect, test } from 'vitest';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import { bundleForBrowser, servePage } from '#test/support/browser-bundle.ts';
import type { KymoTest, RecordOptions } from '#test/support/browser-device-page.ts';
import { startCuttingProxy } from '#test/support/cutting-proxy.ts';
import { freePort, runKymo, startKymo } from '#test/support/kymo-process.ts';
import { launchMortalBrowser, type MortalBrowser } from '#test/support/mortal-browser.ts';
import { readStored } from '#test/support/stored-readings.ts';

declare global {
  var kymoTest: KymoTest;
}

const support = new URL('../support/', import.meta.url).pathname;
const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

interface Recorder {
  readonly page: Page;
  readonly lines: string[];
}

/** Opens the page in the browser's own profile; `took` gathers what its store says it has. */
async function openRecorder(
  { browser }: MortalBrowser,
  url: string,
  took: Map<number, number>,
): Promise<Recorder> {
  const [own] = browser.contexts();
  if (own === undefined) throw new Error('the browser has no profile');
  const page = await own.newPage();
  const lines: string[] = [];
  await page.exposeFunction('report', (line: string) => {
    const [word, seq, values = ''] = line.split(' ');
    if (word === 'took') values.split(',').forEach((value, i) => took.set(Number(seq) + i, Number(value)));
    else lines.push(line);
  });
  await page.goto(url);
  await page.waitForFunction(() => 'kymoTest' in globalThis);
  return { page, lines };
}

function record({ page }: Recorder, options: RecordOptions): Promise<void> {
  return page.evaluate((given) => kymoTest.record(given), options);
}

/** A little later, at no particular moment of the device's own rhythm. */
function someTime(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 300 + Math.random() * 700));
}

test('a page that is cut off, reloaded and killed has every reading that its store took stored once', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'kymo-browser-'));
  endings.push(() => rm(dataDir, { recursive: true, force: true, maxRetries: 5 }));
  const embedded = await startEmbeddedDatabase({ dataDir });
  endings.push(() => embedded.stop());
  const { code } = await bundleForBrowser({
    entry: `${support}browser-device-page.ts`,
    alias: { vitest: `${support}browser-suite.ts` },
  });
  const server = await servePage(code);
  endings.push(() => server.close());
  // The page comes from elsewhere, so the server must be told that it may connect.
  const kymo = await startKymo({
    dataDir,
    port: await freePort(),
    args: ['--allowed-origins', new URL(server.url).origin],
  });
  endings.push(() => kymo.signal('SIGKILL'));
  const key = await runKymo(['device', 'add', 'page', '--data', dataDir]);
  const proxy = await startCuttingProxy(kymo.port);
  endings.push(() => proxy.close());
  const launch = async (): Promise<MortalBrowser> => {
    const launched = await launchMortalBrowser(join(dataDir, 'profile'));
    endings.push(() => launched.kill());
    return launched;
  };

  const took = new Map<number, number>();
  const stream = uuidv7(systemClock);
  const optionsOf = (life: number): RecordOptions => ({
    url: `http://127.0.0.1:${proxy.port}`,
    key,
    stream,
    session: uuidFor(stream),
    firstValue: life * 100_000,
    store: 'recorder',
  });
  let browser = await launch();
  let recorder = await openRecorder(browser, server.url, took);
  for (let life = 0; life < 6; life++) {
    const before = took.size;
    await record(recorder, optionsOf(life));
    await expect.poll(() => took.size, { timeout: 20_000 }).toBeGreaterThan(before + 50);
    await someTime();
    proxy.cut(() => true);
    await someTime();
    if (life === 0 || life === 3) {
      await recorder.page.reload();
      await recorder.page.waitForFunction(() => 'kymoTest' in globalThis);
    } else if (life === 1) {
      await recorder.page.close();
      recorder = await openRecorder(browser, server.url, took);
    } else {
      await browser.kill();
      browser = await launch();
      recorder = await openRecorder(browser, server.url, took);
    }
  }
  await record(recorder, optionsOf(6));
  await someTime();
  expect(await recorder.page.evaluate(() => kymoTest.finish())).toBe(true);

  const stored = await readStored(embedded.ownerUrl, stream);
  expect(stored.losses).toEqual([]);
  expect(new Set(stored.chunks.map((chunk) => chunk.epoch)).size).toBe(1);
  const numbers = stored.chunks.flatMap(({ firstSeq, count }) =>
    Array.from({ length: count }, (_, i) => firstSeq + i),
  );
  // No number twice and none left out; the last frames of a life may be there without having been reported.
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => i));
  const values = new Map(
    stored.chunks.flatMap(({ firstSeq, count, data }) =>
      Array.from({ length: count }, (_, i) => [firstSeq + i, data.readFloatLE(i * 4)] as const),
    ),
  );
  expect([...took].filter(([seq, value]) => values.get(seq) !== value)).toEqual([]);
  expect(new Set(values.values()).size).toBe(values.size);
  expect(took.size).toBeGreaterThan(1_000);
  const lives = new Set([...values.values()].map((value) => Math.floor(value / 100_000)));
  expect([...lives]).toEqual([0, 1, 2, 3, 4, 5, 6]);
}, 180_000);

/** A session of the stream's own: the same id for all lives. */
function uuidFor(stream: string): string {
  return `${stream.slice(0, -1)}${stream.endsWith('0') ? '1' : '0'}`;
}
