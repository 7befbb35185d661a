/** The report of a session as those see it who get it: read back by another program, and drawn as a picture. */

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { intendedUse } from '#contract/report.ts';
import { renderSessionReport } from '#jobs/report/render-session-report.ts';
import { createTemporaryDirectory, type TemporaryDirectory } from '#test/support/temporary-directory.ts';
import { walkReport } from '#test/support/walk-report.ts';

let directory: TemporaryDirectory;
let file: string;
let pdf: Uint8Array;
const report = walkReport();

beforeAll(async () => {
  directory = createTemporaryDirectory();
  file = path.join(directory.path, 'report.pdf');
  pdf = await renderSessionReport(report);
  writeFileSync(file, pdf);
});
afterAll(() => directory.remove());

const run = (command: string, ...args: string[]): string => execFileSync(command, args, { encoding: 'utf8' });
const textOf = (...args: string[]): string => run('pdftotext', '-layout', ...args, file, '-');

test('a reader finds the figures of both sides, their spread, the usual range and the known error', () => {
  const text = textOf('-f', '1', '-l', '1');
  const line = (start: string): string[] =>
    text
      .split('\n')
      .find((one) => one.startsWith(start))!
      .split(/ {2,}/);
  const speed = report.gait.find(({ metric }) => metric === 'speed')!;
  const shown = (side: 'left' | 'right' | 'both'): string =>
    `${speed[side]!.value!.toFixed(2)} ± ${speed[side]!.spread!.toFixed(2)}`;
  expect(line('Walking speed')).toEqual([
    'Walking speed, m/s',
    shown('left'),
    shown('right'),
    shown('both'),
    `${speed.norm!.low.toFixed(2)} to ${speed.norm!.high.toFixed(2)}`,
    '± 0.01',
  ]);
  expect(line('Step length')[1]).toBe('–');
  expect(text).toContain('healthy women of 60 to 69 years');
});

test('it says whom and what it is about by codes, how it was made, and on every page what it is not for', () => {
  const text = textOf();
  const info = run('pdfinfo', file);
  const pages = Number(/Pages:\s+(\d+)/.exec(info)![1]);
  expect(pages).toBeLessThan(6);
  expect(
    text
      .split('\f')
      .slice(0, pages)
      .every((page) => page.includes(intendedUse)),
  ).toBe(true);
  expect(text).toContain(`Page ${pages} of ${pages}`);
  expect(text).toContain('P-0042');
  expect(text).toContain('Algorithm motion, version 1; body model revision 2; readings at revision 412');
  expect(text).toContain('Synthetic: these readings were made by a computer, nobody walked.');
  expect(text).toMatch(/left foot +200 Hz +12.000 +120 +0 +1.0 % +1/);
  expect(info).toMatch(/Title: +Gait report, P-0042/);
  expect(info).toMatch(/Tagged: +yes/);
  const structure = run('pdfinfo', '-struct-text', file);
  for (const element of ['H1', 'H2', 'Table', 'TH', 'TD', 'Figure'])
    expect(structure).toMatch(new RegExp(`^ +${element}\\b`, 'm'));
});

test('the same report gives the same bytes', async () => {
  expect(Buffer.from(await renderSessionReport(report)).equals(Buffer.from(pdf))).toBe(true);
});

test('a picture of it has the colours of both sides, and nothing leaves the page', () => {
  run('pdftoppm', '-r', '60', file, path.join(directory.path, 'page'));
  const { width, height, pixels } = readPicture(path.join(directory.path, 'page-2.ppm'));
  const near = (at: number, color: readonly [number, number, number]): boolean =>
    color.every((value, k) => Math.abs(pixels[at + k]! - value) < 40);
  let [left, right, outside] = [0, 0, 0];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = 3 * (y * width + x);
      if (near(at, [0xd5, 0x5e, 0x00])) left++;
      if (near(at, [0x00, 0x72, 0xb2])) right++;
      const isMargin = x < 0.06 * width || x > 0.945 * width;
      if (isMargin && pixels[at]! < 200) outside++;
    }
  expect(left).toBeGreaterThan(1_000);
  expect(right).toBeGreaterThan(500);
  expect(outside).toBe(0);
});

test('nobody walked: the report says so and has no table of gait', async () => {
  const empty = walkReport({ worn: ['pelvis'], seconds: 5 });
  const bare = { ...empty, gait: [], symmetry: [], variability: [], angles: [], trends: [], patient: null };
  writeFileSync(file, await renderSessionReport({ ...bare, provisional: null }));
  const text = textOf();
  expect(text).toContain('No figures of gait: nobody walked.');
  expect(text).toContain('bound to no patient');
  expect(text).not.toContain('Usual range');
});

/** A binary portable pixmap: `P6 width height 255` and three bytes a pixel. */
function readPicture(name: string): { width: number; height: number; pixels: Buffer } {
  const bytes = readFileSync(name);
  const [head, width, height] = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(bytes.toString('latin1', 0, 40))!;
  return { width: Number(width), height: Number(height), pixels: bytes.subarray(head.length) };
}
