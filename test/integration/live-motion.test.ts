/**
 * Owns the proof of live motion as a whole: a device sends a recorded walk to a real server, and whoever follows the
 * session sees strides, cycles, figures and angles of it while it is sent.
 */

import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { seededRandom } from '#base/random.ts';
import { silentLog } from '#base/log.ts';
import { readConfig } from '#app/config.ts';
import { createLifecycle, type Lifecycle } from '#app/lifecycle.ts';
import { startServer, type RunningServer } from '#app/server.ts';
import type { LiveAngles, Metric } from '#contract/motion.ts';
import type { Frame } from '#contract/readings.ts';
import { defaultBodyModel } from '#motion/default-body-model.ts';
import { createSessionMotion } from '#motion/session-motion.ts';
import { createLiveSession, type SessionResults } from '#pipeline/live-session.ts';
import { readingTimeUs } from '#protocol/data-codec.ts';
import { frameOf } from '#test/support/frames.ts';
import { imuHandle, OFFSET_US, ringFrame } from '#test/support/motion-frames.ts';
import type { MotionNotice, Stride } from '#motion/results.ts';
import { openDevice } from '#sdk/device-client.ts';
import { connectLive } from '#sdk/live-client.ts';
import type { ChannelMessage } from '#sdk/live-subscribers.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { loadRecording, type RecordingStream } from '#simulator/recording.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';

const folder = fileURLToPath(new URL('../../data/gaitmap', import.meta.url));

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
/** Seldom: asking for all metrics fifty times a second is more work for the server than what is waited for. */
const untilMetrics = (text: string): Promise<void> =>
  expect.poll(metricsText, { timeout: 15_000, interval: 250 }).toContain(text);

test('who follows a session sees the strides of a recorded walk as it is sent', async () => {
  const recording = await loadRecording(
    new URL('../../data/gaitmap', import.meta.url).pathname,
    'healthy_2x20m',
  );
  const startUs = systemClock.nowUs();
  const sending = await send(recording.streams, startUs);
  await untilMetrics('kymo_motion_sessions_running 1\n');
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
  const figures = viewer.dataOf<{ metrics: Metric[] }>('summary').flatMap(({ metrics }) => metrics);
  expect(figures.find(({ metric }) => metric === 'cadence')).toMatchObject({ unit: 'steps/min' });
  const angles = viewer.dataOf<LiveAngles>('angles');
  expect(angles.length).toBeGreaterThan(10);
  // The last: on a busy machine the chain may begin before the second stream was opened, and begins anew with it.
  expect(angles.at(-1)!.columns).toContain('left-foot-pitch');
  expect(angles.every(({ rows, columns }) => rows.every((row) => row.length === columns.length))).toBe(true);
  const text = await metricsText();
  expect(Number(/^kymo_motion_readings_total (\d+)$/m.exec(text)?.[1])).toBeGreaterThan(15_000);
  expect(text).toMatch(/^kymo_motion_dropped_readings_total\{reason="ring-full"\} 0$/m);
  viewer.close();
});

test('in any pieces, the strides, cycles and turns are bit for bit those of an offline run', async () => {
  const recording = await loadRecording(folder, 'healthy_4x10m');
  const handles = recording.streams.map(({ definition }) =>
    imuHandle(definition.segment, { rateHz: definition.rateHz }),
  );
  const model = defaultBodyModel(handles.map(({ definition }) => ({ ...definition, id: definition.stream })));
  const cut = (i: number, firstSeq: number, count: number): Frame => {
    const { readings, definition } = recording.streams[i]!;
    const payload = new Uint8Array(readings.slice(firstSeq * 6, (firstSeq + count) * 6).buffer);
    const firstUs = Math.round((firstSeq * 1e6) / definition.rateHz);
    const arrivalUs = OFFSET_US + Math.round(((firstSeq + count) * 1e6) / definition.rateHz);
    const periodNs = Math.round(1e9 / definition.rateHz);
    return frameOf(handles[i]!, firstSeq, count, { firstUs, periodNs, payload, arrivalUs });
  };
  const total = recording.streams[0]!.readingCount;
  const placementOf = (i: number): number =>
    model.placements.findIndex(({ stream }) => stream === handles[i]!.definition.stream);
  const run = (seed: number) => {
    const random = seededRandom(seed);
    // Cut once, so that the times are the same in both runs; what comes together is up to chance.
    const frames = handles.flatMap((_, i) =>
      Array.from({ length: Math.ceil(total / 16) }, (_none, at) => ({
        i,
        frame: cut(i, at * 16, Math.min(16, total - at * 16)),
      })),
    );
    // Each stream in its order, and up to 0.4 s late.
    const cameUs = handles.map(() => 0);
    const ordered = frames
      .map(({ i, frame }) => {
        const arrivalUs = Math.max(cameUs[i]!, frame.arrivalUs + random.next() * 400_000);
        cameUs[i] = arrivalUs;
        return { i, frame: { ...frame, arrivalUs } };
      })
      .toSorted((a, b) => a.frame.arrivalUs - b.frame.arrivalUs);
    return { random, frames, ordered };
  };
  const offline = createSessionMotion(model);
  const inTime = run(1).frames.toSorted((a, b) => a.frame.firstUs - b.frame.firstUs);
  for (const { i, frame } of inTime) {
    const timesUs = Float64Array.from({ length: frame.count }, (_, at) => readingTimeUs(frame, at));
    const values = new Float32Array(frame.payload.buffer);
    // As far as all of them have come: a chain holds half a minute of readings.
    offline.advance(frame.firstUs);
    offline.push(placementOf(i), { timesUs, values, axes: 6, count: frame.count });
  }
  offline.finish();
  const expected = offline.take();
  expect(expected.strides.length).toBeGreaterThan(20);
  for (const seed of [1, 2, 3]) {
    const session = createLiveSession(
      {
        session: 1,
        model,
        streams: handles.map((_, i) => ({
          placement: placementOf(i),
          packing: { encoding: 'float32', axisCount: 6 },
        })),
      },
      createSessionMotion,
    );
    session.watched = { angles: false, details: true };
    const told: SessionResults[] = [];
    const { random, ordered } = run(seed);
    for (const { i, frame } of ordered) {
      session.frame(ringFrame(i, frame));
      if (random.next() < 0.5) session.advance(frame.arrivalUs);
      const results = session.flush(frame.arrivalUs);
      if (results !== null) told.push(results);
    }
    session.finish();
    told.push(session.flush(0, true)!);
    expect(told.flatMap(({ strides }) => strides)).toEqual(expected.strides);
    expect(told.flatMap(({ cycles }) => cycles)).toEqual(expected.cycles);
    expect(told.flatMap(({ turns }) => turns)).toEqual(expected.turns);
    expect(session.takeLosses().left).toBe(0);
  }
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
