/**
 * Owns who and what there is in the fuzzed gateway: three devices of two organisations, and eight streams in four
 * sessions, two of them another tenant's from the beginning and one erased.
 */

import type { DeviceIdentity } from '#contract/readings.ts';
import type { StreamDefinition } from '#protocol/messages.ts';

export const devices: readonly DeviceIdentity[] = [
  { deviceId: '01900000-0000-7000-8000-0000000000d0', orgId: '01900000-0000-7000-8000-0000000000a0' },
  { deviceId: '01900000-0000-7000-8000-0000000000d1', orgId: '01900000-0000-7000-8000-0000000000a0' },
  { deviceId: '01900000-0000-7000-8000-0000000000d2', orgId: '01900000-0000-7000-8000-0000000000a1' },
];

export const keyOf = (device: number): string => `key-${device}`;

const axes = (count: number): StreamDefinition['axes'] =>
  Array.from({ length: count }, (_, i) => ({ name: `a${i}`, unit: 'm/s2' }));
const session = (n: number): string => `01900000-0000-7000-8000-00000000e00${n}`;

export const sessions = [session(0), session(1), session(2), session(3)];
export const erasedSession = session(2);
/** Streams of the last device from the beginning. */
export const foreignStreams: readonly number[] = [4, 5];
const sessionOf = [0, 0, 0, 0, 1, 1, 2, 3];

export const definitions: readonly StreamDefinition[] = sessionOf.map((inSession, i) => ({
  stream: `01900000-0000-7000-8000-00000000500${i}`,
  session: session(inSession),
  segment: `segment-${i}`,
  sensor: 'imu',
  axes: axes(i === 3 ? 8 : (i % 3) + 1),
  rateHz: 200,
  encoding: i === 1 ? ('int16' as const) : ('float32' as const),
  ...(i === 1 ? { scale: [0.01, 0.02] } : {}),
  clock: i === 2 ? ('none' as const) : ('device' as const),
}));

export const epochs: readonly string[] = ['0000000000000001', 'ffffffffffffffff'];
