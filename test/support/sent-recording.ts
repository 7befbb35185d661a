/**
 * Owns a session of two feet for tests: a recorded walk sent by a device of its own at once, with device times in the
 * past, a stretch that the left sensor failed to give, and one reading of its own as a narrow peak.
 */

import { readFile } from 'node:fs/promises';

import { openDevice } from '#sdk/device-client.ts';
import { memoryStore } from '#sdk/memory-store.ts';

export const AXES = 6;
export const RATE_HZ = 204.8;
/** Readings [from, from + count) of the left foot are declared lost. */
export const LOST = { from: 4_000, count: 300 } as const;
/** A single reading of the left foot's second axis, above everything else in the recording. */
export const PEAK = { at: 5_555, axis: 1, value: 190 } as const;

const units = ['m/s2', 'm/s2', 'm/s2', 'deg/s', 'deg/s', 'deg/s'];
const names = ['acc_x', 'acc_y', 'acc_z', 'gyr_x', 'gyr_y', 'gyr_z'];
/** A frame's worth; a multiple of the stretch that is left out. */
const PUSHED = 100;
const DRAIN_MS = 30_000;

export interface SentRecording {
  readonly session: string;
  /** Device time of reading 0, microseconds. */
  readonly startUs: number;
  /** Row-major, as sent; the lost stretch is left out by no one but the device. */
  readonly left: Float32Array;
  readonly right: Float32Array;
}

/** Device time of a reading. */
export function timeOf({ startUs }: SentRecording, reading: number): number {
  return startUs + Math.round((reading * 1e6) / RATE_HZ);
}

export async function sendRecording(options: {
  url: string;
  key: string;
  label: string;
  startUs: number;
}): Promise<SentRecording> {
  const { url, key, label, startUs } = options;
  const [left, right] = await Promise.all([loadFoot('left'), loadFoot('right')]);
  left[PEAK.at * AXES + PEAK.axis] = PEAK.value;
  const device = await openDevice({ url, key, store: memoryStore({ maxBytes: 8 * 1024 * 1024 }) });
  const sent = { session: device.session, startUs, left, right };
  for (const [segment, readings] of [
    ['left-foot', left],
    ['right-foot', right],
  ] as const) {
    const stream = device.stream({
      segment,
      sensor: 'imu',
      axes: names.map((name, i) => ({ name, unit: units[i]! })),
      rateHz: RATE_HZ,
      label,
    });
    for (let i = 0; i < readings.length / AXES; i += PUSHED) {
      const isLost = segment === 'left-foot' && i >= LOST.from && i < LOST.from + LOST.count;
      if (isLost) stream.lose(PUSHED, 'sensor-fault');
      else stream.push(readings.subarray(i * AXES, (i + PUSHED) * AXES), timeOf(sent, i));
    }
    await stream.end();
  }
  const isDrained = await device.drained({ timeoutMs: DRAIN_MS });
  await device.close();
  if (!isDrained) throw new Error('the server did not take the recording in time');
  return sent;
}

async function loadFoot(side: 'left' | 'right'): Promise<Float32Array> {
  const bytes = await readFile(new URL(`../../data/gaitmap/healthy_2x20m_${side}.f32`, import.meta.url));
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4).slice();
}
