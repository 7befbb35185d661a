/**
 * What people do together on a session's page: they talk, see who is there and what was read, give the wearer a cue, and
 * find in a quiet list what happened. A real server, a device of the SDK, and two people in Chromium.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { openDevice } from '#sdk/device-client.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { violations } from '#test/support/accessibility.ts';
import { launchBrowser } from '#test/support/browser.ts';
import { runKymo, startKymo } from '#test/support/kymo-process.ts';

const endings: (() => Promise<unknown>)[] = [];
const problems: string[] = [];
const cues: (string | null)[] = [];
let browser: Browser;
let origin: string;
let ownerKey: string;
let otherKey: string;
let session: string;

beforeAll(async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'kymo-talk-'));
  endings.push(() => rm(dataDir, { recursive: true, force: true }));
  const kymo = await startKymo({ dataDir, port: 0 });
  endings.push(() => kymo.signal('SIGTERM'));
  const address = new URL(kymo.address);
  origin = address.origin;
  ownerKey = address.hash.replace(/^#(?:key=)?/, '');
  const made = await fetch(`${origin}/v1/access-keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ownerKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'other', scope: 'read' }),
  });
  otherKey = ((await made.json()) as { key: string }).key;
  const device = await openDevice({
    url: origin,
    key: await runKymo(['device', 'add', 'wrist', '--data', dataDir]),
    store: memoryStore(),
    onCommand({ argument }) {
      cues.push(argument);
      if (cues.length > 1) throw new Error('the motor is stuck');
      return 'felt';
    },
  });
  endings.push(() => device.close({ drainMs: 0 }));
  session = device.session;
  const axes = [{ name: 'acc_x', unit: 'm/s2' }];
  const stream = device.stream({ segment: 'left-foot', sensor: 'imu', axes, rateHz: 10, label: 'walk-7' });
  stream.push([9.81]);
  await device.drained();
  browser = await launchBrowser();
  endings.push(() => browser.close());
});

afterAll(async () => {
  for (const end of endings.toReversed()) await end();
});

async function visit(key: string, path: string): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  await page.goto(`${origin}${path}#key=${key}`);
  return page;
}

test('two people talk about a session, see each other, and what was read', async () => {
  const ann = await visit(ownerKey, `/sessions/${session}`);
  await ann.getByText('Nothing was said yet').waitFor();
  await ann.getByText('Nobody else is here').waitFor();
  const ben = await visit(otherKey, `/sessions/${session}`);
  await ann.getByText('You and one other are here').waitFor();
  const field = ann.getByRole('textbox', { name: /message to everyone/i });
  await field.fill('the left foot drags\n<b>see</b> second 3');
  await field.press('Enter');
  const line = ben.getByRole('log').getByRole('article').last();
  await line.getByText('the left foot drags').waitFor();
  expect(await line.innerText()).toContain('<b>see</b> second 3');
  expect(await field.inputValue()).toBe('');
  // Ben has it before his eyes once he looks down there.
  await ben.getByRole('heading', { name: 'Talk', exact: true }).scrollIntoViewIfNeeded();
  await ann.getByText('read by 1').waitFor();
  await ben.getByRole('textbox', { name: /message to everyone/i }).fill('I see it');
  await ben.getByRole('button', { name: 'Send' }).click();
  await ann.getByRole('log').getByText('I see it').waitFor();
  await ann.getByRole('heading', { name: 'Talk', exact: true }).scrollIntoViewIfNeeded();
  await ben.getByText('read by 1').waitFor();
  expect(await violations(ben)).toEqual([]);
  await ben.screenshot({ path: 'test-results/session-talk.png', fullPage: true });
  // Who comes later reads it too, and who leaves is gone.
  await ben.context().close();
  await ann.getByText('Nobody else is here').waitFor();
  await ann.reload();
  await ann.getByRole('log').getByText('I see it').waitFor();
  await ann.context().close();
});

test('a cue goes to the wearer, and what became of it comes back', async () => {
  const page = await visit(otherKey, `/sessions/${session}`);
  await page.getByText('No command was given yet').waitFor();
  const button = page.getByRole('button', { name: 'Give a cue on Left foot' });
  await button.focus();
  await page.keyboard.press('Space');
  const list = page.getByRole('list', { name: 'Commands to Left foot' });
  await list.getByText('Cue: done (felt)').waitFor();
  await button.click();
  await list.getByText('Cue: the device did not do it (the motor is stuck)').waitFor();
  expect(cues).toEqual([null, null]);
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: 'test-results/session-cue.png', fullPage: true });
  await page.context().close();
});

test('what happened stands in a list below the sessions', async () => {
  const page = await visit(ownerKey, '/');
  const list = page.getByRole('region', { name: 'What happened' });
  await list.getByText(/did not do cue: the motor is stuck/).waitFor();
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: 'test-results/what-happened.png', fullPage: true });
  await list.getByRole('link', { name: `Session ${session.slice(-8)} began` }).click();
  await page.getByRole('heading', { name: 'Talk', exact: true }).waitFor();
  expect(problems).toEqual([]);
  await page.context().close();
});
