/**
 * Owns the process that watches sessions, one connection each, and measures how old what it sees is: from the sending
 * of the frame, and from the sampling of the oldest reading in it, to the moment the message arrives here. The devices
 * and this process share one clock, so no offset is involved.
 */

import { WebSocket } from 'ws';

import { assert } from '#base/assert.ts';
import { onCommand, say } from '#bench/support/control-channel.ts';
import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';
import type { ViewerPlan, ViewerWindow } from '#bench/support/load-messages.ts';
import { createSharedClock } from '#bench/support/machine.ts';
import type { HubMessage, ViewerMessage } from '#contract/live-messages.ts';
import { decodeData } from '#protocol/data-codec.ts';
import { decodeLive } from '#protocol/live-codec.ts';

const HEARTBEAT_MS = 4_000;

interface Shown {
  /** Counts the channel's messages; null where the peer has no such count. */
  readonly offset: number | null;
  readonly frames: readonly { readonly sentUs: number; readonly firstUs: number }[];
}

const decoders: Record<ViewerPlan['format'], (bytes: Buffer) => Shown> = {
  live(bytes) {
    const message = decodeLive(bytes);
    assert(message.ok, 'the server sends live messages');
    return message.value;
  },
  data(bytes) {
    const message = decodeData(bytes);
    assert(message.ok, 'the server passes data messages on');
    const { sentUs, frames } = message.value;
    return { offset: null, frames: frames.map(({ firstUs }) => ({ sentUs, firstUs })) };
  },
};

function watch(plan: ViewerPlan) {
  const nowUs = createSharedClock(plan.clockBaseUs);
  const decode = decoders[plan.format];
  const fromSending = createLatencyHistogram();
  const fromSampling = createLatencyHistogram();
  let messages = 0;
  let frames = 0;
  let skipped = 0;
  let cpu = process.cpuUsage();
  let subscribed = 0;
  let isReady = false;
  const countSubscribed = (): void => {
    subscribed++;
    if (subscribed < plan.sessions.length || isReady) return;
    isReady = true;
    say({ type: 'ready' });
  };
  if (plan.sessions.length === 0) say({ type: 'ready' });
  for (const session of plan.sessions) {
    let newest: number | null = null;
    const socket = new WebSocket(plan.url, plan.subprotocol, {
      perMessageDeflate: false,
      headers: { authorization: `Bearer ${plan.key}` },
    });
    const send = (message: ViewerMessage): void => socket.send(JSON.stringify(message));
    socket.on('open', () => {
      send({ type: 'subscribe', id: 1, channel: `session/${session}/readings` });
      setInterval(() => {
        if (socket.readyState === socket.OPEN) send({ type: 'heartbeat' });
      }, HEARTBEAT_MS);
    });
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (!isBinary) {
        const message = JSON.parse(data.toString()) as HubMessage;
        if (message.type === 'subscribed') countSubscribed();
        else if (message.type === 'error')
          say({ type: 'failure', message: `${message.code}: ${message.message}` });
        return;
      }
      const now = nowUs();
      const shown = decode(data);
      messages++;
      if (shown.offset !== null) {
        if (newest !== null) skipped += shown.offset - newest - 1;
        newest = shown.offset;
      }
      for (const frame of shown.frames) {
        frames++;
        fromSending.record(now - frame.sentUs);
        fromSampling.record(now - frame.firstUs);
      }
    });
    socket.on('error', (error) => say({ type: 'failure', message: `viewer: ${error.message}` }));
  }
  return {
    measure(): void {
      fromSending.reset();
      fromSampling.reset();
      messages = 0;
      frames = 0;
      skipped = 0;
      cpu = process.cpuUsage();
    },
    window(): ViewerWindow {
      const used = process.cpuUsage(cpu);
      return {
        type: 'window',
        messages,
        frames,
        skipped,
        cpuS: (used.user + used.system) / 1e6,
        fromSending: fromSending.snapshot(),
        fromSampling: fromSampling.snapshot(),
      };
    },
  };
}

let watching: ReturnType<typeof watch> | null = null;

onCommand((command) => {
  if (command.type === 'plan') {
    watching = watch(command as ViewerPlan);
    return;
  }
  assert(watching !== null, 'the plan comes first');
  if (command.type === 'measure') watching.measure();
  else say(watching.window());
});
