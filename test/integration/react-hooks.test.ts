/** The React hooks in Chromium, against a real server: what comes, who is there, what was missed, and what is refused. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { connectLive } from '#sdk/live-client.ts';
import { bundleForBrowser } from '#test/support/browser-bundle.ts';
import { launchBrowser } from '#test/support/browser.ts';
import { startChannelServer, type ChannelServer } from '#test/support/channel-server.ts';

let server: ChannelServer;
let browser: Browser;
let code: string;
const endings: (() => unknown)[] = [];

beforeAll(async () => {
  server = await startChannelServer();
  endings.push(() => server.stop());
  browser = await launchBrowser();
  endings.push(() => browser.close());
  const entry = new URL('../support/react-channel-page.ts', import.meta.url).pathname;
  ({ code } = await bundleForBrowser({ entry, format: 'iife' }));
});
afterAll(async () => {
  for (const end of endings.toReversed()) await end();
});

async function show(channel: string): Promise<Page> {
  const context = await browser.newContext();
  const page = await context.newPage();
  // A page of the server's own origin, as an application beside it would be.
  const address = `${server.url}/application`;
  await page.route(address, (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>rooms</title>' }),
  );
  await page.goto(address);
  await page.evaluate(code);
  await page.evaluate((options) => showRoom(options), { liveUrl: server.liveUrl, key: server.key, channel });
  return page;
}

const shows = (page: Page, selector: string, text: string): Promise<void> =>
  page.locator(selector, { hasText: new RegExp(`^${text}$`) }).waitFor({ timeout: 10_000 });

test('components follow a channel for as long as they are shown', async () => {
  const client = connectLive({ url: server.liveUrl, token: () => server.key });
  endings.push(() => client.close());
  const channel = 'room/hooks';
  for (let n = 1; n <= 7; n++) await client.publish(channel, 'said', { n });
  const page = await show(channel);
  await shows(page, '#connection', 'open');
  await shows(page, '#room p', '3 4 5 6 7');
  await shows(page, '#refused', 'refused forbidden|refused not-found');
  await page.locator('#room button').click();
  await shows(page, '#room p', '3 4 5 6 7 5');
  await client.publish(channel, 'said', { n: 8 });
  // A component that comes later shows what was there before it, though the subscription is shared.
  await page.getByText('more').click();
  await shows(page, '#more p', '5 6 7 5 8');
  await shows(page, '#people', '1 1');
  const other = client.subscribe(channel);
  await shows(page, '#people', '2 2');
  await client.publish(channel, 'said', { n: 9 });
  await shows(page, '#more p', '5 6 7 5 8 9');
  await shows(page, '#room p', '3 4 5 6 7 5 8 9');
  other.unsubscribe();
  await shows(page, '#people', '1 1');
  await page.evaluate(() => cutRoom());
  await client.publish(channel, 'said', { n: 10 });
  await shows(page, '#room p', '4 5 6 7 5 8 9 10');
  await shows(page, '#people', '1 1');
  await page.getByText('more').click();
  expect(await page.locator('#more').count()).toBe(0);
  await client.publish(channel, 'said', { n: 11 });
  await shows(page, '#room p', '5 6 7 5 8 9 10 11');
});
