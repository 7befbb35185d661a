/**
 * Owns what it takes to ask for a report while clinicians work: a few a second, each of another session, beside the load. From
 * the moment at which a request was due until its answer; the reports themselves are made meanwhile.
 */

import { setTimeout as sleep } from 'node:timers/promises';

import { seededRandom } from '#base/random.ts';
import { drawWork, type Scenario } from '#bench/api/scenario.ts';
import type { Side } from '#bench/api/sides.ts';
import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';

/** Reports a second: 200 clinicians who each see a patient every 40 s. */
const JOBS_PER_S = 5;

export interface JobStarts {
  readonly p95Ms: number;
  readonly accepted: number;
  readonly failed: number;
}

/** Asks for `seconds`. */
export async function askForReports(
  side: Side,
  { scenario, seconds }: { readonly scenario: Scenario; readonly seconds: number },
): Promise<JobStarts> {
  const random = seededRandom(scenario.seed);
  const latency = createLatencyHistogram();
  const statuses: boolean[] = [];
  const asked: Promise<void>[] = [];
  const startMs = performance.now();
  for (let i = 0; i < JOBS_PER_S * seconds; i++) {
    const dueMs = startMs + (1000 * i) / JOBS_PER_S;
    await sleep(Math.max(0, dueMs - performance.now()));
    const { clinician, session } = drawWork(scenario, random);
    asked.push(
      ask(side, { clinician, session }).then((isAccepted) => {
        statuses.push(isAccepted);
        latency.record((performance.now() - dueMs) * 1000);
      }),
    );
  }
  await Promise.all(asked);
  const accepted = statuses.filter(Boolean).length;
  return { p95Ms: latency.quantileMs(0.95), accepted, failed: statuses.length - accepted };
}

async function ask(
  { host, port, credentials }: Side,
  { clinician, session }: { readonly clinician: number; readonly session: string },
): Promise<boolean> {
  try {
    const answer = await fetch(`http://${host}:${port}/v1/jobs`, {
      method: 'POST',
      headers: {
        authorization: credentials[clinician]!.replace(/^authorization: */i, '').trim(),
        'content-type': 'application/json',
      },
      body: JSON.stringify({ kind: 'session-report', input: { session } }),
    });
    await answer.arrayBuffer();
    return answer.status === 201 || answer.status === 202;
  } catch {
    return false;
  }
}
