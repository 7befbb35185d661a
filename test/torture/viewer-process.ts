/**
 * Owns the process that watches sessions live, one connection of the product's client each, measures how old readings are
 * when they come, and makes each again to see whether it is the right one. It ends when its input does.
 */

import { onCommand, say } from '#bench/support/control-channel.ts';
import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';
import { createSharedClock } from '#bench/support/machine.ts';
import type { LiveFrame } from '#protocol/live-codec.ts';
import { createHttpClient } from '#sdk/http-client.ts';
import { connectLive } from '#sdk/live-client.ts';
import { READING_BYTES, readingValues, streamKey } from '#test/torture/reading-values.ts';
import type { ViewerMessage, WatchPlan, WatchSample } from '#test/torture/viewer-messages.ts';

const SAMPLE_MS = 500;

const tell = (message: ViewerMessage): void => say(message);

function watch(plan: WatchPlan): void {
  const nowUs = createSharedClock(plan.clockBaseUs);
  let subscribed = 0;
  const samples = plan.sessions.map(({ device, session, port }) => {
    const latencies = createLatencyHistogram();
    const counts = { frames: 0, wrong: 0 };
    let isSubscribed = false;
    const http = createHttpClient({ origin: `http://127.0.0.1:${port}`, key: () => plan.accessKey });
    const client = connectLive({
      url: `ws://127.0.0.1:${port}/v1/live`,
      ticket: async () => (await http.ticket()).ticket,
      onReadings: (_channel, { frames }) => {
        const atUs = nowUs();
        for (const frame of frames) {
          counts.frames++;
          if (!isGenuine(plan.seed, frame)) counts.wrong++;
          latencies.record(atUs - frame.firstUs);
        }
      },
      onSubscribed: () => {
        if (isSubscribed) return;
        isSubscribed = true;
        subscribed++;
        if (subscribed === plan.sessions.length) tell({ type: 'subscribed' });
      },
      onRefused: (_channel, code, message) =>
        tell({ type: 'trouble', text: `viewer of device ${device} refused: ${code} ${message}` }),
      onProblem: (code, message) =>
        tell({ type: 'trouble', text: `viewer of device ${device}: ${code} ${message}` }),
      onState: (state) => {
        if (state.name === 'closed')
          tell({
            type: 'trouble',
            text: `viewer of device ${device} closed: ${state.code} ${state.message}`,
          });
      },
    });
    client.subscribe(`session/${session}/readings`);
    return (): WatchSample => {
      const sample = { device, ...counts, latencies: latencies.snapshot() };
      latencies.reset();
      return sample;
    };
  });
  setInterval(() => tell({ type: 'sample', sessions: samples.map((take) => take()) }), SAMPLE_MS);
}

/** True when the frame's bytes are those of the readings that its first one says it holds. */
function isGenuine(seed: number, { streamId, count, payload }: LiveFrame): boolean {
  if (payload.length !== count * READING_BYTES) return false;
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const key = streamKey(seed, streamId);
  const made = readingValues({ key, life: bytes.readFloatLE(4), firstNumber: bytes.readFloatLE(0), count });
  return bytes.equals(Buffer.from(made.buffer));
}

onCommand((command) => {
  if (command.type === 'plan') watch(command as WatchPlan);
});
