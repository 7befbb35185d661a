/**
 * Motion as a person meets it: the demo's recorded walk and its synthetic walker, recognised live by a real server, in
 * Chromium. What is drawn and written is compared with what the server told another subscriber and its REST routes.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

import type { LiveAngles, MotionAnalysis } from '#contract/motion.ts';
import type { SessionSummary } from '#contract/rest.ts';
import { createHttpClient, type HttpClient } from '#sdk/http-client.ts';
import type { LiveClient } from '#sdk/live-api.ts';
import { connectLive } from '#sdk/live-client.ts';
import { violations } from '#test/support/accessibility.ts';
import { launchBrowser } from '#test/support/browser.ts';
import { startKymo } from '#test/support/kymo-process.ts';
import { gaitFeedOf, type GaitMessage } from '#web/motion/gait-feed.ts';
import { liveFigures } from '#web/motion/live-figures.ts';
import { metricSections } from '#web/motion/metric-groups.ts';
import { withUnit, type MetricCell, type MetricRow } from '#web/motion/metric-rows.ts';
import { strideFigure } from '#web/motion/stride-words.ts';

const WAIT = { timeout: 30_000 };
const endings: (() => Promise<unknown>)[] = [];
const problems: string[] = [];
let browser: Browser;
let origin: string;
let adminKey: string;
let http: HttpClient;
let live: LiveClient;
let walk: SessionSummary;
let walker: SessionSummary;

beforeAll(async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'kymo-motion-'));
  endings.push(() => rm(dataDir, { recursive: true, force: true }));
  const kymo = await startKymo({ command: 'demo', dataDir, port: 0 });
  endings.push(() => kymo.signal('SIGTERM'));
  const address = new URL(kymo.address);
  origin = address.origin;
  adminKey = address.hash.replace(/^#(?:key=)?/, '');
  http = createHttpClient({ origin, key: () => adminKey });
  live = connectLive({ url: `${origin.replace('http', 'ws')}/v1/live`, token: () => adminKey });
  endings.push(async () => live.close());
  browser = await launchBrowser();
  endings.push(() => browser.close());
  const found = await vi.waitUntil(async () => {
    const { sessions } = await http.sessions(10, null);
    return sessions.length === 2 && sessions;
  }, WAIT);
  walk = found.find(({ synthetic }) => !synthetic)!;
  walker = found.find(({ synthetic }) => synthetic)!;
});

afterAll(async () => {
  for (const end of endings.toReversed()) await end();
});

async function visit(path: string, scheme: 'dark' | 'light', key = adminKey): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  await page.addInitScript((chosen) => localStorage.setItem('kymo-colour-scheme', chosen), scheme);
  await page.goto(`${origin}${path}#key=${key}`);
  return page;
}

const plain = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();

/** As a cell of a table of figures reads. */
function words(cell: MetricCell | null, unit: string): string | null {
  if (cell === null) return null;
  if (!cell.hasValue) return plain(`${cell.text} ${cell.meaning}`);
  return plain(`${withUnit(cell.text, unit)}${cell.error ?? ''}`);
}

/** Row by row of a table of figures: its cells but the name. */
function shownFigures(page: Page, selector: string): Promise<Record<string, string[]>> {
  return page.evaluate(
    (given) =>
      Object.fromEntries(
        [...document.querySelectorAll<HTMLTableRowElement>(`${given} tr[data-metric]`)].map((row) => [
          row.dataset['metric'] ?? '',
          [...row.querySelectorAll('td')].map((cell) => cell.textContent.replaceAll(/\s+/g, ' ').trim()),
        ]),
      ),
    selector,
  );
}

/** What the server has told on the gait channel. */
async function told(session: string) {
  const { messages } = await live.history(`session/${session}/gait`, { limit: 256 });
  return gaitFeedOf(messages as readonly GaitMessage[]);
}

test('live figures, strides and cycles of the recorded walk are those of the server', async () => {
  const page = await visit(`/sessions/${walk.id}`, 'dark');
  await expect.poll(async () => (await told(walk.id)).summary?.strides ?? 0, WAIT).toBeGreaterThan(6);
  // Held still, so that what is compared is one moment: all that it shows was told before.
  await page.getByRole('button', { name: 'Freeze' }).click();
  const strip = await page.locator('.stride-strip li').allInnerTexts();
  const figures = await shownFigures(page, '.motion-figures');
  const feed = await told(walk.id);
  const known = new Set(
    feed.strides.map((stride) =>
      plain(`${stride.side} ${strideFigure(stride, 'strideTimeS')} ${strideFigure(stride, 'strideLengthM')}`),
    ),
  );
  expect(strip.length).toBeGreaterThan(4);
  for (const text of strip) {
    const found = [/left|right/i, /\d\.\d\d\ss/, /\d\.\d\d\sm$/].map((part) =>
      plain(part.exec(plain(text))?.[0] ?? ''),
    );
    expect(known).toContain(found.join(' ').toLowerCase());
  }
  // One of the newest summaries, told before the others that came since.
  const { messages } = await live.history(`session/${walk.id}/gait`, { limit: 256 });
  const wanted = messages.flatMap((_, i) => {
    const { summary } = gaitFeedOf(messages.slice(0, i + 1) as readonly GaitMessage[]);
    return summary === null ? [] : [JSON.stringify(cellsOf(liveFigures(summary.metrics)))];
  });
  expect(wanted).toContain(JSON.stringify(figures));
  expect(figures['cadence']?.join()).toMatch(/^\d+ steps\/min/);
  const chart = page.getByRole('figure', { name: 'Foot pitch over the stride' });
  expect(await chart.locator('.cycle-side[data-side="left"] .cycle-mean').count()).toBe(1);
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: 'test-results/motion-walk.png' });
  await page.context().close();
});

/** As `shownFigures` reads them. */
function cellsOf(rows: readonly MetricRow[]): Record<string, string[]> {
  return Object.fromEntries(
    rows.map(({ metric, unit, both, left, right }) => {
      if (left === null && right === null) return [metric, [words(both, unit) ?? '']];
      const isSameReason =
        left !== null &&
        right !== null &&
        !left.hasValue &&
        !right.hasValue &&
        left.meaning === right.meaning;
      const cells = isSameReason ? [left] : [left, right];
      return [metric, cells.map((cell) => words(cell, unit) ?? '–')];
    }),
  );
}

test('hip, knee and ankle of the synthetic walker are drawn as they were told, and marked synthetic', async () => {
  const sent = new Map<number, (number | null)[]>();
  const following = live.subscribe(`session/${walker.id}/motion`, {
    onMessage({ data }) {
      const { firstUs, stepUs, rows } = data as LiveAngles;
      rows.forEach((row, i) => sent.set(firstUs + i * stepUs, row));
    },
  });
  const page = await visit(`/sessions/${walker.id}?angles=legs-sideways`, 'light');
  const seen = () => page.evaluate(() => window.kymoInspectMotion());
  await expect.poll(async () => (await seen())?.rows.length ?? 0, WAIT).toBeGreaterThan(60);
  const drawn = (await seen())!;
  following.unsubscribe();
  const shared = drawn.rows.filter(({ timeUs }) => sent.has(timeUs));
  expect(shared.length).toBeGreaterThan(30);
  for (const { timeUs, values } of shared)
    expect(values).toEqual(sent.get(timeUs)!.map((value) => (value === null ? null : Math.fround(value))));
  // The address chose the angles, and follows another choice.
  await page.getByRole('figure', { name: 'Hip adduction over the stride' }).waitFor();
  await page.getByRole('combobox', { name: 'Angles that are shown' }).selectOption('legs');
  await page.waitForURL(/angles=legs(?:&|$)/);
  expect(drawn.columns).toContain('left-knee-flexion');
  for (const joint of ['Hip flexion', 'Knee flexion', 'Ankle dorsiflexion'])
    await page
      .getByRole('figure', { name: `${joint} over the stride` })
      .locator('.cycle-mean')
      .first()
      .waitFor();
  await page.getByText('grey: adults').first().waitFor();
  await page.locator('.motion-head').getByText('synthetic').waitFor();
  await page.screenshot({ path: 'test-results/motion-walker.png' });
  await page.context().close();
});

test('the review has the figures, strides and contacts of the stored analysis', async () => {
  await expect
    .poll(async () => (await http.motion({ sessionId: walk.id, cycles: 40 })).strides.length, WAIT)
    .toBeGreaterThan(8);
  const page = await visit(`/sessions/${walk.id}?view=stored`, 'light');
  // The answer that the page shows, not one that came before or after it.
  const answer = await page.waitForResponse((response) => response.url().includes('/motion?'));
  const analysis = (await answer.json()) as MotionAnalysis;
  await page.getByRole('heading', { name: 'Gait cycles' }).waitFor();
  const figures = await shownFigures(page, '.figure-scroll');
  const rows = metricSections(analysis.metrics).flatMap((section) => section.rows);
  expect(Object.keys(figures)).toEqual(rows.map(({ metric }) => metric));
  const length = rows.find(({ metric }) => metric === 'stride-length')!;
  expect(figures['stride-length']?.slice(0, 2)).toEqual([
    words(length.left, length.unit),
    words(length.right, length.unit),
  ]);
  expect(await page.locator('.strides tbody tr').count()).toBe(Math.min(60, analysis.strides.length));
  expect(await page.getByTestId('contacts').innerText()).toContain(`${analysis.contacts.length} contacts`);
  await page.getByRole('button', { name: 'Length' }).press('Enter');
  await page.waitForURL(/strides=length/);
  const shortest = Math.min(...analysis.strides.map(({ strideLengthM }) => strideLengthM ?? Infinity));
  expect(plain(await page.locator('.strides tbody tr').first().innerText())).toContain(shortest.toFixed(2));
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: 'test-results/motion-review.png', fullPage: true });
  await page.context().close();
});

test('who wears what is edited by an administrator, with what is wrong said at its field', async () => {
  const page = await visit(`/sessions/${walker.id}`, 'dark');
  await page.getByRole('button', { name: 'Sensors and body' }).click();
  const height = page.getByRole('textbox', { name: 'Height of the wearer, cm' });
  await height.fill('17');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('A height from 40 to 260 cm, or nothing').waitFor();
  expect(await violations(page)).toEqual([]);
  const before = await http.bodyModel(walker.id);
  await height.fill('178');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Stored. The session is analysed again.').waitFor();
  const after = await http.bodyModel(walker.id);
  expect(after).toEqual({
    ...before,
    bodyModel: { ...before.bodyModel, heightM: 1.78 },
    revision: before.revision + 1,
    isDefault: false,
  });
  await page.context().close();
  const { key } = await http.demoSignIn();
  const reader = await visit(`/sessions/${walker.id}`, 'light', key);
  await reader.getByRole('button', { name: 'Sensors and body' }).click();
  await reader.getByText('This key may look but not change').waitFor();
  expect(await reader.getByRole('button', { name: 'Save' }).isDisabled()).toBe(true);
  expect(await reader.getByRole('textbox', { name: 'Height of the wearer, cm' }).inputValue()).toBe('178');
  expect(problems).toEqual([]);
  await reader.context().close();
});
