/**
 * Owns the clinicians of the API benchmark, as a process of its own: requests become due at random moments (Poisson) of a
 * given mean rate, whether or not earlier ones were answered, and each counts from the moment at which it was due. At most
 * CONNECTIONS are under way; more wait in line, which is part of their time; beyond MAX_WAITING none are added.
 */

import { assert } from '#base/assert.ts';
import { seededRandom } from '#base/random.ts';
import { openHttpConnection, type HttpConnection } from '#bench/api/http-connection.ts';
import type { LoadCommand, Measured, Moment, Plan, Run } from '#bench/api/load-messages.ts';
import { drawWork, type Work } from '#bench/api/scenario.ts';
import { onCommand, say } from '#bench/support/control-channel.ts';
import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';

/** As many as the clinicians' browsers would hold open together. */
const CONNECTIONS = 200;
/** Ten seconds of the highest rate: the run has failed by then. */
const MAX_WAITING = 100_000;
/** After the last arrival. */
const DRAIN_MS = 3_000;
/** Requests under way while warming up: a server is then as busy as it can be, and not flooded. */
const WARM_UP_UNDER_WAY = 20;

interface Due extends Work {
  readonly dueMs: number;
}

function createClinicians({ host, port, scenario, credentials, seed }: Plan) {
  const random = seededRandom(seed);
  const idle: HttpConnection[] = [];
  const waiting: Due[] = [];
  let taken = 0;
  const shown = new Set<string>();
  let count = createCounts();

  function createCounts() {
    return {
      sent: 0,
      answered: 0,
      underWay: new Set<Due>(),
      errors: {} as Record<string, number>,
      latency: createLatencyHistogram(),
      byOperation: scenario.operations.map(() => createLatencyHistogram()),
      lag: createLatencyHistogram(),
    };
  }

  const connect = (): void => {
    const connection = openHttpConnection({ host, port }, () => {
      const at = idle.indexOf(connection);
      if (at >= 0) idle.splice(at, 1);
      setTimeout(connect, 50);
    });
    idle.push(connection);
  };
  const send = (connection: HttpConnection, due: Due): void => {
    const { operation, clinician, method, path, body } = due;
    const of = count;
    of.underWay.add(due);
    const head = `${method} ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${credentials[clinician]!}`;
    const request =
      body === ''
        ? `${head}\r\n`
        : `${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    connection.send(request, !shown.has(String(operation)), (status, answer) => {
      of.underWay.delete(due);
      const tookUs = (performance.now() - due.dueMs) * 1000;
      if (status >= 200 && status < 300) {
        of.answered++;
        of.latency.record(tookUs);
        of.byOperation[operation]!.record(tookUs);
        shown.add(String(operation));
      } else {
        const name = `${scenario.operations[operation]!.name} ${status === 0 ? 'lost' : status}`;
        of.errors[name] = (of.errors[name] ?? 0) + 1;
        if (answer !== null && !shown.has(name)) {
          shown.add(name);
          process.stderr.write(`${method} ${path} ${status} ${answer.toString().slice(0, 300)}\n`);
        }
      }
      if (status === 0) return;
      const next = waiting[taken++];
      if (next === undefined) {
        waiting.length = 0;
        taken = 0;
        idle.push(connection);
      } else send(connection, next);
    });
  };
  const arrive = (dueMs: number): void => {
    if (waiting.length - taken > MAX_WAITING) {
      count.errors['not sent'] = (count.errors['not sent'] ?? 0) + 1;
      return;
    }
    count.sent++;
    const due = { ...drawWork(scenario, random), dueMs };
    count.lag.record((performance.now() - dueMs) * 1000);
    const connection = idle.pop();
    if (connection === undefined) waiting.push(due);
    else send(connection, due);
  };
  /** Lets requests arrive for `seconds`. */
  const arriveFor = (ratePerS: number, seconds: number): Promise<void> =>
    new Promise((resolve) => {
      const startMs = performance.now();
      const endMs = startMs + seconds * 1000;
      let nextMs = startMs;
      const timer = setInterval(() => {
        const nowMs = performance.now();
        while (nextMs <= nowMs && nextMs < endMs) {
          arrive(nextMs);
          nextMs += (-Math.log(1 - random.next()) * 1000) / ratePerS;
        }
        if (nextMs < endMs) return;
        clearInterval(timer);
        resolve();
      }, 1);
    });
  /** Keeps a few requests under way for `seconds`, and waits for the last of them. */
  const warmUp = async (seconds: number): Promise<void> => {
    const endMs = performance.now() + seconds * 1000;
    const isWarm = (): boolean => performance.now() >= endMs && count.underWay.size === 0;
    while (!isWarm() && performance.now() < endMs + DRAIN_MS) {
      while (performance.now() < endMs && count.underWay.size + waiting.length - taken < WARM_UP_UNDER_WAY)
        arrive(performance.now());
      await new Promise((next) => void setTimeout(next, 1));
    }
  };
  for (let i = 0; i < CONNECTIONS; i++) connect();

  return async ({ ratePerS, warmUpS, seconds }: Run): Promise<Measured> => {
    await warmUp(warmUpS);
    count = createCounts();
    say<Moment>({ type: 'warm' });
    const startMs = performance.now();
    const cpuBefore = process.cpuUsage();
    await arriveFor(ratePerS, seconds);
    const tookS = (performance.now() - startMs) / 1000;
    const cpu = process.cpuUsage(cpuBefore);
    say<Moment>({ type: 'arrived' });
    const deadlineMs = performance.now() + DRAIN_MS;
    const isOpen = (): boolean => count.underWay.size > 0 || waiting.length > taken;
    while (isOpen() && performance.now() < deadlineMs) await new Promise((next) => void setTimeout(next, 20));
    const late = [...count.underWay, ...waiting.slice(taken)];
    for (const { dueMs } of late) count.latency.record((performance.now() - dueMs) * 1000);
    const { sent, answered, errors, latency, byOperation, lag } = count;
    waiting.length = 0;
    taken = 0;
    return {
      type: 'measured',
      seconds: tookS,
      sent,
      answered,
      errors,
      unanswered: late.length,
      latency: latency.snapshot(),
      byOperation: byOperation.map((one) => one.snapshot()),
      lag: lag.snapshot(),
      cpuS: (cpu.user + cpu.system) / 1e6,
    };
  };
}

let run: ((command: Run) => Promise<Measured>) | null = null;

onCommand((message) => {
  const command = message as LoadCommand;
  if (command.type === 'plan') {
    assert(run === null, 'one plan a process');
    run = createClinicians(command);
    return;
  }
  assert(run !== null, 'the plan comes first');
  run(command).then(say, (error: unknown) => {
    say({ type: 'failure', message: String(error) });
    process.exit(1);
  });
});
