/** Owns how the ingest benchmark's figures look to a person. Pure. */

import type { Figures } from '#bench/ingest/figures.ts';
import type { HighestRate, RateStep } from '#bench/ingest/highest-rate.ts';
import { formatFigure, formatTable } from '#bench/support/report.ts';

export interface ReceiveCost {
  readonly dropUsPerMessage: number | null;
  readonly countingUsPerMessage: number | null;
  readonly ratio: number;
  readonly generatorBound: boolean;
}

export interface Comparison {
  readonly sides: ReadonlyMap<string, Figures>;
  readonly ratios: Readonly<Record<string, number | null>>;
  readonly receive: { readonly paced: ReceiveCost; readonly flooded: ReceiveCost };
  readonly copy: { readonly cpuUsPerReading: number; readonly readingsPerS: number | null };
  readonly readingsPerFrame: number;
}

/** Key of a figure, and what a person calls it. */
const rows: readonly (readonly [key: string, text: string])[] = [
  ['readingsPerS', 'readings acknowledged, 1/s'],
  ['ackMsP50', 'acknowledged after, ms, p50'],
  ['ackMsP99', 'acknowledged after, ms, p99'],
  ['batchMs', 'oldest reading waits in the device, ms, mean'],
  ['liveMsP50', 'live, from sending, ms, p50'],
  ['liveMsP99', 'live, from sending, ms, p99'],
  ['liveFromSamplingMsP99', 'live, from sampling, ms, p99'],
  ['serverCpuUsPerReading', 'server CPU, us a reading'],
  ['databaseCpuUsPerReading', 'database CPU, us a reading'],
  ['cpuUsPerReading', 'both, us a reading'],
  ['rssMiB', 'server memory, MiB'],
  ['bytesPerReading', 'on disk, bytes a reading'],
  ['sent', 'readings sent'],
  ['stored', 'readings stored'],
  ['missing', 'acknowledged and missing'],
  ['duplicates', 'stored twice'],
  ['sendLagMsP99', 'generator late, ms, p99'],
  ['generatorBusyShare', 'generator busy, share of a core'],
  ['otherCpuShare', 'machine busy with other work, share of a core'],
];

export function comparisonTable(comparison: Comparison): string {
  const { sides, ratios, receive, copy, readingsPerFrame } = comparison;
  const names = [...sides.keys()];
  const storing = formatTable(
    [`${readingsPerFrame} readings a frame`, ...names],
    rows.map(([key, text]) => [text, ...names.map((name) => figureText(sides.get(name)?.[key]))]),
  );
  const receiving = formatTable(
    ['receiving, CPU us a message', 'drop', 'counting', 'ratio'],
    (['paced', 'flooded'] as const).map((pace) => [
      pace,
      formatFigure(receive[pace].dropUsPerMessage),
      formatFigure(receive[pace].countingUsPerMessage),
      formatFigure(receive[pace].ratio),
    ]),
  );
  const copying = formatTable(
    ['storing', 'database CPU, us a reading', 'readings/s', 'ours / plain COPY'],
    [
      [
        'plain COPY of the same rows',
        formatFigure(copy.cpuUsPerReading),
        formatFigure(copy.readingsPerS),
        formatFigure(ratios['storeRatioToCopy']),
      ],
    ],
  );
  return [storing, receiving, copying].join('\n');
}

const stepColumns: readonly (readonly [key: keyof RateStep, text: string])[] = [
  ['rateHz', 'Hz a stream'],
  ['readingsPerS', 'readings/s'],
  ['ackMsP99', 'ack ms p99'],
  ['serverCpuShare', 'server CPU'],
  ['databaseCpuShare', 'database CPU'],
  ['cpuUsPerReading', 'us a reading'],
  ['generatorBusyShare', 'generator CPU'],
  ['sustained', 'sustained'],
];

export function highestRateTable(found: ReadonlyMap<string, HighestRate>, readingsPerFrame: number): string {
  return [...found]
    .map(([name, { highest, steps }]) => {
      const table = formatTable(
        ['step', ...stepColumns.map(([, text]) => text)],
        steps.map((step, i) => [String(i + 1), ...stepColumns.map(([key]) => figureText(step[key]))]),
      );
      const best = highest === null ? 'none' : `${formatFigure(highest.readingsPerS)} readings/s`;
      return `${name}, ${readingsPerFrame} readings a frame: highest sustained ${best}\n${table}`;
    })
    .join('\n');
}

function figureText(value: number | boolean | null | undefined): string {
  return typeof value === 'boolean' ? (value ? 'yes' : 'no') : formatFigure(value);
}
