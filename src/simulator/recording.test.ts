import { expect, test } from 'vitest';

import {
  entriesOf,
  MAX_STREAM_BYTES,
  parseManifest,
  parseStream,
  recordingSource,
  type RecordingStreamEntry,
} from '#simulator/recording.ts';

const entry: RecordingStreamEntry = {
  recording: 'walk',
  file: 'walk_left.f32',
  segment: 'left-foot',
  sensor: 'imu',
  rows: 3,
  columns: ['acc_x', 'gyr_x'],
  units: ['m/s2', 'deg/s'],
  fs: 204.8,
  dtype: 'float32le',
};

function manifestWith(change: object): string {
  return JSON.stringify({ streams: [{ ...entry, ...change }] });
}

function errorOf(text: string): { code: string; field?: string } {
  const result = parseManifest(text);
  if (result.ok) throw new Error('the manifest was accepted');
  return result.error;
}

test('a manifest gives its streams', () => {
  const result = parseManifest(manifestWith({ note: 'left alone' }));
  expect(result).toMatchObject({ ok: true, value: { streams: [entry] } });
});

test('a manifest that is not valid is refused with a code and the field', () => {
  expect(errorOf('{')).toMatchObject({ code: 'malformed-message' });
  expect(errorOf('{}')).toMatchObject({ code: 'invalid-field' });
  expect(errorOf(manifestWith({ fs: 0 }))).toMatchObject({ code: 'invalid-field', field: '/streams/0/fs' });
  expect(errorOf(manifestWith({ units: ['m/s2'] }))).toMatchObject({ field: '/streams/0/units' });
  expect(errorOf(manifestWith({ columns: ['a', 'a'] }))).toMatchObject({ field: '/streams/0/columns' });
  expect(errorOf(manifestWith({ dtype: 'int16le' }))).toMatchObject({ field: '/streams/0/dtype' });
  expect(errorOf(JSON.stringify({ streams: [entry, entry] }))).toMatchObject({ code: 'conflict' });
  expect(errorOf(manifestWith({ rows: MAX_STREAM_BYTES / 4 }))).toMatchObject({ code: 'limit-exceeded' });
});

test('a manifest cannot name a file outside its folder', () => {
  for (const file of ['../secret', '/etc/passwd', 'a/b', '..', ''])
    expect(errorOf(manifestWith({ file }))).toMatchObject({ field: '/streams/0/file' });
});

test('a recording that is not there is named together with those that are', () => {
  const manifest = parseManifest(manifestWith({}));
  if (!manifest.ok) throw new Error('the manifest was refused');
  expect(entriesOf(manifest.value, 'run')).toMatchObject({
    ok: false,
    error: { code: 'not-found', message: 'no recording run; there are walk' },
  });
});

test('the readings are bit-equal to the bytes, with every kind of NaN, at any alignment', () => {
  // Quiet and signalling NaN with payloads, both infinities, minus zero, a denormal.
  const bits = [0x7fc00123, 0x7f800001, 0x7f800000, 0xff800000, 0x80000000, 0x00000001];
  const file = new Uint8Array(25);
  const view = new DataView(file.buffer);
  bits.forEach((b, i) => view.setUint32(1 + i * 4, b, true));
  const stream = parseStream(entry, file.subarray(1));
  if (!stream.ok) throw new Error('the stream was refused');
  const out = new Float32Array(6);
  const source = recordingSource(stream.value);
  source.fill(0, 1, out);
  source.fill(1, 2, out.subarray(2));
  expect([...new Uint32Array(out.buffer)]).toEqual(bits);
  expect(source.durationS).toBe(3 / 204.8);
  expect(stream.value.definition).toEqual({
    segment: 'left-foot',
    sensor: 'imu',
    axes: [
      { name: 'acc_x', unit: 'm/s2' },
      { name: 'gyr_x', unit: 'deg/s' },
    ],
    rateHz: 204.8,
    synthetic: false,
  });
});

test('a file of the wrong length is refused', () => {
  expect(parseStream(entry, new Uint8Array(23))).toMatchObject({ ok: false, error: { code: 'conflict' } });
});
