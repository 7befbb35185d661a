/** Owns the arithmetic from what was measured in rounds to the figures of BENCH.md for one storing side. Pure. */

import { createLatencyHistogram, type LatencyHistogram } from '#bench/support/latency-histogram.ts';
import type { CheckResult } from '#bench/support/reading-checker.ts';
import { rounded } from '#bench/support/report.ts';
import type { StoringFigures } from '#bench/ingest/storing-side.ts';

export interface IngestShape {
  readonly sessions: number;
  readonly sensors: number;
  readonly rateHz: number;
  readonly readingsPerFrame: number;
}

/** A figure that could not be measured is null. */
export type Figures = Readonly<Record<string, number | boolean | null>>;

export interface StoredResult {
  readonly check: CheckResult;
  /** Tables and indexes. */
  readonly storedBytes: number;
}

export function ingestFigures(
  shape: IngestShape,
  rounds: readonly StoringFigures[],
  { check, storedBytes }: StoredResult,
): Figures {
  const sum = (of: (round: StoringFigures) => number): number =>
    rounds.reduce((total, round) => total + of(round), 0);
  const all = (of: (round: StoringFigures) => LatencyHistogram): LatencyHistogram => {
    const merged = createLatencyHistogram();
    for (const round of rounds) merged.add(of(round).snapshot());
    return merged;
  };
  const acknowledged = sum((r) => r.load.acknowledgedReadings);
  const durationS = sum((r) => r.load.durationMs) / 1000;
  const serverCpuS = sum((r) => r.serverCpuS);
  const databaseCpuS = sum((r) => r.databaseCpuS);
  const ack = all((r) => r.load.ack);
  const sending = all((r) => r.fromSending);
  const sampling = all((r) => r.fromSampling);
  return {
    ...shape,
    measuredS: rounded(durationS),
    sent: check.sent,
    acknowledged: check.acknowledged,
    stored: check.stored,
    duplicates: check.duplicates,
    missing: check.missing,
    readingsPerS: rounded(acknowledged / durationS, 0),
    ackMsP50: rounded(ack.quantileMs(0.5)),
    ackMsP99: rounded(ack.quantileMs(0.99)),
    batchMs: rounded(all((r) => r.load.batch).meanMs()),
    liveMsP50: rounded(sending.quantileMs(0.5)),
    liveMsP99: rounded(sending.quantileMs(0.99)),
    liveFromSamplingMsP99: rounded(sampling.quantileMs(0.99)),
    liveFrames: sum((r) => r.liveFrames),
    liveSkipped: sum((r) => r.liveSkipped),
    serverCpuS: rounded(serverCpuS),
    databaseCpuS: rounded(databaseCpuS),
    serverCpuShare: rounded(serverCpuS / durationS, 3),
    databaseCpuShare: rounded(databaseCpuS / durationS, 3),
    serverCpuUsPerReading: rounded((serverCpuS * 1e6) / acknowledged, 3),
    databaseCpuUsPerReading: rounded((databaseCpuS * 1e6) / acknowledged, 3),
    cpuUsPerReading: rounded(((serverCpuS + databaseCpuS) * 1e6) / acknowledged, 3),
    rssMiB: rounded(Math.max(...rounds.map((r) => r.rssMiB)), 0),
    bytesPerReading: rounded(storedBytes / check.stored),
    reconnects: sum((r) => r.end.reconnects),
    resent: sum((r) => r.end.resentReadings),
    creditWaits: sum((r) => r.end.creditWaits),
    otherCpuShare: rounded(Math.max(0, sum((r) => r.otherCpuS) / durationS), 3),
    sendLagMsP99: rounded(all((r) => r.load.lag).quantileMs(0.99)),
    generatorBusyShare: rounded(Math.max(...rounds.map((r) => r.load.generatorBusyShare)), 3),
    generatorBound: rounds.some((r) => r.load.generatorBound),
  };
}

/** Whether a rate was carried: everything acknowledged within a second, and no backlog that grows. */
export function isSustained(round: StoringFigures): boolean {
  const { load } = round;
  const perS = (load.sentReadings / load.durationMs) * 1000;
  const hasBacklog = load.unsentReadings + load.unacknowledgedReadings > perS;
  return (
    load.ack.quantileMs(0.99) <= 1000 && !hasBacklog && load.acknowledgedReadings >= load.sentReadings * 0.95
  );
}
