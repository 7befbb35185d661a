/**
 * The review page as a person meets it: a real server and database, a recording sent by a device, and Chromium. What is
 * drawn is compared with what was sent, down to single readings.
 */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import type { ReviewInspection } from '#web/review/review-inspection.ts';
import { violations } from '#test/support/accessibility.ts';
import { launchBrowser } from '#test/support/browser.ts';
import { freePort, runKymo, startKymo } from '#test/support/kymo-process.ts';
import {
  AXES,
  LOST,
  PEAK,
  RATE_HZ,
  sendRecording,
  timeOf,
  type SentRecording,
} from '#test/support/sent-recording.ts';

const endings: (() => Promise<unknown>)[] = [];
const problems: string[] = [];
let origin: string;
let address: string;
let sent: SentRecording;
let page: Page;

beforeAll(async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'kymo-e2e-'));
  endings.push(() => rm(dataDir, { recursive: true, force: true }));
  const kymo = await startKymo({ dataDir, port: await freePort() });
  endings.push(() => kymo.signal('SIGTERM'));
  address = kymo.address;
  origin = `http://127.0.0.1:${kymo.port}`;
  const key = await runKymo(['device', 'add', 'review', '--data', dataDir]);
  const startUs = (Math.floor(Date.now() / 1000) - 600) * 1_000_000;
  sent = await sendRecording({ url: origin, key, label: 'review-walk', startUs });
  const browser = await launchBrowser();
  endings.push(() => browser.close());
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  page = await context.newPage();
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  await page.goto(address);
  await page.getByRole('link', { name: 'review-walk' }).waitFor();
});

afterAll(async () => {
  for (const end of endings.toReversed()) await end();
});

beforeEach(() => {
  problems.length = 0;
});

async function inspect(): Promise<ReviewInspection> {
  const inspection = await page.evaluate(() => window.kymoInspectReview());
  if (inspection === null) throw new Error('no review page is shown');
  return inspection;
}

/** When all of what is on the screen has come. (The page's policy forbids `waitForFunction`, which evaluates text.) */
async function settled(): Promise<ReviewInspection> {
  await expect
    .poll(
      () =>
        page.evaluate(() => {
          const review = window.kymoInspectReview();
          return review !== null && review.range !== null && !review.isLoading;
        }),
      { timeout: 20_000 },
    )
    .toBe(true);
  return inspect();
}

/** Opens the recording; seconds from its start, or all of it. */
async function open(fromS?: number, toS?: number): Promise<ReviewInspection> {
  const range =
    fromS === undefined || toS === undefined
      ? ''
      : `?from=${sent.startUs + fromS * 1e6}&to=${sent.startUs + toS * 1e6}`;
  await page.mouse.move(2, 2);
  await page.goto(`${origin}/sessions/${sent.session}${range}`);
  return settled();
}

const foot = (inspection: ReviewInspection, segment: string) => {
  const found = inspection.streams.find((stream) => stream.segment === segment);
  if (found === undefined) throw new Error(`${segment} is not shown`);
  return found;
};

/** What an input changed is drawn within a frame or two, or later on a machine that has other work. */
const soon = { timeout: 10_000 };

const secondsShown = ({ range }: ReviewInspection): [number, number] => [
  (range!.fromUs - sent.startUs) / 1e6,
  (range!.toUs - sent.startUs) / 1e6,
];

/** Colours of a column of a stream's canvas, around a row; `x` and `y` in device pixels of the canvas. */
async function pixelsAround(segment: string, x: number, y: number): Promise<number[][]> {
  const name = segment === 'left-foot' ? 'Left foot' : 'Right foot';
  return page
    .getByRole('region', { name })
    .locator('canvas')
    .evaluate(
      (canvas, [atX, atY]) => {
        const context = (canvas as HTMLCanvasElement).getContext('2d')!;
        const { data } = context.getImageData(atX - 1, atY - 1, 3, 3);
        return Array.from({ length: 9 }, (_, i) => Array.from(data.subarray(i * 4, i * 4 + 3)));
      },
      [Math.round(x), Math.round(y)] as const,
    );
}

test('close up, what is drawn are the readings that were sent, at their times', async () => {
  const inspection = await open(25, 25.5);
  for (const [segment, file] of [
    ['left-foot', sent.left],
    ['right-foot', sent.right],
  ] as const) {
    const { columns } = foot(inspection, segment);
    expect(columns.length).toBeGreaterThan(95);
    const first = Math.ceil(25 * RATE_HZ);
    columns.forEach((column, i) => {
      const row = Array.from(file.subarray((first + i) * AXES, (first + i + 1) * AXES));
      expect({ ...column, startUs: 0 }).toEqual({ startUs: 0, count: 1, min: row, max: row });
      // Times within a frame are its first one's and a period in whole nanoseconds.
      expect(Math.abs(column.startUs - timeOf(sent, first + i))).toBeLessThanOrEqual(1);
    });
  }
  expect(problems).toEqual([]);
});

test('the whole recording counts every reading once', async () => {
  const inspection = await open();
  const counted = (segment: string): number =>
    foot(inspection, segment).columns.reduce((sum, { count }) => sum + count, 0);
  expect(counted('left-foot')).toBe(sent.left.length / AXES - LOST.count);
  expect(counted('right-foot')).toBe(sent.right.length / AXES);
});

test('a peak of a single reading is seen at every zoom', async () => {
  const peakS = (timeOf(sent, PEAK.at) - sent.startUs) / 1e6;
  for (const spanS of [null, 20, 5, 1, 0.2]) {
    const inspection = await (spanS === null ? open() : open(peakS - spanS / 2, peakS + spanS / 2));
    const { panels } = foot(inspection, 'left-foot');
    const { plot, low, high } = panels.at(0)!;
    const [fromS, toS] = secondsShown(inspection);
    const x = plot.x + ((peakS - fromS) / (toS - fromS)) * plot.width;
    // A little below its very tip.
    const y = plot.y + 1 + ((high - (PEAK.value - 4)) / (high - low)) * (plot.height - 2) + 1;
    const colours = await pixelsAround('left-foot', x, y);
    // Vermilion over the dark ground: clearly more red than blue.
    expect(Math.max(...colours.map(([red = 0, , blue = 0]) => red - blue)), `${spanS} s`).toBeGreaterThan(25);
  }
});

test('a lost stretch is hatched and says why, and no line leads over it', async () => {
  const lostFromS = LOST.from / RATE_HZ;
  const inspection = await open(lostFromS - 1, lostFromS + 3);
  const { panels, columns, gaps } = foot(inspection, 'left-foot');
  expect(gaps).toBeGreaterThan(0);
  const missing = columns.filter(
    ({ startUs }) => startUs >= timeOf(sent, LOST.from) && startUs < timeOf(sent, LOST.from + LOST.count),
  );
  expect(missing).toEqual([]);
  const { plot } = panels.at(0)!;
  const middle = plot.x + ((1 + LOST.count / RATE_HZ / 2) / 4) * plot.width;
  const pixels = (
    await Promise.all([0, 4, 8].map((dy) => pixelsAround('left-foot', middle, plot.y + 12 + dy)))
  ).flat();
  // Amber hatch lines on the ground, and no vermilion.
  expect(pixels.some(([red = 0, green = 0]) => red > 80 && green > 60)).toBe(true);
  const box = (await page.getByRole('region', { name: 'Left foot' }).locator('canvas').boundingBox())!;
  await page.mouse.move(box.x + middle, box.y + plot.y + 20);
  await page
    .getByRole('region', { name: 'Left foot' })
    .getByText('300 readings: the sensor failed')
    .waitFor();
});

test('the wheel zooms at the pointer, a drag pans, double click zooms in', async () => {
  await open();
  const box = (await page.getByRole('region', { name: 'Right foot' }).locator('canvas').boundingBox())!;
  const { plot } = foot(await inspect(), 'right-foot').panels.at(0)!;
  const x = box.x + plot.x + plot.width * 0.25;
  const y = box.y + plot.y + 30;
  await page.mouse.move(x, y);
  const [, wholeS] = secondsShown(await inspect());
  for (let i = 0; i < 6; i++) await page.mouse.wheel(0, -100);
  await expect.poll(async () => secondsShown(await inspect())[1], soon).toBeLessThan(wholeS * 0.5);
  const [fromS, toS] = secondsShown(await settled());
  expect(fromS + (toS - fromS) * 0.25).toBeCloseTo(wholeS * 0.25, 1);

  await page.mouse.down();
  await page.mouse.move(x + plot.width / 10, y, { steps: 5 });
  await page.mouse.up();
  const [panFromS, panToS] = secondsShown(await settled());
  expect(panToS - panFromS).toBeCloseTo(toS - fromS, 6);
  expect(fromS - panFromS).toBeCloseTo((toS - fromS) / 10, 1);

  await page.mouse.dblclick(x, y);
  await expect
    .poll(async () => {
      const [a, b] = secondsShown(await inspect());
      return (b - a) / (toS - fromS);
    }, soon)
    .toBeCloseTo(0.25, 5);

  // Beside the plots the wheel is the page's.
  const before = secondsShown(await settled());
  await page.mouse.move(box.x + 10, y);
  await page.mouse.wheel(0, 100);
  expect(secondsShown(await settled())).toEqual(before);
});

test('keys move, zoom and read; the address follows and restores the view', async () => {
  const [, wholeS] = secondsShown(await open());
  await page.keyboard.press('+');
  await page.keyboard.press('+');
  const [fromS, toS] = secondsShown(await settled());
  expect(toS - fromS).toBeCloseTo(wholeS / 4, 5);
  await page.keyboard.press('ArrowRight');
  expect(secondsShown(await settled())[0]).toBeCloseTo(fromS + (toS - fromS) / 10, 5);
  await page.keyboard.press('Home');
  expect(secondsShown(await settled())[0]).toBe(0);
  await page.keyboard.press('End');
  expect(secondsShown(await settled())[1]).toBeCloseTo(wholeS, 5);
  for (let i = 0; i < 5; i++) await page.keyboard.press('+');

  const shown = secondsShown(await settled());
  await page.waitForURL(/from=\d+&to=\d+/);
  await expect
    .poll(() => Number(new URL(page.url()).searchParams.get('from')) / 1e6 - sent.startUs / 1e6, soon)
    .toBeCloseTo(shown[0], 4);
  await page.reload();
  const restored = secondsShown(await settled());
  expect(restored[0]).toBeCloseTo(shown[0], 5);
  expect(restored[1]).toBeCloseTo(shown[1], 5);

  // The crosshair goes from reading to reading and names them.
  await page.keyboard.press('.');
  const number = page.getByText(/^reading [\d,]+ at /).first();
  await number.waitFor();
  const first = await number.textContent();
  await page.keyboard.press('.');
  await expect.poll(() => number.textContent(), soon).not.toBe(first);
  await page.keyboard.press('Escape');
  await expect.poll(() => number.count(), soon).toBe(0);

  await page.keyboard.press('0');
  expect(secondsShown(await settled())).toEqual([0, wholeS]);
  await expect.poll(() => new URL(page.url()).search, soon).toBe('');
});

test('the window of the overview is dragged, and moved by keys', async () => {
  await open(10, 20);
  const window = page.getByRole('slider', { name: 'Middle of what is shown' });
  const box = (await window.boundingBox())!;
  await page.mouse.move(box.x + box.width / 2, box.y + 10);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width, box.y + 10, { steps: 4 });
  await page.mouse.up();
  const [fromS, toS] = secondsShown(await settled());
  expect(toS - fromS).toBeCloseTo(10, 5);
  expect(fromS).toBeCloseTo(15, 0);
  await page.getByRole('slider', { name: 'End of what is shown' }).focus();
  await page.keyboard.press('ArrowRight');
  const [sameS, laterS] = secondsShown(await settled());
  expect(sameS).toBeCloseTo(fromS, 5);
  expect(laterS).toBeGreaterThan(toS);
});

test('the page is clean for axe in both colour schemes, also with help open', async () => {
  await open(10, 30);
  for (const colours of ['light', 'dark']) {
    await page.getByRole('button', { name: `Use ${colours} colours` }).click();
    await settled();
    expect(await violations(page), colours).toEqual([]);
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
    expect(await violations(page), `${colours}, help`).toEqual([]);
    await page.keyboard.press('Escape');
  }
  expect(problems).toEqual([]);
});

test('a stream is exported from the page, whole, and the page says so', async () => {
  await open();
  await page.getByRole('button', { name: 'Export' }).click();
  const started = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download Right foot as CSV' }).click();
  const download = await started;
  const text = await readFile(await download.path(), 'utf8');
  const rows = text.trimEnd().split(/\r?\n/);
  const readings = sent.right.length / AXES;
  expect(rows.length).toBe(1 + readings);
  const row = rows
    .at(1 + 4321)!
    .split(',')
    .map(Number);
  for (const value of sent.right.subarray(4321 * AXES, 4322 * AXES))
    expect(row.map(Math.fround)).toContain(value);
  await page.getByText(`${readings.toLocaleString('en-GB')} readings saved`).waitFor();
  expect(await violations(page)).toEqual([]);
  await page.getByRole('button', { name: 'Close' }).click();
  expect(problems).toEqual([]);
});

/** Work that stands beside a frame's: so much arithmetic takes about 10 ms of an idle machine. */
const REFERENCE_ROUNDS = 8_000_000;

/**
 * Milliseconds between animation frames while a script zooms in and out, sorted; and between frames of the same page in
 * which it does a fixed amount of arithmetic instead. Frames of both kinds alternate in short runs, so that other work
 * on the machine slows both.
 */
async function frameTimes(): Promise<{ zooming: number[]; reference: number[] }> {
  return page.evaluate(async (rounds) => {
    const plots = document.querySelector('.review-plots')!;
    const { left, width, top } = plots.getBoundingClientRect();
    const place = { clientX: left + width * 0.6, clientY: top + 40 };
    const times: Record<'zooming' | 'reference', number[]> = { zooming: [], reference: [] };
    let sum = 0;
    for (let run = 0; run < 8; run++) {
      const isZooming = run % 2 === 0;
      let lastMs = await new Promise<number>((resolve) => requestAnimationFrame(resolve));
      for (let i = 0; i < 20; i++) {
        const deltaY = run % 4 === 0 ? -60 : 60;
        if (isZooming)
          plots.dispatchEvent(new WheelEvent('wheel', { bubbles: true, cancelable: true, deltaY, ...place }));
        else for (let n = 0; n < rounds; n++) sum = (sum * 31 + n) | 0;
        const nowMs = await new Promise<number>((resolve) => requestAnimationFrame(resolve));
        // The first frame still ends what was before.
        if (i > 0) times[isZooming ? 'zooming' : 'reference'].push(nowMs - lastMs);
        lastMs = nowMs;
      }
    }
    const sorted = (list: number[]): number[] => list.toSorted((a, b) => a - b);
    return { zooming: sorted(times.zooming), reference: sorted(sum === 0.5 ? [] : times.reference) };
  }, REFERENCE_ROUNDS);
}

test('zooming draws a frame in the time of a little arithmetic', async () => {
  await open();
  const { zooming, reference } = await frameTimes();
  const at = (times: number[], share: number): number => times.at(Math.floor(times.length * share))!;
  console.info(
    `frames while zooming: median ${at(zooming, 0.5).toFixed(1)} ms, 95 of 100 below ${at(zooming, 0.95).toFixed(1)} ms;` +
      ` of the arithmetic: ${at(reference, 0.5).toFixed(1)} and ${at(reference, 0.95).toFixed(1)} ms`,
  );
  expect(at(zooming, 0.5)).toBeLessThan(4 * at(reference, 0.5));
});
