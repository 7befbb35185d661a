/**
 * Owns a real Chromium that watches one live session as a clinician does, and collects what the page itself measures: of
 * every frame, from sending to receipt in the browser (handler) and to the drawn picture (pixel).
 */

import { setTimeout as sleep } from 'node:timers/promises';

import type { Page } from 'playwright-core';

import { AppError } from '#base/errors.ts';
import { createLatencyHistogram, type LatencyHistogram } from '#bench/support/latency-histogram.ts';
import type { RunScope } from '#bench/support/run-scope.ts';
import { launchBrowser } from '#test/support/browser.ts';
import type { LiveInspection } from '#web/live/worker-messages.ts';

/** Half of what the page keeps, so that none is missed. */
const COLLECT_MS = 4_000;
const OPEN_MS = 60_000;
const LOOK_MS = 100;

export interface PageFigures {
  readonly handler: LatencyHistogram;
  readonly pixel: LatencyHistogram;
  readonly frames: number;
  /** Drawn frames a second, mean over the run. */
  readonly fps: number;
  /** Tasks of the page's main thread over 50 ms (W3C Long Tasks), a minute. */
  readonly longTasks: number;
  /** How far the sweep runs behind the present, at the end. */
  readonly delayMs: number;
}

export interface WatchedPage {
  measure(seconds: number): Promise<PageFigures>;
  screenshot(path: string): Promise<void>;
  close(): Promise<void>;
}

export async function watchPage(
  scope: RunScope,
  { origin, key, session }: { readonly origin: string; readonly key: string; readonly session: string },
): Promise<WatchedPage> {
  const browser = await launchBrowser();
  scope.defer('Chromium', () => browser.close());
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await page.addInitScript(() => {
    const seen = globalThis as unknown as { benchLongTasks: number };
    seen.benchLongTasks = 0;
    new PerformanceObserver((list) => (seen.benchLongTasks += list.getEntries().length)).observe({
      type: 'longtask',
    });
  });
  await page.goto(`${origin}/sessions/${session}#key=${key}`);
  await untilDrawn(page);
  return {
    measure: (seconds) => measure(page, seconds),
    screenshot: async (path) => void (await page.screenshot({ path })),
    close: () => browser.close(),
  };
}

async function untilDrawn(page: Page): Promise<void> {
  const endMs = performance.now() + OPEN_MS;
  await page.waitForFunction(() => 'kymoInspect' in window, undefined, { timeout: OPEN_MS });
  while (!(await inspect(page)).streams.some((stream) => stream.recentLatency.length > 0)) {
    if (performance.now() > endMs) throw new AppError('internal', 'the page drew nothing');
    await sleep(LOOK_MS);
  }
}

async function measure(page: Page, seconds: number): Promise<PageFigures> {
  const handler = createLatencyHistogram();
  const pixel = createLatencyHistogram();
  const newestMs = new Map<string, number>();
  let frames = 0;
  let fpsSum = 0;
  let looks = 0;
  const collect = (inspection: LiveInspection, counts: boolean): void => {
    for (const { stream, recentLatency } of inspection.streams) {
      const after = newestMs.get(stream) ?? Number.NEGATIVE_INFINITY;
      for (const sample of recentLatency) {
        if (sample.atMs <= after) continue;
        newestMs.set(stream, sample.atMs);
        if (!counts || Number.isNaN(sample.pixel)) continue;
        handler.record(sample.handler * 1000);
        pixel.record(sample.pixel * 1000);
        frames++;
      }
    }
  };
  // What was drawn before belongs to the warm-up.
  collect(await inspect(page), false);
  const longTasksBefore = await longTasks(page);
  let last: LiveInspection | null = null;
  const endMs = performance.now() + seconds * 1000;
  while (performance.now() < endMs) {
    await sleep(Math.min(COLLECT_MS, Math.max(0, endMs - performance.now())));
    last = await inspect(page);
    collect(last, true);
    fpsSum += last.fps;
    looks++;
  }
  if (last === null || frames === 0)
    throw new AppError('internal', 'the page drew no frame whose way from the device is known');
  return {
    handler,
    pixel,
    frames,
    fps: fpsSum / looks,
    longTasks: (((await longTasks(page)) - longTasksBefore) / seconds) * 60,
    delayMs: last.delayMs,
  };
}

function inspect(page: Page): Promise<LiveInspection> {
  return page.evaluate(() => window.kymoInspect());
}

function longTasks(page: Page): Promise<number> {
  return page.evaluate(() => (globalThis as unknown as { benchLongTasks: number }).benchLongTasks);
}
