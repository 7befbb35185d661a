/**
 * A patient's own account, in Chromium against a real server: it is invited, reads its record and its recording, ticks off
 * its exercises, and is offered nothing that would be refused.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import type { InvitationCreated } from '#contract/account.ts';
import type { EntryPage, Programme } from '#contract/care.ts';
import type { Patient } from '#contract/clinic.ts';
import type { DeviceCreated, ReadingsAccepted } from '#contract/rest.ts';
import type { Visit } from '#contract/visit.ts';
import { createHttpClient, type HttpClient } from '#sdk/http-client.ts';
import { launchBrowser } from '#test/support/browser.ts';
import { startKymo } from '#test/support/kymo-process.ts';
import { isTooWide, violationsInBoth, watchPage } from '#test/support/page-checks.ts';

const WAIT = { timeout: 20_000 };
const DAY_MS = 86_400_000;
const endings: (() => Promise<unknown>)[] = [];
let browser: Browser;
let origin: string;
let http: HttpClient;
let page: Page;
let problems: string[];
let own: Patient;
let other: Patient;
let programme: Programme;
let session: string;

/** `days` from today, as the page counts them. */
function day(days: number): string {
  const at = new Date(Date.now() + days * DAY_MS);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}

beforeAll(async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'kymo-patient-'));
  endings.push(() => rm(dataDir, { recursive: true, force: true }));
  const kymo = await startKymo({ dataDir, port: 0 });
  endings.push(() => kymo.signal('SIGTERM'));
  const address = new URL(kymo.address);
  origin = address.origin;
  const key = address.hash.replace(/^#key=/, '');
  http = createHttpClient({ origin, key: () => key });
  await makeRecord();
  session = await makeRecording();
  browser = await launchBrowser();
  endings.push(() => browser.close());
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  page = await context.newPage();
  page.setDefaultTimeout(WAIT.timeout * 2);
});

afterAll(async () => {
  for (const end of endings.toReversed()) await end();
});

async function makeRecord(): Promise<void> {
  own = await http.call<Patient>('POST', '/v1/patients', {
    body: { code: 'P-001', diagnosis: 'Stroke', consents: ['care'] },
  });
  other = await http.call<Patient>('POST', '/v1/patients', { body: { code: 'P-002' } });
  const path = `/v1/patients/${own.id}`;
  const exercise = (id: string, name: string) => ({
    id,
    name,
    sets: 3,
    repetitions: 10,
    durationS: null,
    timesPerWeek: 7,
  });
  programme = await http.call<Programme>('POST', `${path}/programmes`, {
    body: {
      title: 'At home',
      instructions: 'Hold on to a table.',
      beginsOn: day(-3),
      exercises: [exercise('stand', 'Stand on one leg'), exercise('raise', 'Heel raises')],
    },
  });
  // The clinic saw this one.
  await http.call('PUT', `${path}/programmes/${programme.id}/entries/${day(-1)}/stand`, {
    body: { times: 2 },
  });
  await http.call('POST', `${path}/notes`, { body: { text: 'Well done.', shared: true } });
  await http.call('POST', `${path}/notes`, { body: { text: 'Among ourselves.' } });
  await http.call('POST', `${path}/goals`, { body: { text: 'Walk to the shop' } });
}

/** A recording of two seconds that has ended. */
async function makeRecording(): Promise<string> {
  const { key } = await http.call<DeviceCreated>('POST', '/v1/devices', { body: { name: 'Left foot' } });
  const device = createHttpClient({ origin, key: () => key });
  const readings = Array.from({ length: 200 }, (_, i) => ({
    timeUs: (Date.now() - 2000) * 1000 + i * 10_000,
    values: { acc_x: Math.sin(i / 10) },
  }));
  const { session: id } = await device.call<ReadingsAccepted>('POST', '/v1/readings', {
    body: { segment: 'left-foot', readings },
  });
  const { revision } = await http.call<Visit>('GET', `/v1/sessions/${id}/visit`);
  await http.call('PUT', `/v1/sessions/${id}/patient`, { body: { patientId: own.id, revision } });
  await http.call('POST', `/v1/sessions/${id}/end`, { body: { now: true } });
  return id;
}

test('an invitation leads a patient to the own record, and to nothing else', async () => {
  const { token } = await http.call<InvitationCreated>('POST', '/v1/invitations', {
    body: { email: 'pat@home.example', role: 'patient', patientId: own.id },
  });
  await page.goto(`${origin}/#invitation=${token}`);
  await page.getByRole('textbox', { name: 'Your name' }).fill('Pat');
  await page.getByRole('textbox', { name: 'Password' }).fill('a walk in the park');
  await page.getByRole('button', { name: 'Join' }).click();
  await page.getByRole('heading', { name: 'P-001' }).waitFor(WAIT);
  problems = watchPage(page);
  expect(new URL(page.url()).pathname).toBe(`/patients/${own.id}`);
  const places = page.getByRole('navigation', { name: 'Parts of Kymo' });
  expect(await places.getByRole('link').allInnerTexts()).toEqual(['My record', 'Account']);
  expect(await page.getByRole('link', { name: 'API' }).count()).toBe(0);
  expect(await page.getByRole('button').allInnerTexts()).toEqual(['']);
});

test('a patient ticks off an exercise by keyboard, takes it back, and says how it was', async () => {
  await page.getByRole('link', { name: 'Goals and exercises' }).click();
  await page.getByText('Hold on to a table.').waitFor();
  await page.getByText('2 of 8 times').waitFor();
  const today = page.getByRole('button', { name: /^Stand on one leg, today/ });
  await today.focus();
  await page.keyboard.press('Space');
  await page.getByText('3 of 8 times').waitFor();
  expect(await today.getAttribute('aria-pressed')).toBe('true');
  expect(await today.evaluate((element) => element === document.activeElement)).toBe(true);
  await page.keyboard.press('Space');
  await page.getByText('2 of 8 times').waitFor();
  expect(await today.getAttribute('aria-pressed')).toBe('false');

  await page.getByRole('button', { name: 'Write down more' }).click();
  await page.getByRole('combobox', { name: 'Exercise' }).selectOption({ label: 'Heel raises' });
  await page.getByRole('textbox', { name: 'Pain' }).fill('11');
  await page.getByRole('button', { name: 'Write it down' }).click();
  await page.getByText('A whole number from 0 to 10').waitFor();
  await page.getByRole('textbox', { name: 'Pain' }).fill('3');
  await page.getByRole('textbox', { name: 'In words' }).fill('The right calf pulls');
  await page.getByRole('button', { name: 'Write it down' }).click();
  await page.getByRole('button', { name: /^Heel raises, today, .*done, pain 3/ }).waitFor();
  await page.getByText('Everything that was written down').click();
  await page.getByText('The right calf pulls').waitFor();
  await page.getByText(/pain 3 of 10; you/).waitFor();
  await page.screenshot({ path: 'test-results/patient-exercises.png', fullPage: true });
});

test('what the clinic wrote down is shown and not changed, and the clinic reads what the patient did', async () => {
  const yesterday = page.getByRole('button', { name: /^Stand on one leg, .*written down by your clinic/ });
  expect(await yesterday.getAttribute('aria-disabled')).toBe('true');
  await yesterday.click({ force: true });
  const { entries } = await http.call<EntryPage>(
    'GET',
    `/v1/patients/${own.id}/programmes/${programme.id}/entries`,
  );
  expect(entries.map(({ exercise, times, pain, comment }) => ({ exercise, times, pain, comment }))).toEqual([
    { exercise: 'raise', times: 1, pain: 3, comment: 'The right calf pulls' },
    { exercise: 'stand', times: 2, pain: null, comment: '' },
  ]);
});

const parts = ['', '?part=progress', '?part=notes', '?part=goals', '?part=consent'];

test('every page that a patient may open is accessible, fits a phone, and asks for nothing that is refused', async () => {
  const paths = [...parts.map((part) => `/patients/${own.id}${part}`), `/sessions/${session}`, '/account'];
  const found: Record<string, string[]> = {};
  for (const path of paths) {
    await page.goto(`${origin}${path}`);
    await page.locator('main section h2').first().waitFor(WAIT);
    found[path] = await violationsInBoth(page);
    await page.setViewportSize({ width: 390, height: 844 });
    // Plots follow the width of the page when it has settled.
    await expect.poll(() => isTooWide(page), { message: path, ...WAIT }).toBe(false);
    await page.setViewportSize({ width: 1280, height: 900 });
  }
  expect(Object.entries(found).filter(([, wrong]) => wrong.length > 0)).toEqual([]);
  await page.goto(`${origin}/patients/${own.id}?part=notes`);
  await page.getByText('Well done.').waitFor();
  expect(await page.getByText('Among ourselves.').count()).toBe(0);
  await page.goto(`${origin}/sessions/${session}`);
  await page.getByRole('heading', { name: 'Annotations' }).waitFor(WAIT);
  for (const name of ['Talk', 'Devices']) expect(await page.getByRole('heading', { name }).count()).toBe(0);
  await page.getByRole('link', { name: 'My record' }).last().click();
  await page.getByRole('heading', { name: 'P-001' }).waitFor();
  expect(problems).toEqual([]);
});

test('addresses of the clinic say that they are not for patients, without asking the server', async () => {
  for (const path of ['/protocols', '/jobs', '/devices', '/people', '/audit', '/webhooks']) {
    await page.goto(`${origin}${path}`);
    await page.getByRole('heading', { name: 'You may not see that' }).waitFor();
  }
  await page.goto(`${origin}/patients`);
  await page.getByRole('heading', { name: 'P-001' }).waitFor();
  expect(problems).toEqual([]);
  // Another record is one that there is not.
  await page.goto(`${origin}/patients/${other.id}`);
  await page.getByRole('heading', { name: 'There is nothing at this address' }).waitFor();
  expect(new Set(problems.filter((problem) => /^\d/.test(problem)))).toEqual(
    new Set([`404 GET /v1/patients/${other.id}`]),
  );
});
