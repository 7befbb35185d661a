/**
 * Webhooks as an owner sees them, in Chromium against a real server and a real receiver on loopback: adding one by
 * keyboard, a signed test, a failure and its next try, sending again, a new secret, pausing, deleting. And the API page,
 * which anybody may read and which asks nothing that would be refused.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Browser, Page } from 'playwright-core';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { launchBrowser } from '#test/support/browser.ts';
import { startKymo } from '#test/support/kymo-process.ts';
import { isTooWide, violations, violationsInBoth, watchPage } from '#test/support/page-checks.ts';

interface Received {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

const WAIT = { timeout: 30_000 };
const endings: (() => Promise<unknown>)[] = [];
const received: Received[] = [];
/** What the receiver answers with. */
let status = 204;
let receiver: Server;
let url: string;
let browser: Browser;
let address: string;
let origin: string;
let page: Page;
let problems: string[];

beforeAll(async () => {
  receiver = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => void pieces.push(piece));
    request.on('end', () => {
      received.push({ headers: request.headers, body: Buffer.concat(pieces).toString() });
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  endings.push(
    () =>
      new Promise<void>((resolve) => {
        receiver.closeAllConnections();
        receiver.close(() => resolve());
      }),
  );
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
  const dataDir = await mkdtemp(join(tmpdir(), 'kymo-webhooks-'));
  endings.push(() => rm(dataDir, { recursive: true, force: true }));
  const kymo = await startKymo({ dataDir, port: 0, args: ['--webhooks-private'] });
  endings.push(() => kymo.signal('SIGTERM'));
  address = kymo.address;
  origin = new URL(address).origin;
  browser = await launchBrowser();
  endings.push(() => browser.close());
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  page = await context.newPage();
  page.setDefaultTimeout(WAIT.timeout * 2);
  problems = watchPage(page);
});

afterAll(async () => {
  for (const end of endings.toReversed()) await end();
});

/** Where the keyboard is, goes on to what is called `name`. */
async function tabTo(role: 'button' | 'textbox' | 'checkbox', name: string): Promise<void> {
  const wanted = page.getByRole(role, { name, exact: true }).first();
  await wanted.waitFor();
  for (let i = 0; i < 40; i++) {
    if (await wanted.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`the Tab key does not lead to ${role} ${name}`);
}

const rows = () => page.getByRole('table').locator('tbody tr');

async function secretShown(): Promise<string> {
  const text = page.getByRole('dialog').locator('.command code');
  await text.waitFor();
  const secret = await text.innerText();
  expect(secret).toMatch(/^whsec_/);
  return secret;
}

let secret: string;

test('the page of the API is read by whoever is not signed in, and asks nothing that is refused', async () => {
  await page.goto(`${origin}/docs`);
  await page.getByText('/healthz', { exact: true }).first().waitFor(WAIT);
  expect(problems).toEqual([]);
  // Who came with a key has the way through the application there too, and after a reload.
  await page.goto(address);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.goto(`${origin}/docs`);
  await page.getByRole('link', { name: 'Patients' }).waitFor();
  expect(problems).toEqual([]);
});

test('a webhook is added by keyboard alone, and its secret is shown this once', async () => {
  await page.goto(`${origin}/webhooks`);
  await page.getByRole('heading', { name: 'No webhook yet' }).waitFor();
  expect(await violationsInBoth(page)).toEqual([]);
  await tabTo('button', 'Add a webhook');
  await page.keyboard.press('Enter');
  await tabTo('textbox', 'Address');
  await page.keyboard.type('ftp://nowhere');
  await page.keyboard.press('Enter');
  await page.getByText('Webhooks go to https addresses only').waitFor();
  await page.keyboard.press('Control+A');
  await page.keyboard.type(url);
  await tabTo('textbox', 'What it is for optional');
  await page.keyboard.type('Night shift');
  await tabTo('checkbox', 'Everything, also what is added later');
  await page.keyboard.press('Space');
  await tabTo('checkbox', 'A session ended session.ended');
  await page.keyboard.press('Space');
  expect(await violations(page)).toEqual([]);
  await tabTo('button', 'Add it');
  await page.keyboard.press('Enter');
  secret = await secretShown();
  await page.keyboard.press('Escape');
  await page.getByText('Night shift').waitFor();
  await page.getByRole('cell', { name: 'A session ended' }).waitFor();
  expect(await page.getByText(secret).count()).toBe(0);
});

test('a test is sent, signed so that the receiver can check it, and stands in the log', async () => {
  await page.getByRole('link', { name: /^127\.0\.0\.1/ }).click();
  await page.getByRole('heading', { name: 'Nothing was sent yet' }).waitFor();
  await page.getByRole('button', { name: 'Send a test' }).click();
  await expect.poll(() => received.length, WAIT).toBe(1);
  const { headers, body } = received.at(0)!;
  expect(new Webhook(secret).verify(body, headers as Record<string, string>)).toMatchObject({
    type: 'endpoint.test',
  });
  await rows().getByText('Delivered').waitFor(WAIT);
  await rows()
    .locator('td')
    .filter({ hasText: /^204 after/ })
    .first()
    .waitFor();
  await page.getByRole('button', { name: /^Send again: A test/ }).click();
  await expect.poll(() => received.length, WAIT).toBe(2);
  expect(received.at(1)!.headers['webhook-id']).toBe(headers['webhook-id']);
  await expect.poll(() => rows().getByText('Delivered').count(), WAIT).toBe(2);
});

test('what failed says so, with what was answered and when it is tried again', async () => {
  status = 500;
  await page.getByRole('button', { name: 'Send a test' }).click();
  await rows().getByText('Failed, tried again').waitFor(WAIT);
  await rows()
    .locator('td')
    .filter({ hasText: /^500 after/ })
    .first()
    .waitFor();
  expect(await rows().first().locator('td:nth-child(6) time').count()).toBe(1);
  await page.getByText(/every attempt failed since/).waitFor(WAIT);
  expect(await violationsInBoth(page)).toEqual([]);
  await page.screenshot({ path: 'test-results/webhook.png', fullPage: true });
  // The second attempt may have failed meanwhile, and the third is a minute away.
  status = 204;
  await page.getByRole('button', { name: 'Send a test' }).click();
  await rows().first().getByText('Delivered').waitFor(WAIT);
  await page.getByRole('combobox').selectOption('failed');
  await page.getByText('None is given up.').waitFor();
  expect(new URL(page.url()).searchParams.get('state')).toBe('failed');
  await page.reload();
  await page.getByText('None is given up.').waitFor(WAIT);
  await page.getByRole('combobox').selectOption('');
});

test('a new secret signs beside the old one, and the webhook is paused, switched on and deleted', async () => {
  await page.getByRole('button', { name: 'New secret' }).click();
  await page.getByRole('button', { name: 'Make a new secret' }).click();
  const next = await secretShown();
  expect(next).not.toBe(secret);
  await page.getByRole('button', { name: 'Close' }).click();
  await page.getByText(/The one before signs too, until/).waitFor();
  const before = received.length;
  await page.getByRole('button', { name: 'Send a test' }).click();
  await expect.poll(() => received.length, WAIT).toBe(before + 1);
  const { headers, body } = received.at(-1)!;
  for (const either of [secret, next])
    expect(new Webhook(either).verify(body, headers as Record<string, string>)).toBeTruthy();

  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByRole('button', { name: 'Pause it' }).click();
  await page.getByText('Paused', { exact: true }).waitFor();
  expect(
    await page
      .getByRole('button', { name: /^Send again/ })
      .first()
      .isDisabled(),
  ).toBe(true);
  await page.getByRole('button', { name: 'Switch it on' }).click();
  await page.getByText('On', { exact: true }).waitFor();
  await page.setViewportSize({ width: 390, height: 844 });
  expect(await isTooWide(page)).toBe(false);
  await page.screenshot({ path: 'test-results/webhook-phone.png', fullPage: true });
  await page.setViewportSize({ width: 1280, height: 900 });

  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByRole('button', { name: 'Delete it' }).click();
  await page.getByRole('heading', { name: 'No webhook yet' }).waitFor();
  // The address that is none is refused by the server, and the browser says so too.
  expect(problems.filter((problem) => !/400/.test(problem))).toEqual([]);
});
