/** The recordings in data/ as they are on disk: complete, bit-equal through the loader, and what their README says. */

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

import { loadRecording, parseManifest, recordingSource } from '#simulator/recording.ts';

const folder = fileURLToPath(new URL('../../data/gaitmap/', import.meta.url));

test('every stream of the gaitmap recordings is bit-equal to its file when read through the source', async () => {
  const manifest = parseManifest(await readFile(`${folder}manifest.json`, 'utf8'));
  if (!manifest.ok) throw new Error(manifest.error.message);
  const names = [...new Set(manifest.value.streams.map((entry) => entry.recording))];
  expect(names).toEqual(['healthy_2x20m', 'healthy_4x10m', 'healthy_stair_up', 'healthy_stair_down']);
  for (const name of names) {
    const { streams } = await loadRecording(folder, name);
    expect(streams.map((stream) => stream.definition.segment)).toEqual(['left-foot', 'right-foot']);
    for (const stream of streams) {
      const side = stream.definition.segment.replace('-foot', '');
      const source = recordingSource(stream);
      const out = new Float32Array(source.readingCount * 6);
      for (let i = 0; i < source.readingCount; i += 173)
        source.fill(i, Math.min(173, source.readingCount - i), out.subarray(i * 6));
      expect(Buffer.from(out.buffer).equals(await readFile(`${folder}${name}_${side}.f32`))).toBe(true);
    }
  }
});

test('the demo recording is two feet at 204.8 Hz for 38.7 s, with gravity on z at rest', async () => {
  const { streams } = await loadRecording(folder, 'healthy_2x20m');
  for (const { definition, readingCount, readings } of streams) {
    expect(definition).toMatchObject({ sensor: 'imu', rateHz: 204.8, synthetic: false });
    expect(definition.axes.map(({ name, unit }) => `${name} ${unit}`)).toEqual([
      'acc_x m/s2',
      'acc_y m/s2',
      'acc_z m/s2',
      'gyr_x deg/s',
      'gyr_y deg/s',
      'gyr_z deg/s',
    ]);
    expect(readingCount).toBe(7928);
    let accZ = 0;
    for (let i = 0; i < 100; i++) accZ += readings[i * 6 + 2]! / 100;
    expect(accZ).toBeGreaterThan(9.3);
    expect(accZ).toBeLessThan(9.6);
  }
});

test('a recording or a folder that is not there is a coded error', async () => {
  await expect(loadRecording(folder, 'unknown')).rejects.toMatchObject({ code: 'not-found' });
  await expect(loadRecording(`${folder}none`, 'healthy_2x20m')).rejects.toMatchObject({ code: 'not-found' });
});
