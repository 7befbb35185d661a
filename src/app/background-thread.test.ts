import { expect, test } from 'vitest';

import { silentLog } from '#base/log.ts';
import { startBackgroundThread } from '#app/background-thread.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

/** Its first `hanging` lives never come to an end by themselves. */
const entry = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort, workerData } from 'node:worker_threads';
    parentPort.postMessage('here');
    const { lives, hanging } = workerData;
    if (Atomics.add(new Int32Array(lives), 0, 1) < hanging) for (;;);
    parentPort.on('message', () => parentPort.close());`)}`,
);

test.each([
  ['that hangs is ended, and another started', 1],
  ['that is about to speak is left alone', 0],
])('a thread %s', async (_, hanging) => {
  const clock = createManualClock();
  let heard = 0;
  const thread = startBackgroundThread({
    entry,
    data: { lives: new SharedArrayBuffer(4), hanging },
    onMessage: () => heard++,
    clock,
    log: silentLog,
  });
  await expect.poll(() => heard).toBe(1);
  clock.advance(59_999);
  expect(thread.deaths).toBe(0);
  clock.advance(hanging);
  await expect.poll(() => thread.deaths).toBe(hanging);
  clock.advance(5_000 * hanging);
  await expect.poll(() => heard).toBe(1 + hanging);
  await thread.stop();
});
