/**
 * Owns what long commands say while they work: on a terminal a bar with share, amount, rate and the time that is left,
 * redrawn a few times a second; for machines a JSON object a line; elsewhere finished steps only.
 */

import type { Clock } from '#base/clock.ts';
import { printProgress, printStep } from '#app/terminal.ts';

const REDRAW_MS = 200;
/** Before, a rate says little. */
const RATE_AFTER_MS = 1_000;

export interface Work {
  readonly bytes: number;
  readonly ofBytes: number;
  readonly rows?: number;
  readonly table?: string;
}

export interface WorkProgress {
  /** How far the step `name` is. The first call begins it. */
  update(name: string, work: Work): void;
  /** Ends the running step; `text` says what came of it. */
  finished(text: string, facts?: Readonly<Record<string, unknown>>): void;
  /** More about it, for people only: machines have the facts. */
  detail(lines: readonly string[]): void;
}

export function createWorkProgress(clock: Clock, isJson: boolean): WorkProgress {
  let stepName = '';
  let sinceMs = clock.monotonicMs();
  let drawnMs = Number.NEGATIVE_INFINITY;
  let isDrawn = false;
  const say = (value: unknown): void => console.log(JSON.stringify(value));
  return {
    update(name, work) {
      const nowMs = clock.monotonicMs();
      if (name !== stepName) {
        stepName = name;
        sinceMs = nowMs;
        drawnMs = Number.NEGATIVE_INFINITY;
      }
      if (nowMs - drawnMs < (isJson ? RATE_AFTER_MS : REDRAW_MS)) return;
      drawnMs = nowMs;
      if (isJson) return say({ event: 'progress', step: name, ...work });
      isDrawn = true;
      const of = Math.max(1, work.ofBytes, work.bytes);
      printProgress({ done: work.bytes, of, text: `${name}: ${describe(work, nowMs - sinceMs)}` });
    },
    finished(text, facts = {}) {
      const elapsedMs = clock.monotonicMs() - sinceMs;
      if (isDrawn && process.stdout.isTTY) process.stdout.write('\r\u001b[K');
      isDrawn = false;
      if (isJson) say({ event: 'step', step: text, seconds: elapsedMs / 1000, ...facts });
      else printStep(text, elapsedMs);
      stepName = '';
      sinceMs = clock.monotonicMs();
    },
    detail(lines) {
      if (!isJson) for (const line of lines) console.log(`  ${line}`);
    },
  };
}

function describe({ bytes, ofBytes, rows }: Work, elapsedMs: number): string {
  const parts = [`${formatBytes(bytes)} of ${formatBytes(Math.max(ofBytes, bytes))}`];
  if (rows !== undefined) parts.push(`${formatCount(rows)} rows`);
  if (elapsedMs >= RATE_AFTER_MS && bytes > 0) {
    const bytesPerS = (bytes / elapsedMs) * 1000;
    parts.push(`${formatBytes(bytesPerS)}/s`);
    if (ofBytes > bytes) parts.push(`${formatSpan((ofBytes - bytes) / bytesPerS)} left`);
  }
  return parts.join(', ');
}

export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** Decimal units, as disks have them: `1.4 GB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]!}`;
}

/** `0:07`, `12:30`, `1:02:03`. */
export function formatSpan(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (n: number): string => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
