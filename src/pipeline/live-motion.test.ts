import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { silentLog } from '#base/log.ts';
import type { LiveAngles } from '#contract/motion.ts';
import type { StreamHandle } from '#contract/readings.ts';
import type { BodyModel } from '#motion/body-model.ts';
import { defaultBodyModel } from '#motion/default-body-model.ts';
import { createLiveMotion } from '#pipeline/live-motion.ts';
import type { LiveMotionLimits } from '#pipeline/live-motion-limits.ts';
import type { MotionSink, SessionAddress } from '#pipeline/motion-sink.ts';
import type { GaitEvent } from '#pipeline/live-records.ts';
import type { Watched } from '#pipeline/live-session.ts';
import type { MotionThread, MotionThreadOptions } from '#pipeline/motion-thread.ts';
import type { ToMotionWorker } from '#pipeline/worker-messages.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { imuFrame, imuHandle } from '#test/support/motion-frames.ts';

const id = (n: number): string => `01900000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
const foot = (n: number, segment = 'left-foot'): StreamHandle => imuHandle(segment, { session: id(n) });

interface FakeThread {
  readonly options: MotionThreadOptions;
  readonly said: ToMotionWorker[];
  readonly written: { session: number; stream: number; firstSeq: number }[];
  isFull: boolean;
}

function setUp(limits: Partial<LiveMotionLimits> = {}, workers = 1) {
  const clock = createManualClock();
  const threads: FakeThread[] = [];
  const told: [string, GaitEvent][] = [];
  const angles: LiveAngles[] = [];
  const stored = new Map<string, BodyModel | AppError>();
  let watched: Watched = { angles: false, details: false };
  const sink: MotionSink = {
    watched: () => watched,
    angles: (_address, batch) => angles.push(batch),
    gait: ({ session }: SessionAddress, event) => told.push([session, event]),
  };
  const startThread = (options: MotionThreadOptions): MotionThread => {
    const thread: FakeThread = { options, said: [], written: [], isFull: false };
    threads.push(thread);
    return {
      write(to, { firstSeq }) {
        if (!thread.isFull) thread.written.push({ ...to, firstSeq });
        return !thread.isFull;
      },
      say: (message) => thread.said.push(message),
      counters: { readings: 0, stale: 0, left: 0, gaps: 0, failures: 0, computeSeconds: 0, lagSeconds: 0 },
      deaths: 0,
      stop: () => Promise.resolve(),
    };
  };
  const motion = createLiveMotion({
    workers,
    bodyModels: {
      async find(_orgId, session) {
        const found = stored.get(session) ?? null;
        if (found instanceof AppError) throw found;
        return found;
      },
    },
    sink,
    clock,
    log: silentLog,
    thread: { entry: new URL('file:///none') },
    limits,
    startThread,
  });
  const seqs = new Map<StreamHandle, number>();
  return {
    motion,
    clock,
    threads,
    told,
    angles,
    stored,
    watch: (now: Watched) => void (watched = now),
    /** The next ten readings of each stream. */
    send(...handles: readonly StreamHandle[]) {
      for (const handle of handles) {
        const seq = seqs.get(handle) ?? 0;
        seqs.set(handle, seq + 10);
        motion.frame(handle, imuFrame(handle, seq, 10));
      }
    },
    async pass(ms: number) {
      for (let left = ms; left > 0; left -= 250) {
        clock.advance(Math.min(250, left));
        // A body model is found.
        for (let i = 0; i < 4; i++) await Promise.resolve();
      }
    },
    begun: (worker = 0) => threads[worker]!.said.flatMap((one) => (one.type === 'begin' ? [one.plan] : [])),
    notices: () =>
      told.flatMap(([session, { event, data }]) => (event === 'notice' ? [[session, data.code]] : [])),
  };
}

test('the streams of a session are gathered into one chain, and then every frame goes to its worker', async () => {
  const it = setUp();
  const streams = [foot(1), foot(1, 'right-foot')];
  it.send(...streams);
  expect(it.begun()).toEqual([]);
  await it.pass(250);
  const [plan, ...more] = it.begun();
  expect(more).toEqual([]);
  expect(plan).toMatchObject({
    session: 1,
    model: { placements: [{ segment: 'left-foot' }, { segment: 'right-foot' }] },
    streams: [
      { placement: 0, packing: { encoding: 'float32', axisCount: 6 } },
      { placement: 1, packing: { encoding: 'float32', axisCount: 6 } },
    ],
  });
  it.send(...streams);
  expect(it.threads[0]!.written).toEqual([
    { session: 1, stream: 0, firstSeq: 10 },
    { session: 1, stream: 1, firstSeq: 10 },
  ]);
});

test('a session without anything that motion understands never comes to a ring, and says why', async () => {
  const it = setUp();
  const machine = imuHandle('spindle', { session: id(1) });
  it.send(machine);
  await it.pass(250);
  it.send(machine);
  expect([it.begun(), it.threads[0]!.written]).toEqual([[], []]);
  expect(it.notices()).toEqual([[id(1), 'off']]);
  expect(it.motion.sessions('off')).toBe(1);
  // Another sensor comes, and motion understands it; the spindle's frames still go nowhere.
  const worn = foot(1);
  it.send(worn);
  await it.pass(250);
  it.send(machine, worn);
  expect(it.threads[0]!.written).toEqual([{ session: 1, stream: 0, firstSeq: 10 }]);
});

test('a stored body model counts before the default, and a change begins the chain anew', async () => {
  const it = setUp();
  const handle = foot(1);
  const own = defaultBodyModel([{ ...handle.definition, id: handle.definition.stream }]);
  it.stored.set(id(1), { ...own, heightM: 1.8 });
  it.send(handle);
  await it.pass(250);
  expect(it.begun().map(({ model }) => model.heightM)).toEqual([1.8]);
  it.motion.bodyModelChanged('01900000-0000-7000-8000-000000000aaa', id(1));
  await it.pass(250);
  expect(it.begun()).toHaveLength(1);
  it.stored.set(id(1), { ...own, heightM: 1.7 });
  it.motion.bodyModelChanged('01900000-0000-7000-8000-000000000aaa', id(1));
  await it.pass(250);
  expect(it.begun().map(({ model, session }) => [model.heightM, session])).toEqual([
    [1.8, 1],
    [1.7, 2],
  ]);
  expect(it.threads[0]!.said).toContainEqual({ type: 'end', session: 1, isOver: false });
  expect(it.notices()).toEqual([[id(1), 'body-model']]);
});

test('while no body model can be read the default counts, and it is asked for again', async () => {
  const it = setUp();
  const handle = foot(1);
  it.stored.set(id(1), new AppError('store-unavailable', 'away', { temporary: true }));
  it.send(handle);
  await it.pass(250);
  expect(it.begun().map(({ model }) => model.heightM)).toEqual([null]);
  it.stored.set(id(1), { ...it.begun()[0]!.model, heightM: 1.8 });
  await it.pass(10_250);
  expect(it.begun().map(({ model }) => model.heightM)).toEqual([null, 1.8]);
});

test('sessions go to the least loaded worker and stay there', async () => {
  const it = setUp({}, 2);
  const handles = [1, 2, 3, 4].map((n) => foot(n));
  it.send(...handles);
  await it.pass(250);
  expect([it.begun(0).length, it.begun(1).length]).toEqual([2, 2]);
  const [first] = it.begun(0);
  it.threads[0]!.options.hear({ type: 'failed', session: first!.session, message: 'broke' });
  expect([it.begun(0).length, it.begun(1).length]).toEqual([3, 2]);
});

test('beyond its sessions a worker takes none, until one has been quiet for ten seconds', async () => {
  const it = setUp({ sessionsPerWorker: 2 });
  const [a, b, c] = [foot(1), foot(2), foot(3)] as const;
  it.send(a, b);
  await it.pass(250);
  it.send(c);
  await it.pass(250);
  expect(it.notices()).toEqual([[id(3), 'refused']]);
  expect([it.motion.sessions('running'), it.motion.sessions('refused'), it.motion.counters.refused]).toEqual([
    2, 1, 1,
  ]);
  for (let i = 0; i < 11; i++) {
    await it.pass(1_000);
    it.send(b, c);
  }
  await it.pass(250);
  expect([it.motion.sessions('running'), it.motion.counters.evicted]).toEqual([2, 1]);
  expect(it.threads[0]!.said).toContainEqual({ type: 'end', session: 1, isOver: true });
  expect(it.begun().map(({ session }) => session)).toEqual([1, 2, 3]);
  expect(it.notices()).toEqual([[id(3), 'refused']]);
});

test('a session that is over leaves its place to another', async () => {
  const it = setUp({ sessionsPerWorker: 1, idleMs: 5_000 });
  it.send(foot(1));
  await it.pass(6_000);
  it.send(foot(2));
  await it.pass(250);
  expect([it.motion.sessions('running'), it.motion.counters.refused]).toEqual([1, 0]);
});

test('beyond the sessions that are known at all, newcomers are not looked at', async () => {
  const it = setUp({ knownSessions: 2 });
  const handles = [1, 2, 3].map((n) => foot(n));
  it.send(...handles);
  await it.pass(250);
  it.send(...handles);
  expect(it.begun()).toHaveLength(2);
});

test('a session that sends nothing for minutes is over, and begins like a new one', async () => {
  const it = setUp({ idleMs: 60_000 });
  const handle = foot(1);
  it.send(handle);
  await it.pass(60_500);
  expect(it.threads[0]!.said).toContainEqual({ type: 'end', session: 1, isOver: true });
  expect([it.motion.sessions('running'), it.motion.counters.idled]).toEqual([0, 1]);
  // Its last results still count.
  it.threads[0]!.options.hear({ type: 'results', results: [resultsOf(1)] });
  expect(it.told.map(([session, { event }]) => [session, event])).toEqual([[id(1), 'turn']]);
  it.send(handle);
  await it.pass(250);
  expect(it.begun().map(({ session }) => session)).toEqual([1, 2]);
});

const resultsOf = (session: number) => ({
  session,
  angleNames: ['a', 'b'],
  angles: [{ firstUs: 0, stepUs: 20_000, count: 1, rows: Float32Array.of(1.239, Number.NaN) }],
  strides: [],
  cycles: [],
  turns: [{ startUs: 0.4, endUs: 9.6, angleDeg: 90 }],
  notices: [],
  summary: null,
  arrivalUs: 0,
});

test('results go out rounded, under the session they are of', async () => {
  const it = setUp();
  it.send(foot(1));
  await it.pass(250);
  it.threads[0]!.options.hear({ type: 'results', results: [resultsOf(1), resultsOf(99)] });
  expect(it.angles).toMatchObject([{ columns: ['a', 'b'], rows: [[1.24, null]] }]);
  expect(it.told).toEqual([[id(1), { event: 'turn', data: { startUs: 0, endUs: 10, angleDeg: 90 } }]]);
});

test('whether somebody looks is told to the worker when it changes', async () => {
  const it = setUp();
  it.send(foot(1));
  await it.pass(1_000);
  it.watch({ angles: true, details: true });
  await it.pass(1_000);
  expect(it.threads[0]!.said.filter(({ type }) => type === 'watch')).toEqual([
    { type: 'watch', session: 1, watched: { angles: true, details: true } },
  ]);
});

test('a chain that fails is begun anew, and given up after the third time in a minute', async () => {
  const it = setUp();
  const handle = foot(1);
  it.send(handle);
  await it.pass(250);
  const fail = (session: number): void =>
    it.threads[0]!.options.hear({ type: 'failed', session, message: 'broke' });
  fail(1);
  await it.pass(61_000);
  fail(2);
  fail(3);
  expect(it.begun()).toHaveLength(4);
  fail(4);
  expect(it.begun()).toHaveLength(4);
  it.send(handle);
  expect(it.threads[0]!.written).toEqual([]);
  expect(it.notices().map(([, code]) => code)).toEqual(['restarted', 'restarted', 'restarted', 'given-up']);
  expect(it.motion.counters).toMatchObject({ restarts: 3, givenUp: 1 });
  // Another body model is another try, and what was before does not count.
  it.motion.bodyModelChanged(handle.orgId, id(1));
  await it.pass(250);
  expect(it.begun()).toHaveLength(5);
  fail(5);
  expect(it.begun()).toHaveLength(6);
});

test('when a worker is there again its sessions begin anew, and only the culprit is blamed', async () => {
  const it = setUp({ failures: 1 });
  it.send(foot(1), foot(2));
  await it.pass(250);
  it.threads[0]!.options.reborn(2, 'died');
  expect(it.notices()).toEqual([
    [id(1), 'restarted'],
    [id(2), 'given-up'],
  ]);
  expect(it.begun().map(({ session }) => session)).toEqual([1, 2, 3]);
});

test('a worker that cannot keep up sheds its newest sessions, and takes them back when it was calm', async () => {
  const it = setUp();
  const handles = [1, 2, 3].map((n) => foot(n));
  it.send(...handles);
  await it.pass(250);
  it.threads[0]!.isFull = true;
  for (let i = 0; i < 5; i++) {
    it.send(...handles);
    await it.pass(1_000);
  }
  expect(it.notices()).toEqual([
    [id(3), 'refused'],
    [id(2), 'refused'],
  ]);
  it.threads[0]!.isFull = false;
  for (let i = 0; i < 29; i++) {
    it.send(...handles);
    await it.pass(1_000);
  }
  expect(it.motion.sessions('running')).toBe(1);
  // One by one, so that it shows whether there is room for it.
  const counts = new Set<number>();
  for (let i = 0; i < 20; i++) {
    it.send(...handles);
    await it.pass(250);
    counts.add(it.motion.sessions('running'));
  }
  expect([...counts]).toEqual([1, 2, 3]);
});

test('a frame that finds its ring full is counted by its readings', async () => {
  const it = setUp();
  const handle = foot(1);
  it.send(handle);
  await it.pass(250);
  it.threads[0]!.isFull = true;
  it.send(handle, handle);
  expect(it.motion.counters.dropped).toBe(20);
});
