/**
 * Owns the proof of live motion as a whole: a device sends a recorded walk to a real server, and whoever follows the
 * session sees strides, cycles, figures and angles of it while it is sent.
 */

import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { readConfig } from '#app/config.ts';
import { createLifecycle, type Lifecycle } from '#app/lifecycle.ts';
import { startServer, type RunningServer } from '#app/server.ts';
import type { LiveAngles, Metric } from '#contract/motion.ts';
import type { MotionNotice, Stride } from '#motion/results.ts';
import { openDevice } from '#sdk/device-client.ts';
import { connectLive } from '#sdk/live-client.ts';
import type { ChannelMessage } from '#sdk/live-subscribers.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { loadRecording, type RecordingStream } from '#simulator/recording.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';

let database: TestDatabase;
let lifecycle: Lifecycle;
let server: RunningServer;
let tenant: Tenant;

beforeAll(async () => {
  database = await createTestDatabase();
  lifecycle = createLifecycle(systemClock, silentLog);
  server = await startServer({
    config: readConfig({ args: ['--port', '0'], env: {} }),
    ownerUrl: database.ownerUrl,
    clock: systemClock,
    log: silentLog,
    lifecycle,
    extensions: [],
    demoKey: null,
    tls: null,
    mayMovePort: false,
  });
  tenant = await createTenant(database.ownerUrl, server.pools, 'A');
});
afterAll(async () => {
  await lifecycle.stop();
  await database.drop();
});

/** Follows both channels of a session that is there. */
async function follow(session: string) {
  const subscribed = new Set<string>();
  const client = connectLive({
    url: `${server.url.replace('http', 'ws')}/v1/live`,
    token: () => tenant.readKey,
    onSubscribed: (channel) => subscribed.add(channel),
  });
  const heard: ChannelMessage[] = [];
  for (const name of ['gait', 'motion'])
    client.subscribe(`session/${session}/${name}`, {
      last: 100,
      onMessage: (message) => heard.push(message),
    });
  await until(() => subscribed.size === 2);
  const dataOf = <T>(event: string): T[] =>
    heard.filter((one) => one.event === event).map(({ data }) => data as T);
  return { dataOf, close: () => client.close() };
}

/** Sends two feet side by side, the first moment at once and the rest ten times as fast as they walked. */
async function send(streams: readonly RecordingStream[], startUs: number) {
  const device = await openDevice({
    url: server.url,
    key: tenant.deviceKey,
    store: memoryStore({ maxBytes: 8 * 1024 * 1024 }),
  });
  const tracks = streams.map((one) => ({
    ...one,
    stream: device.stream({ ...one.definition, label: 'walk' }),
  }));
  const { rateHz } = tracks[0]!.definition;
  const step = Math.round(rateHz / 5);
  const push = (from: number): void => {
    for (const { stream, readings, definition } of tracks) {
      const axes = definition.axes.length;
      const timeUs = startUs + Math.round((from * 1e6) / rateHz);
      stream.push(readings.subarray(from * axes, (from + step) * axes), timeUs);
    }
  };
  push(0);
  return {
    session: device.session,
    /** The rest. */
    async run() {
      const startMs = performance.now();
      for (let from = step; from < tracks[0]!.readingCount; from += step) {
        push(from);
        const dueMs = startMs + (from / rateHz) * 100;
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueMs - performance.now())));
      }
      await Promise.all(tracks.map(({ stream }) => stream.end()));
      await device.drained({ timeoutMs: 10_000 });
      await device.close();
    },
  };
}

const metricsText = async (): Promise<string> =>
  (await fetch(`${server.url}/metrics`, { headers: { authorization: `Bearer ${tenant.adminKey}` } })).text();
const until = (condition: () => unknown, timeout = 15_000): Promise<void> =>
  expect.poll(() => condition(), { timeout, interval: 20 }).toBeTruthy();

test('who follows a session sees the strides of a recorded walk as it is sent', async () => {
  const recording = await loadRecording(
    new URL('../../data/gaitmap', import.meta.url).pathname,
    'healthy_2x20m',
  );
  const startUs = systemClock.nowUs();
  const sending = await send(recording.streams, startUs);
  await until(async () => (await metricsText()).includes('kymo_motion_sessions_running 1\n'));
  const viewer = await follow(sending.session);
  await sending.run();
  const strides = (): Stride[] => viewer.dataOf<Stride>('stride');
  await until(() => strides().length >= 40);
  for (const side of ['left', 'right'])
    expect(strides().filter((stride) => stride.side === side).length).toBeGreaterThan(15);
  for (const { startUs: from, endUs } of strides()) {
    expect(from).toBeGreaterThan(startUs);
    expect((endUs - from) / 1e6).toBeGreaterThan(0.6);
    expect((endUs - from) / 1e6).toBeLessThan(2);
  }
  await until(() => viewer.dataOf('summary').length > 0);
  const figures = viewer.dataOf<{ metrics: Metric[] }>('summary').at(-1)!.metrics;
  expect(figures.find(({ metric }) => metric === 'cadence')).toMatchObject({ unit: 'steps/min' });
  const angles = viewer.dataOf<LiveAngles>('angles');
  expect(angles.length).toBeGreaterThan(10);
  expect(angles[0]!.columns).toContain('left-foot-pitch');
  expect(angles.every(({ rows, columns }) => rows.every((row) => row.length === columns.length))).toBe(true);
  const text = await metricsText();
  expect(Number(/^kymo_motion_readings_total (\d+)$/m.exec(text)?.[1])).toBeGreaterThan(15_000);
  expect(text).toMatch(/^kymo_motion_dropped_readings_total\{reason="ring-full"\} 0$/m);
  viewer.close();
});

test('a session of a machine is told once that motion does not understand it', async () => {
  const device = await openDevice({
    url: server.url,
    key: tenant.deviceKey,
    store: memoryStore({ maxBytes: 1e6 }),
  });
  const stream = device.stream({
    segment: 'spindle',
    sensor: 'vibration',
    axes: [{ name: 'x', unit: 'm/s2' }],
    rateHz: 1_000,
  });
  stream.push(new Float32Array(10), systemClock.nowUs());
  await device.drained({ timeoutMs: 10_000 });
  const viewer = await follow(device.session);
  await until(() => viewer.dataOf('notice').length > 0);
  expect(viewer.dataOf<MotionNotice>('notice')).toMatchObject([{ code: 'off' }]);
  expect(await metricsText()).toMatch(/^kymo_motion_sessions_off 1$/m);
  viewer.close();
  await device.close();
});
