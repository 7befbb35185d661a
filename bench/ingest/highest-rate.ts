/**
 * Owns the search for the highest rate that a server sustains: the rate of every stream is raised by half until a step
 * fails, then the interval between the last good and the first bad rate is halved twice. Every step is a run of its own
 * with new streams, and all of them are checked at the end.
 */

import { isSustained } from '#bench/ingest/figures.ts';
import type { StoringSide } from '#bench/ingest/sides.ts';
import type { StoringFigures, StoringRun } from '#bench/ingest/storing-side.ts';
import { rounded } from '#bench/support/report.ts';

const RAISE = 1.5;
const HALVINGS = 2;
/** From 100,000 readings/s this reaches 2.5 million. */
const MAX_RAISES = 8;

export interface RateStep {
  readonly rateHz: number;
  readonly readingsPerS: number | null;
  readonly ackMsP99: number | null;
  readonly serverCpuShare: number | null;
  readonly databaseCpuShare: number | null;
  readonly cpuUsPerReading: number | null;
  readonly generatorBusyShare: number | null;
  readonly generatorBound: boolean;
  readonly sustained: boolean;
}

export interface HighestRate {
  readonly highest: RateStep | null;
  readonly steps: readonly RateStep[];
}

export async function findHighestRate(
  side: StoringSide,
  run: StoringRun,
  say: (text: string) => void,
): Promise<HighestRate> {
  const steps: RateStep[] = [];
  const attempt = async (rateHz: number): Promise<boolean> => {
    say(`${side.name}: ${Math.round(rateHz)} Hz a stream`);
    const step = describe(rateHz, await side.measure({ ...run, load: { ...run.load, rateHz } }));
    steps.push(step);
    return step.sustained;
  };
  let good = 0;
  let bad = run.load.rateHz;
  for (let i = 0; i < MAX_RAISES && (await attempt(bad)); i++) {
    good = bad;
    bad = Math.round(bad * RAISE);
  }
  for (let i = 0; i < HALVINGS && good > 0 && bad > good; i++) {
    const middle = Math.round((good + bad) / 2);
    if (await attempt(middle)) good = middle;
    else bad = middle;
  }
  return { highest: steps.find((step) => step.rateHz === good && step.sustained) ?? null, steps };
}

function describe(rateHz: number, round: StoringFigures): RateStep {
  const { load, serverCpuS, databaseCpuS } = round;
  const durationS = load.durationMs / 1000;
  return {
    rateHz,
    readingsPerS: rounded(load.acknowledgedReadings / durationS, 0),
    ackMsP99: rounded(load.ack.quantileMs(0.99)),
    serverCpuShare: rounded(serverCpuS / durationS, 3),
    databaseCpuShare: rounded(databaseCpuS / durationS, 3),
    cpuUsPerReading: rounded(((serverCpuS + databaseCpuS) * 1e6) / load.acknowledgedReadings, 3),
    generatorBusyShare: rounded(load.generatorBusyShare, 3),
    generatorBound: load.generatorBound,
    sustained: isSustained(round),
  };
}
