import { expect, test } from 'vitest';

import { defaultBodyModel } from '#motion/default-body-model.ts';
import { createRingMemory, createRingReader, createRingWriter } from '#pipeline/frame-ring.ts';
import type { SessionPlan } from '#pipeline/live-session.ts';
import { createMotionLoop } from '#pipeline/worker-loop.ts';
import type { FromMotionWorker, ToMotionWorker } from '#pipeline/worker-messages.ts';
import { createCounts, createMainSignals, createWorkerSignals } from '#pipeline/worker-signals.ts';
import type { BodyModel } from '#motion/body-model.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { imuFrame, imuHandle } from '#test/support/motion-frames.ts';
import { breaks, createStandInMotion, IMPOSSIBLE_HEIGHT_M } from '#test/support/stand-in-motion.ts';

const handle = imuHandle('left-foot');
const model = defaultBodyModel([{ ...handle.definition, id: handle.definition.stream }]);
const planOf = (session: number, given: BodyModel = model): SessionPlan => ({
  session,
  model: given,
  streams: [{ placement: 0, packing: { encoding: 'float32', axisCount: 6 } }],
});

function setUp() {
  const memory = { ...createRingMemory(2 ** 18), counts: createCounts() };
  const clock = createManualClock();
  const said: ToMotionWorker[] = [];
  /** How often nothing is heard of it yet. */
  let deaf = 0;
  const posted: FromMotionWorker[] = [];
  const signals = createMainSignals(memory);
  const loop = createMotionLoop({
    reader: createRingReader(memory),
    signals: createWorkerSignals(memory),
    receive: () => (deaf > 0 ? void deaf-- : said.shift()) ?? null,
    post: (message) => posted.push(message),
    create: createStandInMotion,
    clock,
    cpuMs: () => 0,
  });
  const ring = createRingWriter(memory);
  return {
    clock,
    loop,
    posted,
    signals,
    say: (...messages: ToMotionWorker[]) => said.push(...messages),
    makeDeaf: (times: number) => void (deaf = times),
    /** A frame that arrives now. */
    send: (session: number, seq: number, count: number, first?: number) => {
      const frame = imuFrame(handle, seq, count, { arrivalUs: clock.nowUs() });
      if (first !== undefined) new DataView(frame.payload.buffer).setFloat32(0, first, true);
      return ring.write({ session, stream: 0 }, frame);
    },
    strides: (session: number) =>
      posted.flatMap((message) =>
        message.type === 'results'
          ? message.results.filter((one) => one.session === session).flatMap((one) => one.strides)
          : [],
      ),
  };
}

test('frames become results, told at most ten times a second', () => {
  const it = setUp();
  it.say(
    { type: 'begin', plan: planOf(1) },
    { type: 'watch', session: 1, watched: { angles: true, details: true } },
  );
  for (let seq = 0; seq < 1_000; seq += 10) {
    it.send(1, seq, 10);
    it.loop.step();
    it.clock.advance(50);
  }
  expect(it.posted.length).toBeLessThanOrEqual(8);
  expect(it.signals.counters.readings).toBe(1_000);
});

test('sessions that begin together are told at different moments, each ten times a second', () => {
  const it = setUp();
  const count = 10;
  for (let session = 1; session <= count; session++) it.say({ type: 'begin', plan: planOf(session) });
  const most: number[] = [];
  const summed = { results: 0 };
  for (let step = 0; step < 500; step++) {
    // Each session sends twice between two tellings.
    if (step % 2 === 0) for (let session = 1; session <= count; session++) it.send(session, step * 20, 40);
    it.loop.step();
    const told = it.posted.flatMap((message) => (message.type === 'results' ? message.results : []));
    if (step > 5) most.push(told.length);
    summed.results += told.length;
    it.posted.length = 0;
    it.signals.taken();
    it.clock.advance(20);
  }
  // A fifth of them at once.
  expect(Math.max(...most)).toBeLessThanOrEqual(count / 5);
  expect(summed.results).toBeGreaterThan(count * 20);
});

test('a frame that comes before its session was heard of is not lost', () => {
  const it = setUp();
  it.send(1, 0, 400);
  it.say({ type: 'begin', plan: planOf(1) });
  // It is said after the step has listened.
  it.makeDeaf(1);
  it.loop.step();
  expect(it.signals.counters.readings).toBe(400);
});

test('a chain that throws goes alone and is told; others go on', () => {
  const it = setUp();
  it.say({ type: 'begin', plan: planOf(1) }, { type: 'begin', plan: planOf(2) });
  it.send(1, 0, 300);
  it.send(2, 0, 300, breaks.throws);
  it.send(2, 300, 10);
  it.loop.step();
  expect(it.posted).toContainEqual({ type: 'failed', session: 2, message: 'the chain broke' });
  expect(it.signals.counters.readings).toBe(600);
  it.send(1, 300, 10);
  it.clock.advance(200);
  it.loop.step();
  expect(it.strides(1)).toHaveLength(1);
  expect(it.signals.counters.failures).toBe(1);
  expect(it.signals.current).toBe(null);
});

test('a body model that no chain can be begun with is a failure of its session', () => {
  const it = setUp();
  it.say({ type: 'begin', plan: planOf(3, { ...model, heightM: IMPOSSIBLE_HEIGHT_M }) });
  it.loop.step();
  expect(it.posted).toEqual([{ type: 'failed', session: 3, message: 'nobody is that tall' }]);
});

test('what waited for more than five seconds is dropped, so that the rest comes in time', () => {
  const it = setUp();
  it.say({ type: 'begin', plan: planOf(1) });
  it.send(1, 0, 100);
  it.clock.advance(4_000);
  it.send(1, 100, 100);
  it.clock.advance(2_000);
  it.loop.step();
  const { stale, readings, lagSeconds } = it.signals.counters;
  expect({ stale, readings, lagSeconds }).toEqual({ stale: 100, readings: 100, lagSeconds: 6 });
});

test('while the main thread takes nothing, no more than eight messages are under way', () => {
  const it = setUp();
  it.say({ type: 'begin', plan: planOf(1) });
  for (let seq = 0; seq < 6_000; seq += 200) {
    it.send(1, seq, 200);
    it.loop.step();
    it.clock.advance(1_000);
  }
  expect(it.posted).toHaveLength(8);
  for (let i = 0; i < 8; i++) it.signals.taken();
  it.loop.step();
  // The chain has kept what was not told.
  expect(it.posted).toHaveLength(9);
  expect(it.strides(1)).toHaveLength(29);
});

test('an ended session tells what was left, a replaced one nothing, and frames of neither matter', () => {
  const it = setUp();
  for (const session of [1, 2]) {
    it.say({ type: 'begin', plan: planOf(session) });
    it.send(session, 0, 201);
  }
  it.loop.step();
  it.posted.length = 0;
  it.say({ type: 'end', session: 1, isOver: true }, { type: 'end', session: 2, isOver: false });
  it.send(1, 201, 10);
  it.loop.step();
  expect([it.strides(1).length, it.strides(2).length]).toEqual([1, 0]);
  expect(it.signals.counters.readings).toBe(402);
});

test('stopping works off the ring, tells all, and is over', () => {
  const it = setUp();
  it.say({ type: 'begin', plan: planOf(1) });
  for (let seq = 0; seq < 6_000; seq += 10) it.send(1, seq, 10);
  it.say({ type: 'stop' });
  expect(it.loop.step()).toBe(0);
  expect(it.loop.step()).toBe(null);
  expect(it.signals.counters.readings).toBe(6_000);
  expect(it.strides(1)).toHaveLength(29);
});

test('the beat goes on, with sessions and without, and sleep is longer without', () => {
  const it = setUp();
  const beats = [it.signals.beat];
  const sleeps = [it.loop.step()];
  beats.push(it.signals.beat);
  it.say({ type: 'begin', plan: planOf(1) });
  sleeps.push(it.loop.step());
  beats.push(it.signals.beat);
  expect(sleeps).toEqual([200, 20]);
  expect(new Set(beats).size).toBe(3);
});
