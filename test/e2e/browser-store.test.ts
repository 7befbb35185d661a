/** The browser's device store in Chromium: the conformance suite of every store, and what only a browser does to one. */

import type { Page } from 'playwright-core';
import { afterAll, expect, test } from 'vitest';

import { bundleForBrowser, servePage } from '#test/support/browser-bundle.ts';
import type { KymoTest } from '#test/support/browser-device-page.ts';
import { launchBrowser } from '#test/support/browser.ts';

declare global {
  var kymoTest: KymoTest;
}

const support = new URL('../support/', import.meta.url).pathname;
const { code } = await bundleForBrowser({
  entry: `${support}browser-device-page.ts`,
  alias: { vitest: `${support}browser-suite.ts` },
});
const server = await servePage(code);
const browser = await launchBrowser();
const context = await browser.newContext();
const problems: string[] = [];

afterAll(async () => {
  await browser.close();
  await server.close();
});

async function newPage(lines: string[] = [], within = context): Promise<Page> {
  const page = await within.newPage();
  page.on('pageerror', (error) => problems.push(error.message));
  await page.exposeFunction('report', (line: string) => void lines.push(line));
  await page.goto(server.url);
  await page.waitForFunction(() => 'kymoTest' in globalThis);
  return page;
}

const suite = await newPage();
for (const name of await suite.evaluate(() => kymoTest.testNames()))
  test(`conformance: ${name}`, async () => {
    await expect(suite.evaluate((which) => kymoTest.runTest(which), name)).resolves.toBeUndefined();
  });

interface State {
  epoch: string;
  previousStoreLost: boolean;
  nextSeq: number;
  held: { from: number; to: number }[];
  losses: { from: number; to: number; reason: string }[];
  events: string[];
  status: { isDiskFull: boolean; droppedReadings: number };
}

async function openStore(page: Page, name: string): Promise<State> {
  return (await page.evaluate((which) => kymoTest.open(which), name)) as State;
}

test('a second tab is refused, or waits until the first is gone', async () => {
  const first = await newPage();
  const second = await newPage();
  const { epoch } = await openStore(first, 'two-tabs');
  expect(await second.evaluate(() => kymoTest.open('two-tabs'))).toBe('conflict');
  const waiting = second.evaluate(() => kymoTest.open('two-tabs', 'wait'));
  const early = await Promise.race([waiting, first.evaluate(() => kymoTest.append(1)).then(() => 'waits')]);
  expect(early).toBe('waits');
  await first.close();
  expect(await waiting).toMatchObject({ epoch, nextSeq: 100, held: [{ from: 0, to: 100 }] });
  await second.close();
});

test('a page that dies in the middle of writing leaves a whole store, in the same epoch', async () => {
  for (let life = 0, taken = 0; life < 4; life++) {
    const lines: string[] = [];
    const page = await newPage(lines);
    const state = await openStore(page, 'mortal');
    expect(state.previousStoreLost).toBe(false);
    expect(state.nextSeq ?? 0).toBeGreaterThanOrEqual(taken);
    const all = life === 0 ? undefined : [{ from: 0, to: state.nextSeq }];
    expect(state.held).toEqual(all);
    await page.evaluate(() => kymoTest.appendForEver());
    await expect.poll(() => lines.length).toBeGreaterThan(5 + life * 3);
    const session = await context.newCDPSession(page);
    const crashed = page.waitForEvent('crash');
    // The renderer ends as when the browser discards a tab; it never answers.
    void session.send('Page.crash').catch(() => undefined);
    await crashed;
    taken = Number(lines.at(-1)!.split(' ')[1]);
    await page.close();
  }
});

test('a quota that is used up costs acknowledged readings first, then the oldest', async () => {
  // The browser asks for the quota when it first opens a database of the origin.
  const fresh = await browser.newContext();
  const page = await newPage([], fresh);
  const session = await fresh.newCDPSession(page);
  const { origin } = new URL(server.url);
  await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 3_000_000 });
  await openStore(page, 'small');
  const stateOf = async (): Promise<State> =>
    (await page.evaluate(() => kymoTest.state())) as unknown as State;
  // Acknowledged as soon as they are stored: the quota is found several times, and costs no reading.
  for (let i = 0; i < 40; i++) {
    await page.evaluate(() => kymoTest.append(250));
    const { nextSeq } = await stateOf();
    await page.evaluate((to) => kymoTest.settle(to), nextSeq);
  }
  const settled = await stateOf();
  expect(settled.events.slice(0, 2)).toEqual(['store-full-disk', 'store-disk-ok']);
  expect(settled.losses).toEqual([]);
  // Never acknowledged: the oldest go, and are declared.
  let open = settled;
  for (let i = 0; i < 60 && open.losses.length === 0; i++) {
    await page.evaluate(() => kymoTest.append(250));
    open = await stateOf();
  }
  expect(open.losses.map((loss) => loss.reason)).toEqual(['device-store-full']);
  expect(open.losses[0]?.from).toBeGreaterThanOrEqual(settled.nextSeq);
  // What it took meanwhile without their readings is written as soon as the database takes readings again.
  await expect.poll(async () => (await stateOf()).status.isDiskFull, { timeout: 20_000 }).toBe(false);
  open = await stateOf();
  await page.close();
  const again = await newPage([], fresh);
  const { held, losses, previousStoreLost, epoch } = await openStore(again, 'small');
  expect({ held, losses, previousStoreLost, epoch }).toEqual({
    held: open.held,
    losses: open.losses,
    previousStoreLost: false,
    epoch: settled.epoch,
  });
  await fresh.close();
});

test('a database deleted under an open store is written anew; one deleted meanwhile is a lost store', async () => {
  const page = await newPage();
  const { epoch } = await openStore(page, 'cleared');
  await page.evaluate(() => kymoTest.append(3));
  const other = await newPage();
  const erase = (): Promise<void> =>
    other.evaluate(
      () =>
        new Promise<void>((resolve, reject) => {
          const request = indexedDB.deleteDatabase('kymo-device-store:cleared');
          request.addEventListener('success', () => resolve());
          request.addEventListener('error', () => reject(request.error!));
        }),
    );
  await erase();
  await page.evaluate(() => kymoTest.append(1));
  await page.close();
  const again = await newPage();
  expect(await openStore(again, 'cleared')).toMatchObject({
    epoch,
    previousStoreLost: false,
    held: [{ from: 0, to: 400 }],
  });
  await again.evaluate(() => kymoTest.close());
  await erase();
  const state = await openStore(again, 'cleared');
  expect(state.previousStoreLost).toBe(true);
  expect(state.epoch).not.toBe(epoch);
  await again.close();
  await other.close();
});

test('a worker keeps readings as a page does, and shares the lock with pages', async () => {
  const page = await newPage();
  const state = await page.evaluate(
    () =>
      new Promise((resolve) => {
        new BroadcastChannel('worker').addEventListener('message', ({ data }) => resolve(data));
        Object.assign(globalThis, { worker: new Worker('/page.js', { type: 'module' }) });
      }),
  );
  expect(state).toMatchObject({ nextSeq: 300, held: [{ from: 0, to: 300 }], events: [] });
  expect(await page.evaluate(() => kymoTest.open('in-a-worker'))).toBe('conflict');
  await page.close();
});

test('no page had an unhandled error', () => {
  expect(problems).toEqual([]);
});
