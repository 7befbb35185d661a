/** Owns how the figures of the channels benchmark look to a person, on the terminal and in Markdown. Pure. */

import type { StepFigures } from '#bench/channels/step.ts';
import { formatFigure, formatTable } from '#bench/support/report.ts';

/** Figures by the name of the side. */
export type SideFigures = ReadonlyMap<string, StepFigures>;

const loopRows = (key: string, text: string): [string, string][] => [
  [`${key}PerS`, `${text}: deliveries/s`],
  [`${key}CpuUsPerDelivery`, '- server CPU, us a delivery'],
  [`${key}ServerBusyShare`, '- server busy, share of a core'],
  [`${key}GeneratorBusyShare`, '- clients busy, share of a core'],
];

/** Key of a figure, and what a person calls it. */
function rowsOf(subscribers: number): readonly (readonly [key: string, text: string])[] {
  return [
    ['connections', 'connections held by one process'],
    ['connectsPerS', 'connects/s'],
    ['connectCpuUs', '- server CPU, us each'],
    ['idleBytesPerConnection', 'idle, bytes each, after a collection'],
    ['uncollectedBytesPerConnection', '- before it'],
    ['kernelBytesPerConnection', '- in the kernel, buffers of both ends'],
    ['subscribedBytesPerConnection', '- subscribed to a channel, after a collection'],
    ['idleCpuShare', 'idle, share of a core for all'],
    ['subscribesPerS', 'all subscribe at once: subscribes/s'],
    ['subscribeCpuUs', '- server CPU, us each'],
    ['oneToAllMs', 'one message to all of them, ms'],
    ['reconnectS', 'all cut, all back, s'],
    ['reconnectCpuUs', '- server CPU, us each'],
    ['recoveredShare', '- with what they missed, share'],
    ...loopRows('broadcast500', 'broadcast to 500'),
    ...loopRows('broadcast5000', `broadcast to ${formatFigure(subscribers)}`),
    ...loopRows('rooms', 'rooms of 10'),
    ['crossRedisMsP50', 'through Redis to another instance, ms, p50'],
    ['crossRedisMsP99', '- p99'],
    ['mostConnections', 'most connections, several processes'],
    ['mostProcesses', '- server processes'],
    ['mostConnectsPerS', '- connects/s'],
    ['mostBytesPerConnection', '- idle, bytes each'],
  ];
}

export interface TableOptions {
  readonly subscribers: number;
}

/** Only rows with a figure. */
function cellsOf(figures: SideFigures, { subscribers }: TableOptions): string[][] {
  const names = [...figures.keys()];
  return rowsOf(subscribers)
    .map(([key, text]) => [text, ...names.map((name) => cellText(figures.get(name)?.[key]))])
    .filter((cells) => cells.slice(1).some((cell) => cell !== '-'));
}

export function terminalTable(figures: SideFigures, options: TableOptions): string {
  return formatTable(['', ...figures.keys()], cellsOf(figures, options));
}

export function markdownTable(figures: SideFigures, options: TableOptions): string {
  const names = [...figures.keys()];
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`;
  return (
    line(['', ...names]) +
    `|---|${names.map(() => '---').join('|')}|\n` +
    cellsOf(figures, options).map(line).join('')
  );
}

function cellText(value: number | boolean | string | null | undefined): string {
  return typeof value === 'number'
    ? formatFigure(value)
    : value === null || value === undefined
      ? '-'
      : String(value);
}
