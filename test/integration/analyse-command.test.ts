/** `kymo analyse` as people run it: on a recording, on what `kymo export` wrote, and what it says when something is wrong. */

import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';

import { analyseCommand } from '#app/analyse-command.ts';
import { runKymo } from '#test/support/kymo-process.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kymo-analyse-'));
});
afterEach(() => void vi.restoreAllMocks());
afterAll(() => rm(folder, { recursive: true, force: true }));

/** As the command line does, without a process of its own. */
async function analyse(args: readonly string[]): Promise<string> {
  const said = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  said.mockClear();
  await analyseCommand.run(args);
  return said.mock.calls.flat().join('\n');
}

const recording = ['data/gaitmap', '--recording', 'healthy_2x20m'];

test('a recording becomes a table, JSON, CSV and plots, and is not written over', async () => {
  const out = join(folder, 'walk');
  const text = await runKymo(['analyse', ...recording, '--out', out]);
  expect(text).toMatch(/left foot, right foot, 38\.7 s/);
  expect(text).toMatch(/Stride length +1\.\d\d \(0\.\d\d\) +1\.\d\d \(0\.\d\d\)/);
  expect((await readdir(out)).toSorted()).toEqual([
    'analysis.json',
    'angles-foot-pitch.svg',
    'cycles.csv',
    'events.svg',
    'metrics.csv',
    'strides.csv',
    'strides.svg',
  ]);
  const analysis = JSON.parse(await readFile(join(out, 'analysis.json'), 'utf8')) as {
    strides: unknown[];
    metrics: { metric: string; unit: string }[];
  };
  const strides = (await readFile(join(out, 'strides.csv'), 'utf8')).trim().split('\r\n');
  expect(strides).toHaveLength(analysis.strides.length + 1);
  expect(analysis.metrics.find(({ metric }) => metric === 'speed')?.unit).toBe('m/s');
  const plot = await readFile(join(out, 'angles-foot-pitch.svg'), 'utf8');
  expect(plot).toMatch(/^<svg [\s\S]*<title id="title">Foot pitch, healthy_2x20m<\/title>[\s\S]*<\/svg>\n$/);
  await expect(analyse([...recording, '--out', out])).rejects.toThrow(/give --force/);
});

test('a CSV of one foot gives the strides of that foot', async () => {
  const bytes = await readFile('data/gaitmap/healthy_2x20m_left.f32');
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const rows = Array.from({ length: values.length / 6 }, (_, i) =>
    [Math.round((i * 1e6) / 204.8), ...values.subarray(i * 6, i * 6 + 6)].join(','),
  );
  const units = ['m/s2', 'deg/s'];
  const axes = ['acc', 'gyr'].flatMap((name, i) =>
    ['x', 'y', 'z'].map((axis) => `${name}_${axis} [${units[i]}]`),
  );
  const file = join(folder, 'left.csv');
  await writeFile(file, [`time_us,${axes.join(',')}`, ...rows].join('\n'));
  const one = JSON.parse(await analyse([file, '--segment', 'left-foot', '--json'])) as {
    strides: { side: string; strideLengthM: number }[];
  };
  const both = JSON.parse(await analyse([...recording, '--json'])) as typeof one;
  const lefts = both.strides.filter(({ side }) => side === 'left');
  expect(one.strides.map(({ strideLengthM }) => strideLengthM)).toEqual(
    lefts.map(({ strideLengthM }) => strideLengthM),
  );
});

test.each([
  [[], 'give one file, folder or session'],
  [['nowhere'], 'there is no'],
  [['data/gaitmap'], 'give --recording with one of healthy_2x20m'],
  [['docs'], 'has neither a manifest.json (recording) nor a session.json (export)'],
  [[...recording, '--height', '18'], 'metres, from 0.4 to 2.6'],
  [['package.json'], 'say with --segment'],
  [['package.json', '--segment', 'left-foot'], 'no column is called time_us'],
  [[...recording, '--body-model', 'package.json'], '--body-model package.json'],
])('kymo %j says: %s', async (args, message) => {
  await expect(analyse(args)).rejects.toThrow(message);
});
