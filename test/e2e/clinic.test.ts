/**
 * A day in a clinic, in Chromium against a real server: the first account, signing in with a second step, an invitation, a
 * patient, a planned session with its sensors, a recorded walk watched live, an annotation, and the report as PDF.
 */

import { createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { createHttpClient, type HttpClient } from '#sdk/http-client.ts';
import { violations } from '#test/support/accessibility.ts';
import { launchBrowser } from '#test/support/browser.ts';
import { runKymo, startKymo } from '#test/support/kymo-process.ts';
import { connectWalkingSensor, type WalkingSensor } from '#test/support/walking-sensor.ts';

const WAIT = { timeout: 20_000 };
const PASSWORD = 'a walk in the park';
const owner = { email: 'owner@clinic.example', name: 'Olive Owner' };
const clinician = { email: 'clinician@clinic.example', name: 'Clara Clinician' };

const endings: (() => Promise<unknown>)[] = [];
const problems: string[] = [];
let browser: Browser;
let origin: string;
let dataDir: string;
let http: HttpClient;
/** The owner's browser, and the clinician's. */
let office: Page;
let room: Page;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'kymo-clinic-'));
  endings.push(() => rm(dataDir, { recursive: true, force: true }));
  const kymo = await startKymo({ dataDir, port: 0 });
  endings.push(() => kymo.signal('SIGTERM'));
  const address = new URL(kymo.address);
  origin = address.origin;
  const key = address.hash.replace(/^#(?:key=)?/, '');
  http = createHttpClient({ origin, key: () => key });
  browser = await launchBrowser();
  endings.push(() => browser.close());
});

afterAll(async () => {
  for (const end of endings.toReversed()) await end();
});

async function newPage(): Promise<Page> {
  const context: BrowserContext = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    // A refusal that the page answers for is said by the browser too.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      problems.push(message.text());
  });
  return page;
}

/** RFC 6238 with SHA-1, six digits, half a minute a step; `ahead` steps from now. */
function totp(secret: string, ahead: number): string {
  const bits = secret
    .replaceAll(/[\s=]/g, '')
    .split('')
    .map((sign) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(sign).toString(2).padStart(5, '0'))
    .join('');
  const key = Buffer.from(bits.match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + ahead));
  const digest = createHmac('sha1', key).update(step).digest();
  const at = digest.at(-1)! & 15;
  return String((digest.readUInt32BE(at) & 0x7fff_ffff) % 1_000_000).padStart(6, '0');
}

/** As somebody does who has no mouse: to the element by Tab, however far it is. */
async function tabTo(
  page: Page,
  role: 'button' | 'link' | 'textbox' | 'checkbox',
  name: string,
): Promise<void> {
  const wanted = page.getByRole(role, { name, exact: true }).first();
  await wanted.waitFor();
  for (let i = 0; i < 60; i++) {
    if (await wanted.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`the Tab key does not lead to ${role} ${name}`);
}

async function typeInto(page: Page, name: string, text: string): Promise<void> {
  await tabTo(page, 'textbox', name);
  await page.keyboard.type(text);
}

async function signIn(page: Page, password: string): Promise<void> {
  await page.getByRole('textbox', { name: 'E-mail address' }).fill(owner.email);
  await page.getByRole('textbox', { name: 'Password' }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

test('a set-up link makes the first account, and works once', async () => {
  const link = /https?:\S+#\S+/.exec(await runKymo(['link', '--data', dataDir]))![0];
  office = await newPage();
  await office.goto(link);
  await office.getByRole('heading', { name: 'The first account' }).waitFor();
  expect(office.url()).not.toContain('#');
  expect(await violations(office)).toEqual([]);
  await office.getByRole('textbox', { name: 'E-mail address' }).fill(owner.email);
  await office.getByRole('textbox', { name: 'Your name' }).fill(owner.name);
  const password = office.getByRole('textbox', { name: 'New password' });
  await password.fill('short');
  await office.getByRole('button', { name: 'Make the account' }).click();
  await office.getByText('Too short: at least 10 characters').waitFor();
  await password.fill(PASSWORD);
  await office.getByRole('button', { name: 'Make the account' }).click();
  await office.getByRole('link', { name: 'Account' }).click();
  await office.getByText(owner.email).waitFor();
  const again = await newPage();
  await again.goto(link);
  await again.getByRole('textbox', { name: 'E-mail address' }).fill('other@clinic.example');
  await again.getByRole('textbox', { name: 'Your name' }).fill('Other');
  await again.getByRole('textbox', { name: 'New password' }).fill(PASSWORD);
  await again.getByRole('button', { name: 'Make the account' }).click();
  await again.getByRole('alert').filter({ hasText: /\S/ }).waitFor();
  await again.context().close();
});

test('a person signs in by keyboard alone, and a wrong password is said', async () => {
  await office.getByRole('button', { name: 'Sign out' }).click();
  await office.getByRole('heading', { name: 'Sign in' }).waitFor();
  expect(await violations(office)).toEqual([]);
  await typeInto(office, 'E-mail address', owner.email);
  await typeInto(office, 'Password', 'not the password');
  await office.keyboard.press('Enter');
  await office.getByRole('alert').filter({ hasText: /\S/ }).waitFor();
  await tabTo(office, 'textbox', 'Password');
  await office.keyboard.press('Control+A');
  await office.keyboard.type(PASSWORD);
  await tabTo(office, 'button', 'Sign in');
  await office.keyboard.press('Enter');
  await office.getByRole('heading', { name: 'Account' }).waitFor();
});

test('the second step is turned on with an authenticator, and asked for from then on', async () => {
  await office.getByRole('textbox', { name: 'Password, to turn it on' }).fill(PASSWORD);
  await office.getByRole('button', { name: 'Turn it on' }).click();
  const secret = await office.locator('.command code').first().innerText();
  await office.getByRole('textbox', { name: 'Code' }).fill(totp(secret, 0));
  await office.getByRole('button', { name: 'Confirm' }).click();
  await office.getByText('Keep these back-up codes').waitFor();
  await office.getByText('On. ').waitFor();
  expect(await violations(office)).toEqual([]);
  await office.getByRole('button', { name: 'Sign out' }).click();
  await signIn(office, PASSWORD);
  const code = office.getByRole('textbox', { name: 'Code' });
  await code.fill('000000');
  await office.getByRole('button', { name: 'Go on' }).click();
  await office.getByRole('alert').filter({ hasText: /\S/ }).waitFor();
  // The step that confirmed it is spent; the next one is already good.
  await code.fill(totp(secret, 1));
  await office.getByRole('button', { name: 'Go on' }).click();
  await office.getByRole('heading', { name: 'Account' }).waitFor();
});

test('an invitation brings a colleague in, with no more than their role', async () => {
  await office.getByRole('link', { name: 'People' }).click();
  await office.getByRole('button', { name: 'Invite somebody' }).click();
  await office.getByRole('textbox', { name: 'E-mail address' }).fill(clinician.email);
  await office.getByRole('button', { name: 'Invite', exact: true }).click();
  const link = await office.getByRole('dialog').locator('.command code').innerText();
  room = await newPage();
  await room.goto(link);
  await room.getByText(`with the address ${clinician.email}`).waitFor();
  expect(await violations(room)).toEqual([]);
  await room.getByRole('textbox', { name: 'Your name' }).fill(clinician.name);
  await room.getByRole('textbox', { name: 'Password' }).fill(PASSWORD);
  await room.getByRole('button', { name: 'Join' }).click();
  const places = room.getByRole('navigation', { name: 'Parts of Kymo' });
  await places.getByRole('link', { name: 'Patients' }).waitFor();
  expect(await places.getByRole('link').allInnerTexts()).toEqual([
    'Sessions',
    'Patients',
    'Protocols',
    'Jobs',
    'Devices',
    'Account',
  ]);
  await room.goto(`${origin}/audit`);
  await room.getByText('You may not see that').waitFor();
});

test('a patient is created by keyboard alone', async () => {
  await room.goto(`${origin}/patients`);
  await tabTo(room, 'button', 'New patient');
  await room.keyboard.press('Enter');
  await typeInto(room, 'Code optional', 'P-001');
  await typeInto(room, 'Diagnosis optional', 'Stroke');
  await tabTo(room, 'checkbox', 'Care');
  await room.keyboard.press('Space');
  expect(await violations(room)).toEqual([]);
  await tabTo(room, 'button', 'Create the patient');
  await room.keyboard.press('Enter');
  await room.getByRole('heading', { name: 'Patients P-001' }).waitFor();
  await room.getByText('No session yet').waitFor();
  await room.getByRole('link', { name: 'Consent and identity' }).click();
  await room.getByRole('button', { name: 'Grant: Recording of movement' }).click();
  await room.getByRole('button', { name: 'Write it down' }).click();
  await room.getByRole('button', { name: 'Withdraw: Recording of movement' }).waitFor();
});

test('a session is planned, recorded with assigned sensors, watched, annotated, ended and reported', async () => {
  const sensors = await connectSensors();
  const [left, right, busy] = sensors.names;
  await room.getByRole('button', { name: 'Plan a session' }).click();
  await room.getByRole('textbox', { name: 'Label' }).fill('walk-1');
  await room.getByRole('button', { name: 'Plan the session' }).click();
  await room.waitForURL(/\/sessions\//);
  const another = room.getByRole('button', { name: 'Another sensor' });
  const assign = room.getByRole('button', { name: 'Assign', exact: true });
  const place = async (number: number, segment: string, device: string): Promise<void> => {
    await room.getByRole('combobox', { name: `Place ${number} on the body` }).selectOption(segment);
    const words = segment === 'left-foot' ? 'Left foot' : 'Right foot';
    await room.getByRole('combobox', { name: `Sensor on ${words}` }).selectOption({ label: device });
  };
  // One that records elsewhere is refused, and says where.
  await another.click();
  await place(1, 'left-foot', busy);
  await assign.click();
  await room
    .getByRole('alert')
    .filter({ hasText: /in use|records|another session/i })
    .waitFor();
  // One whose name says the other side is taken, and flagged.
  await place(1, 'left-foot', right);
  await assign.click();
  await room.locator('.visit-warnings [data-code="other-side"]').waitFor();
  await place(1, 'left-foot', left);
  await assign.click();
  await room.locator('.visit-warnings').waitFor({ state: 'detached' });
  await another.click();
  await place(2, 'right-foot', right);
  await assign.click();
  await expect.poll(() => assign.isDisabled(), WAIT).toBe(true);
  expect(await violations(room)).toEqual([]);
  await room.screenshot({ path: 'test-results/clinic-planned.png', fullPage: true });

  await room.getByRole('button', { name: 'Start', exact: true }).click();
  await room
    .getByRole('heading', { name: 'Left foot' })
    .or(room.locator('.trace-card').first())
    .first()
    .waitFor(WAIT);
  await expect
    .poll(async () => (await room.evaluate(() => window.kymoInspect())).streams.length, WAIT)
    .toBe(2);
  await room.getByRole('textbox', { name: 'Text' }).fill('Turned without a pause');
  await room.getByRole('button', { name: 'Annotate' }).click();
  await room.locator('.annotation-list').getByText('Turned without a pause').waitFor();
  // Long enough for a report to have figures in it.
  await expect.poll(() => room.locator('.stride-strip li').count(), { timeout: 25_000 }).toBeGreaterThan(3);
  await room.screenshot({ path: 'test-results/clinic-live.png', fullPage: true });
  await room.getByRole('button', { name: 'Stop', exact: true }).click();
  await room.getByText('This session has ended').waitFor(WAIT);
  const endedAtMs = performance.now();
  await room.getByRole('button', { name: 'Show the recording' }).click();
  await room.getByRole('button', { name: 'Make the report' }).click();
  const open = room.getByRole('link', { name: 'Open the report' });
  await open.waitFor({ timeout: 10_000 });
  expect(performance.now() - endedAtMs).toBeLessThan(10_000);
  const file = await room.request.get(`${origin}${await open.getAttribute('href')}`);
  expect(file.headers()['content-type']).toBe('application/pdf');
  expect((await file.body()).subarray(0, 5).toString()).toBe('%PDF-');
  expect(await violations(room)).toEqual([]);
  await room.screenshot({ path: 'test-results/clinic-review.png', fullPage: true });
  for (const sensor of sensors.all) await sensor.close();
});

/** Two sensors with sides in their names, and one that records something else at the moment. */
async function connectSensors(): Promise<{ names: [string, string, string]; all: WalkingSensor[] }> {
  const names: [string, string, string] = ['Left foot sensor', 'Right foot sensor', 'Busy sensor'];
  const connect = async (name: string, foot: 'left-foot' | 'right-foot'): Promise<WalkingSensor> => {
    const { key } = await http.createDevice(name);
    return connectWalkingSensor({ url: origin, key, foot });
  };
  const left = await connect(names[0], 'left-foot');
  const right = await connect(names[1], 'right-foot');
  const busy = await connect(names[2], 'left-foot');
  const session = busy.walk();
  await expect
    .poll(async () => (await http.session(session).catch(() => null))?.streams.length ?? 0, WAIT)
    .toBe(1);
  return { names, all: [left, right, busy] };
}

const pages = ['/', '/patients', '/protocols', '/jobs', '/devices', '/people', '/audit', '/account'];
const parts = ['', '?part=progress', '?part=notes', '?part=goals', '?part=consent'];

test.each(['list', 'patient'] as const)(
  'every %s page is accessible in both colour schemes',
  async (kind) => {
    await office.goto(`${origin}/patients`);
    const patient = await office.getByRole('link', { name: 'P-001' }).getAttribute('href');
    const paths = kind === 'list' ? pages : parts.map((part) => `${patient}${part}`);
    const found: Record<string, string[]> = {};
    for (const path of paths) {
      await office.goto(`${origin}${path}`);
      await office.locator('main :is(h1, h2)').first().waitFor();
      found[`${path}, dark`] = await violations(office);
      await office.getByRole('button', { name: 'Use light colours' }).click();
      // Colours are all that differ.
      found[`${path}, light`] = await violations(office, ['color-contrast']);
      await office.getByRole('button', { name: 'Use dark colours' }).click();
    }
    expect(Object.entries(found).filter(([, wrong]) => wrong.length > 0)).toEqual([]);
    expect(problems).toEqual([]);
  },
);
