import { expect, onTestFinished, test, vi } from 'vitest';

import { AppError } from '#base/errors.ts';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import { addressOf, channelName, type PublishTo } from '#contract/channel-definition.ts';
import { sessionMotion } from '#app/channels/motion-channels.ts';
import { startLiveMotion } from '#app/live-motion.ts';
import { imuFrame, imuHandle } from '#test/support/motion-frames.ts';

const handle = imuHandle('left-foot');
const { session } = handle.definition;

function start(workers: number, publish: PublishTo) {
  const bus = createMemoryBus();
  const asked: string[] = [];
  const motion = startLiveMotion({
    workers,
    bodyModels: {
      async find(_orgId, of) {
        asked.push(of);
        return null;
      },
    },
    publish,
    bus,
    clock: systemClock,
    log: silentLog,
    entry: new URL('../../test/support/stand-in-motion-worker.ts', import.meta.url),
    limits: { settleMs: 0 },
  });
  onTestFinished(() => motion.stop());
  return { bus, asked, motion };
}

test('without workers there is nothing that sees frames', async () => {
  const { motion } = start(0, () => Promise.reject(new Error('nothing is published')));
  expect(motion.live).toBe(null);
  motion.bodyModelChanged(handle.orgId, session);
  await motion.stop();
});

test('results are published, angles while somebody listens, and what fails is counted', async () => {
  const events = new Map<string, number>();
  const { bus, asked, motion } = start(1, async (definition, { orgId }, { event }) => {
    expect(orgId).toBe(handle.orgId);
    const name = `${definition.name} ${event}`;
    events.set(name, (events.get(name) ?? 0) + 1);
    if (event === 'stride') throw new AppError('store-unavailable', 'away', { temporary: true });
    return null;
  });
  const live = motion.live!;
  const send = (seq: number): void =>
    live.frame(handle, imuFrame(handle, seq, 100, { arrivalUs: systemClock.nowUs() }));
  send(0);
  await vi.waitFor(() => expect(live.sessions('running')).toBe(1), { timeout: 5_000 });
  for (let seq = 100; seq < 1_000; seq += 100) send(seq);
  await vi.waitFor(() => expect(events.get('session/{session}/gait stride')).toBe(4), { timeout: 8_000 });
  expect(motion.counters.failed).toBe(4);
  expect([...events.keys()].filter((name) => name.startsWith('session/{session}/motion'))).toEqual([]);
  const name = channelName(sessionMotion, { session });
  bus.subscribe(addressOf(sessionMotion, handle.orgId, name), () => undefined);
  let seq = 900;
  // It is looked four times a second who listens.
  await vi.waitFor(
    () => {
      send((seq += 100));
      expect(events.get('session/{session}/motion angles')).toBeGreaterThan(0);
    },
    { timeout: 8_000, interval: 100 },
  );
  // From any server.
  motion.bodyModelChanged(handle.orgId, session);
  await vi.waitFor(() => expect(asked).toEqual([session, session]), { timeout: 5_000 });
});
