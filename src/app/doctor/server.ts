/** Owns the check of servers that run on this data: whether they are ready, and whether their background work goes on. */

import { ok, problem, warning, type Check, type Finding } from '#app/doctor/finding.ts';
import { askServer } from '#app/server-answer.ts';

export const checkServer: Check = async ({ servers }) => {
  if (servers.length === 0) return [ok('server', 'No server runs on this data now.')];
  const findings = await Promise.all(
    servers.map(async ({ pid, address }) => {
      const ready = await askServer(address, '/readyz');
      if (ready === null)
        return [
          problem(
            'server',
            `Process ${pid} at ${new URL(address).origin} does not answer.`,
            `kill -9 ${pid}, then start again`,
          ),
        ];
      const metrics = await askServer(address, '/metrics');
      return [judgeReadiness(pid, ready.body), judgeUpkeep(metrics?.body ?? '')];
    }),
  );
  return findings.flat();
};

export function judgeReadiness(pid: number, body: string): Finding {
  const wrong = readChecks(body).filter(([, outcome]) => outcome !== 'ok');
  if (wrong.length === 0) return ok('server', `The server (process ${pid}) is ready.`);
  return problem(
    'server',
    `The server (process ${pid}) is not ready: ${wrong.map(([name, outcome]) => `${name}: ${outcome}`).join('; ')}.`,
    'mend what is found about disk and database here; the server goes on by itself',
  );
}

function readChecks(body: string): [string, string][] {
  try {
    return Object.entries((JSON.parse(body) as { checks: Record<string, string> }).checks);
  } catch {
    return [['server', 'its answer cannot be read']];
  }
}

/** Background work by its counters, in the text format of Prometheus. */
export function judgeUpkeep(metrics: string): Finding {
  const steps = countersOf(metrics, 'kymo_upkeep_steps_total');
  const failures = countersOf(metrics, 'kymo_upkeep_failures_total').filter(([, count]) => count > 0);
  if (failures.length > 0)
    return warning(
      'upkeep',
      `Background work has failed since the start: ${failures.map(([task, count]) => `${task} ${count} times`).join(', ')}.`,
      'the log of the server says why; what failed is tried again by itself',
    );
  const done = steps.filter(([, count]) => count > 0).map(([task]) => task);
  return done.length > 0
    ? ok('upkeep', `Background work goes on: ${done.join(', ')}.`)
    : warning(
        'upkeep',
        'No background work has been done yet.',
        'look again in a minute; then read the log of the server',
      );
}

function countersOf(metrics: string, name: string): [string, number][] {
  const rows = metrics.matchAll(new RegExp(`^${name}\\{task="([^"]+)"\\} (\\d+)`, 'gm'));
  return [...rows].map((row) => [row[1]!, Number(row[2])]);
}
