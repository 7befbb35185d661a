/**
 * The page as a person meets it: a real server and database, a recording sent by a device in a process of its own, and
 * Chromium. What is drawn is compared with the file that was sent.
 */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { violations } from '#test/support/accessibility.ts';
import { launchBrowser } from '#test/support/browser.ts';
import { freePort, runKymo, spawnKymo, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';

const AXES = 6;
const endings: (() => Promise<unknown>)[] = [];
let dataDir: string;
let port: number;
let kymo: KymoProcess;
let context: BrowserContext;
let page: Page;
const problems: string[] = [];

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'kymo-e2e-'));
  endings.push(() => rm(dataDir, { recursive: true, force: true }));
  port = await freePort();
  kymo = await startKymo({ dataDir, port });
  endings.push(() => kymo.signal('SIGTERM'));
  const browser = await launchBrowser();
  endings.push(() => browser.close());
  context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  page = await context.newPage();
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && /Content Security Policy/.test(message.text()))
      problems.push(message.text());
  });
});

afterAll(async () => {
  for (const end of endings.toReversed()) await end();
});

test('an empty server shows the next step, and a key is not left in the address', async () => {
  await page.goto(kymo.address);
  await page.getByText('curl', { exact: false }).first().waitFor();
  expect(page.url()).not.toContain('key=');
  expect(await violations(page)).toEqual([]);
});

/** Sends the recorded walk from a process of its own and opens its session on the page. */
async function replayAndWatch(label: string): Promise<void> {
  const key = await runKymo(['device', 'add', label, '--data', dataDir]);
  const url = `http://127.0.0.1:${port}`;
  endings.push(
    spawnKymo(['replay', 'data/gaitmap', 'healthy_2x20m', '--url', url, '--key', key, '--label', label]),
  );
  await page.goto(url);
  await page.getByRole('link', { name: label }).click();
  await page.waitForURL(/\/sessions\//);
}

async function lastSeqs(): Promise<number[]> {
  const { streams } = await page.evaluate(() => window.kymoInspect());
  return streams.map((stream) => stream.lastSeq ?? -1);
}

test('the page draws the recording exactly as it was recorded', async () => {
  await replayAndWatch('e2e-walk');
  // A few seconds of walking, so that what is compared is not the person standing still.
  await expect
    .poll(async () => (await lastSeqs()).map((seq) => seq > 1_000), { timeout: 30_000 })
    .toEqual([true, true]);
  const seen = await page.evaluate(() => window.kymoInspect());
  for (const stream of seen.streams) {
    const side = stream.segment === 'left-foot' ? 'left' : 'right';
    const bytes = await readFile(new URL(`../../data/gaitmap/healthy_2x20m_${side}.f32`, import.meta.url));
    const file = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const { firstSeq, values } = stream.drawn!;
    expect(values.length).toBeGreaterThan(100);
    const recorded = values.map((_, i) =>
      Array.from(file.subarray((firstSeq + i) * AXES, (firstSeq + i + 1) * AXES)),
    );
    expect(values).toEqual(recorded);
    expect(stream.malformedFrames).toBe(0);
  }
  await page.screenshot({ path: 'test-results/live-session.png' });
  expect(await violations(page)).toEqual([]);
});

test('the page goes on by itself after the server was killed and started again', async () => {
  await replayAndWatch('e2e-restart');
  await expect
    .poll(async () => (await lastSeqs()).map((seq) => seq > 400), { timeout: 30_000 })
    .toEqual([true, true]);
  await kymo.signal('SIGKILL');
  await page
    .getByText(/this page is not connected/i)
    .first()
    .waitFor();
  const before = Math.max(...(await lastSeqs()));
  kymo = await startKymo({ dataDir, port });
  await expect
    .poll(async () => (await lastSeqs()).map((seq) => seq > before + 400), { timeout: 30_000 })
    .toEqual([true, true]);
  expect(problems).toEqual([]);
});
