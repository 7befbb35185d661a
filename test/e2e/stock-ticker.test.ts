/**
 * The example of an extension as a person meets it: the feed's own process, the demo's server, and Chromium, whose
 * EventSource nobody here wrote. What is drawn is compared with the channel's history, also after the server was away.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { violations } from '#test/support/accessibility.ts';
import { launchBrowser } from '#test/support/browser.ts';
import { startCuttingProxy, type CuttingProxy } from '#test/support/cutting-proxy.ts';
import { freePort, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';

interface Drawn {
  readonly symbol: string;
  readonly points: readonly {
    readonly offset: number;
    readonly price: number;
    readonly isAfterGap: boolean;
  }[];
}

const endings: (() => Promise<unknown>)[] = [];
const problems: string[] = [];
const requested = new Set<string>();
let kymo: KymoProcess;
let dataDir: string;
let port: number;
let proxy: CuttingProxy;
let page: Page;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'kymo-ticker-'));
  endings.push(() => rm(dataDir, { recursive: true, force: true }));
  port = await freePort();
  kymo = await startKymo({ command: 'demo', dataDir, port });
  endings.push(() => kymo.signal('SIGTERM'));
  proxy = await startCuttingProxy(port);
  endings.push(() => proxy.close());
  const browser = await launchBrowser();
  endings.push(() => browser.close());
  const context = await browser.newContext({ viewport: { width: 1100, height: 760 }, colorScheme: 'dark' });
  page = await context.newPage();
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('request', (request) => requested.add(new URL(request.url()).origin));
  page.on('console', (message) => {
    if (/Content Security Policy/.test(message.text())) problems.push(message.text());
  });
});

afterAll(async () => {
  for (const end of endings.toReversed()) await end();
});

const drawn = (): Promise<Drawn> =>
  page.evaluate(() => (globalThis as unknown as { tickerInspect: () => Drawn }).tickerInspect());

/** The prices of a channel as its history has them, by offset. */
async function history(symbol: string): Promise<ReadonlyMap<number, number>> {
  const signedIn = await fetch(`http://127.0.0.1:${port}/v1/demo/sign-in`, { method: 'POST' });
  const { key } = (await signedIn.json()) as { key: string };
  const answer = await fetch(`http://127.0.0.1:${port}/v1/channels/ticker/${symbol}/messages?limit=256`, {
    headers: { authorization: `Bearer ${key}` },
  });
  const { messages } = (await answer.json()) as { messages: { offset: number; data: { price: number } }[] };
  return new Map(messages.map(({ offset, data }) => [offset, data.price]));
}

async function expectDrawnAsKept(symbol: string): Promise<void> {
  const { points } = await drawn();
  const kept = await history(symbol);
  const offsets = points.map((point) => point.offset);
  expect(offsets).toEqual(offsets.map((_, i) => (offsets[0] ?? 0) + i));
  expect(points.map((point) => point.price)).toEqual(offsets.map((offset) => kept.get(offset)));
}

test('the page draws each price of the feed once and in order, from this server alone', async () => {
  await page.goto(`http://127.0.0.1:${proxy.port}/v1/x/stock-ticker?symbol=gait`);
  await expect.poll(async () => (await drawn()).points.length, { timeout: 30_000 }).toBeGreaterThan(10);
  await expectDrawnAsKept('gait');
  expect(await page.locator('polyline').count()).toBe(1);
  expect(await page.locator('#price').textContent()).toMatch(/^\d+\.\d\d$/);
  expect(await page.locator('#state').textContent()).toMatch(/^Live\./);
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: 'test-results/stock-ticker.png' });
  await page.getByRole('link', { name: 'zinc' }).click();
  await expect.poll(async () => (await drawn()).points.length, { timeout: 30_000 }).toBeGreaterThan(10);
  expect((await drawn()).symbol).toBe('zinc');
  expect([...requested]).toEqual([`http://127.0.0.1:${proxy.port}`]);
});

test('the page goes on by itself when its connection breaks, and has missed nothing', async () => {
  await page.goto(`http://127.0.0.1:${proxy.port}/v1/x/stock-ticker?symbol=acme`);
  await expect.poll(async () => (await drawn()).points.length, { timeout: 30_000 }).toBeGreaterThan(5);
  const before = (await drawn()).points.at(-1)!.offset;
  // Nothing answers for a while, and prices go on.
  proxy.target(await freePort());
  proxy.cut(() => true);
  await page.locator('#state[data-attention="true"]').waitFor({ timeout: 30_000 });
  await expect
    .poll(async () => [...(await history('acme')).keys()].at(-1), { timeout: 30_000 })
    .toBeGreaterThan(before + 8);
  proxy.target(port);
  await expect
    .poll(async () => (await drawn()).points.at(-1)!.offset, { timeout: 40_000 })
    .toBeGreaterThan(before + 8);
  await expectDrawnAsKept('acme');
  expect((await drawn()).points.some((point) => point.isAfterGap)).toBe(false);
});

test('when the server was killed the line has a gap, since its memory of the prices is another one', async () => {
  await kymo.signal('SIGKILL');
  await page.locator('#state[data-attention="true"]').waitFor({ timeout: 30_000 });
  const before = (await drawn()).points.length;
  kymo = await startKymo({ command: 'demo', dataDir, port });
  await expect
    .poll(async () => (await drawn()).points.slice(before).filter((point) => point.isAfterGap).length, {
      timeout: 40_000,
    })
    .toBe(1);
  await expect.poll(async () => page.locator('polyline').count()).toBe(2);
  expect(problems).toEqual([]);
});
