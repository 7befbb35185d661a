/**
 * Owns `kymo simulate`: N synthetic people streaming to a server, from processes of their own. It makes a device for
 * each, shows what is sent and acknowledged while it runs, and revokes the devices at the end.
 */

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { createFleetAccounts } from '#simulator/fleet-accounts.ts';
import type { FleetPlan, FleetReport } from '#simulator/fleet.ts';
import { printProgress } from '#app/terminal.ts';

/** A process feeds this many people easily; more processes bring nothing on two cores. */
const SESSIONS_PER_PROCESS = 250;
const MAX_SESSIONS = 10_000;
const fleetProcess = fileURLToPath(new URL('../simulator/fleet-process.ts', import.meta.url));

export const simulateCommand = {
  help: `Usage: kymo simulate --access-key KEY [flags]

  --url <url>          the server (default http://127.0.0.1:7900)
  --access-key <key>   a key that may make devices: the one in the printed address
  --sessions <n>       people (default 10)
  --sensors <n>        sensors a person, 1 to 7 (default 7)
  --rate <hz>          readings a second and sensor (default 200)
  --seconds <s>        how long (default 60)
  --seed <n>           who walks (default 1)`,

  async run(args: readonly string[]): Promise<number> {
    const options = parse(args);
    const accounts = await createFleetAccounts(
      options,
      Array.from({ length: options.sessions }, (_, i) => `simulated-${options.seed + i}`),
    );
    const ended = new AbortController();
    process.once('SIGINT', () => ended.abort());
    try {
      const plans: FleetPlan[] = [];
      for (let first = 0; first < accounts.keys.length; first += SESSIONS_PER_PROCESS)
        plans.push({
          ...options,
          keys: accounts.keys.slice(first, first + SESSIONS_PER_PROCESS),
          seed: options.seed + first,
        });
      const isDrained = await runProcesses(plans, ended.signal);
      if (!isDrained)
        throw new AppError('store-unavailable', 'the server did not acknowledge everything in time');
      console.log('Everything was acknowledged.');
      return 0;
    } finally {
      await accounts.revoke();
    }
  },
};

/** Runs the plans side by side; true when all of them were acknowledged to the last reading. */
async function runProcesses(plans: readonly FleetPlan[], signal: AbortSignal): Promise<boolean> {
  const reports: FleetReport[] = [];
  const startedMs = clock.monotonicMs();
  const runs = plans.map(
    (plan, i) =>
      new Promise<boolean>((resolve) => {
        const child = fork(fleetProcess, { stdio: 'inherit' });
        signal.addEventListener('abort', () => child.connected && child.send({ stop: true }));
        child.on('message', ({ report }: { report: FleetReport }) => {
          reports[i] = report;
          printProgress({
            done: (clock.monotonicMs() - startedMs) / 1000,
            of: plan.seconds,
            text: summaryOf(reports),
          });
        });
        child.on('exit', (code) => resolve(code === 0));
        child.send({ plan });
      }),
  );
  const isDrained = (await Promise.all(runs)).every(Boolean);
  printProgress(null);
  return isDrained;
}

function summaryOf(reports: readonly FleetReport[]): string {
  const sum = (pick: (report: FleetReport) => number): number =>
    reports.reduce((total, report) => total + pick(report), 0);
  const count = (value: number): string => value.toLocaleString('en');
  return `${count(sum((r) => r.connected))} connected, ${count(sum((r) => r.settledReadings))} acknowledged, ${count(sum((r) => r.bufferedReadings))} waiting`;
}

function parse(args: readonly string[]) {
  const { values } = (() => {
    try {
      return parseArgs({
        args: [...args],
        options: {
          url: { type: 'string', default: 'http://127.0.0.1:7900' },
          'access-key': { type: 'string' },
          sessions: { type: 'string', default: '10' },
          sensors: { type: 'string', default: '7' },
          rate: { type: 'string', default: '200' },
          seconds: { type: 'string', default: '60' },
          seed: { type: 'string', default: '1' },
        },
      });
    } catch (cause) {
      throw new AppError('invalid-field', (cause as Error).message, { cause });
    }
  })();
  const whole = (name: 'sessions' | 'sensors' | 'rate' | 'seconds' | 'seed', most: number): number => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 1 || value > most)
      throw new AppError(
        'invalid-field',
        `--${name} is "${values[name]}": it takes a whole number from 1 to ${most}`,
      );
    return value;
  };
  const accessKey = values['access-key'];
  if (accessKey === undefined)
    throw new AppError('invalid-field', '--access-key is missing: it stands in the printed address');
  return {
    url: values.url,
    accessKey,
    sessions: whole('sessions', MAX_SESSIONS),
    sensors: whole('sensors', 7),
    rateHz: whole('rate', 2_000),
    seconds: whole('seconds', 86_400),
    seed: whole('seed', 1e9),
  };
}
