/**
 * Owns the process that plays many devices at their true rate: it makes the sessions of its plan, samples them on one
 * timer with phases spread evenly over a frame, and tells the benchmark what was sent, acknowledged and how fast.
 * Driven by the commands of load-messages.ts on standard input.
 */

import { assert } from '#base/assert.ts';
import { messageOf } from '#base/errors.ts';
import { onCommand, say } from '#bench/support/control-channel.ts';
import { createDataMessageSlab } from '#bench/support/data-message-slab.ts';
import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';
import type { LoadCommand, LoadPlan, LoadResult, LoadWindow } from '#bench/support/load-messages.ts';
import { createLoadSession, type LoadCounters, type LoadSession } from '#bench/support/load-session.ts';
import { createStreamLoad } from '#bench/support/load-stream.ts';
import { createSharedClock } from '#bench/support/machine.ts';
import { DEVICE_SUBPROTOCOL } from '#protocol/version.ts';

/** Handshakes at a time: a server limits unauthenticated sockets of one address. */
const CONNECTING_AT_ONCE = 32;
const DRAIN_POLL_MS = 20;
/** For the last close messages to leave. */
const GOODBYE_MS = 500;

function createGenerator(plan: LoadPlan) {
  const nowUs = createSharedClock(plan.clockBaseUs);
  const slab = createDataMessageSlab();
  const counters: LoadCounters = {
    sentFrames: 0,
    sentMessages: 0,
    sentReadings: 0,
    acknowledgedReadings: 0,
    reconnects: 0,
    creditWaits: 0,
    errors: {},
    ack: createLatencyHistogram(),
    batch: createLatencyHistogram(),
  };
  const lag = createLatencyHistogram();
  const frameUs = (plan.readingsPerFrame * 1e6) / plan.rateHz;
  let sampling: NodeJS.Timeout | undefined;
  let windowStart = markWindow();

  const sessions = plan.keys.map((key, index) => createSession(key, plan.firstSession + index));
  const heartbeat = setInterval(() => {
    for (const session of sessions) session.tick();
  }, 1_000);

  let readyCount = 0;
  let connectingNext = 0;

  function createSession(key: string, session: number): LoadSession {
    let isCounted = false;
    const streams = Array.from({ length: plan.sensors }, (_, sensor) =>
      createStreamLoad({
        ref: sensor,
        stream: session * plan.sensors + sensor,
        seed: plan.seed,
        rateHz: plan.rateHz,
        readingsPerFrame: plan.readingsPerFrame,
      }),
    );
    return createLoadSession({
      target: {
        host: plan.host,
        port: plan.port,
        path: plan.path,
        subprotocol: DEVICE_SUBPROTOCOL,
        key,
      },
      streams,
      rateHz: plan.rateHz,
      slab,
      counters,
      nowUs,
      ready(failure) {
        if (isCounted) return;
        isCounted = true;
        if (failure === null) countReady();
        else say({ type: 'failure', message: `session ${session}: ${failure}` });
      },
    });
  }

  function countReady(): void {
    readyCount++;
    connectNext();
    if (readyCount === sessions.length)
      say({ type: 'ready', sessions: sessions.map((session) => session.sessionId) });
  }

  function connectNext(): void {
    const session = sessions[connectingNext++];
    session?.connect();
  }

  /**
   * Frame number m of this process belongs to session m mod length: phases ascend with the session, so due moments
   * ascend with m. A frame is due when its last reading is sampled.
   */
  function start(startUs: number): void {
    const phaseUs = frameUs / plan.totalSessions;
    const lastReadingUs = ((plan.readingsPerFrame - 1) * 1e6) / plan.rateHz;
    for (const [index, session] of sessions.entries())
      session.begin(Math.floor(startUs + (plan.firstSession + index) * phaseUs));
    if (plan.flood) {
      for (const session of sessions) session.sample(Number.POSITIVE_INFINITY);
      return;
    }
    let frame = 0;
    const sample = (): void => {
      const now = nowUs();
      for (;;) {
        const index = frame % sessions.length;
        const round = Math.floor(frame / sessions.length);
        const dueUs = startUs + (plan.firstSession + index) * phaseUs + round * frameUs + lastReadingUs;
        if (dueUs > now) return;
        sessions[index]!.sample(plan.readingsPerFrame);
        lag.record(nowUs() - dueUs);
        frame++;
      }
    };
    // Node's timers have 1 ms: frames leave at most about that late, as the lag histogram shows.
    sampling = setInterval(sample, 1);
  }

  function markWindow() {
    return { atUs: nowUs(), cpu: process.cpuUsage(), counters: { ...counters } };
  }

  function measure(): void {
    counters.ack.reset();
    counters.batch.reset();
    lag.reset();
    windowStart = markWindow();
  }

  function window(): LoadWindow {
    const cpu = process.cpuUsage(windowStart.cpu);
    const before = windowStart.counters;
    const sum = (of: (stream: (typeof sessions)[number]['streams'][number]) => number): number =>
      sessions.reduce((total, { streams }) => total + streams.reduce((part, s) => part + of(s), 0), 0);
    return {
      type: 'window',
      durationMs: (nowUs() - windowStart.atUs) / 1000,
      cpuS: (cpu.user + cpu.system) / 1e6,
      sentFrames: counters.sentFrames - before.sentFrames,
      sentMessages: counters.sentMessages - before.sentMessages,
      sentReadings: counters.sentReadings - before.sentReadings,
      acknowledgedReadings: counters.acknowledgedReadings - before.acknowledgedReadings,
      ack: counters.ack.snapshot(),
      lag: lag.snapshot(),
      batch: counters.batch.snapshot(),
      unsentReadings: plan.flood ? 0 : sum((stream) => stream.unsent),
      unacknowledgedReadings: sum((stream) => stream.unacknowledged),
    };
  }

  function isSettled(): boolean {
    return sessions.every(({ streams }) =>
      streams.every((stream) => stream.unsent === 0 && stream.unacknowledged === 0),
    );
  }

  async function stop(drainMs: number): Promise<void> {
    clearInterval(sampling);
    say(window());
    const deadlineUs = nowUs() + drainMs * 1000;
    let drained = isSettled();
    while (!drained && nowUs() < deadlineUs) {
      await new Promise((resolve) => void setTimeout(resolve, DRAIN_POLL_MS));
      drained = isSettled();
    }
    say(result(drained));
    clearInterval(heartbeat);
    for (const session of sessions) session.end();
    // Input stays open until the benchmark closes it, but nothing is left to do.
    setTimeout(() => process.exit(0), GOODBYE_MS);
  }

  function result(drained: boolean): LoadResult {
    const streams = sessions.flatMap((session) => session.streams);
    return {
      type: 'result',
      streams: streams.map((stream) => stream.report()),
      reconnects: counters.reconnects,
      resentReadings: streams.reduce((sum, stream) => sum + stream.resent, 0),
      unmeasuredFrames: streams.reduce((sum, stream) => sum + stream.unmeasuredFrames, 0),
      creditWaits: counters.creditWaits,
      errors: counters.errors,
      drained,
    };
  }

  for (let i = 0; i < CONNECTING_AT_ONCE; i++) connectNext();
  return { start, measure, stop };
}

let generator: ReturnType<typeof createGenerator> | null = null;

onCommand((message) => {
  const command = message as LoadCommand;
  if (command.type === 'plan') {
    assert(generator === null, 'one plan a process');
    generator = createGenerator(command);
    return;
  }
  assert(generator !== null, 'the plan comes first');
  if (command.type === 'start') generator.start(command.startUs);
  else if (command.type === 'measure') generator.measure();
  else
    generator.stop(command.drainMs).catch((error: unknown) => {
      say({ type: 'failure', message: messageOf(error) });
      process.exit(1);
    });
});
