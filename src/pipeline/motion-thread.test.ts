/** Owns the proof that a thread that crashes or hangs is ended and begun anew, on real threads. */

import { expect, onTestFinished, test, vi } from 'vitest';

import { systemClock, type Clock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { defaultBodyModel } from '#motion/default-body-model.ts';
import type { SessionPlan } from '#pipeline/live-session.ts';
import { startMotionThread } from '#pipeline/motion-thread.ts';
import type { FromMotionWorker } from '#pipeline/worker-messages.ts';
import { imuFrame, imuHandle } from '#test/support/motion-frames.ts';
import { breaks } from '#test/support/stand-in-motion.ts';

const entry = new URL('../../test/support/stand-in-motion-worker.ts', import.meta.url);
const handle = imuHandle('left-foot');
const model = defaultBodyModel([{ ...handle.definition, id: handle.definition.stream }]);
const planOf = (session: number): SessionPlan => ({
  session,
  model,
  streams: [{ placement: 0, packing: { encoding: 'float32', axisCount: 6 } }],
});

/** Its seconds take 200 ms, so that nobody waits for five of them. */
const fastClock: Clock = {
  ...systemClock,
  after: (delayMs, callback) => systemClock.after(delayMs / 5, callback),
};

function start(clock: Clock = systemClock) {
  const heard: FromMotionWorker[] = [];
  const reborn: { culprit: number | null; reason: string }[] = [];
  const thread = startMotionThread({
    entry,
    clock,
    log: silentLog,
    hear: (message) => heard.push(message),
    reborn: (culprit, reason) => reborn.push({ culprit, reason }),
  });
  onTestFinished(() => thread.stop());
  const send = (session: number, seq: number, count: number, first?: number): boolean => {
    const frame = imuFrame(handle, seq, count, { arrivalUs: systemClock.nowUs() });
    if (first !== undefined) new DataView(frame.payload.buffer).setFloat32(0, first, true);
    return thread.write({ session, stream: 0 }, frame);
  };
  return {
    thread,
    reborn,
    send,
    begin: (session: number) => thread.say({ type: 'begin', plan: planOf(session) }),
    strides: () =>
      heard.flatMap((one) => (one.type === 'results' ? one.results.flatMap(({ strides }) => strides) : [])),
  };
}

test('what a thread is given comes back, and what it has not told comes when it stops', async () => {
  const it = start();
  it.begin(1);
  for (let seq = 0; seq < 1_000; seq += 50) it.send(1, seq, 50);
  await vi.waitFor(() => expect(it.strides()).toHaveLength(4), { timeout: 5_000 });
  for (let seq = 1_000; seq < 2_000; seq += 50) it.send(1, seq, 50);
  await it.thread.stop();
  expect(it.strides()).toHaveLength(9);
  expect(it.thread.counters).toMatchObject({ readings: 2_000, stale: 0 });
  expect(it.thread.deaths).toBe(0);
});

test('a thread that dies is begun anew, and says at which session it was', async () => {
  const it = start();
  it.begin(7);
  it.send(7, 0, 300, breaks.dies);
  await vi.waitFor(() => expect(it.reborn).toMatchObject([{ culprit: 7 }]), { timeout: 5_000 });
  it.begin(8);
  it.send(8, 0, 300);
  await vi.waitFor(() => expect(it.strides()).toHaveLength(1), { timeout: 5_000 });
  expect(it.thread.deaths).toBe(1);
  // Of both lives.
  expect(it.thread.counters.readings).toBe(600);
});

test('a thread that hangs is ended, and says at which session it was', async () => {
  const it = start(fastClock);
  it.begin(7);
  it.begin(9);
  it.send(7, 0, 300);
  it.send(9, 0, 10, breaks.hangs);
  await vi.waitFor(() => expect(it.reborn).toMatchObject([{ culprit: 9, reason: /did not answer/ }]), {
    timeout: 5_000,
  });
  it.begin(10);
  it.send(10, 0, 300);
  await vi.waitFor(() => expect(it.strides()).toHaveLength(1), { timeout: 5_000 });
  expect(it.thread.deaths).toBe(1);
});
