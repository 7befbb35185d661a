/** Owns what an analysis looks like outside: the table on the terminal, and the files, plots among them. */

import type { Side } from '#motion/body-model.ts';
import { metricGroups, metricOf, type Metric } from '#motion/metric-catalogue.ts';
import { CYCLE_POINTS, type MetricValue } from '#motion/results.ts';
import { motionVersion } from '#motion/session-motion.ts';
import type { AnalysisInput } from '#app/analyse/analysis-input.ts';
import type { AnalysisResult } from '#app/analyse/analysis-run.ts';
import { curvePlot } from '#app/analyse/curve-plot.ts';
import { eventPlot, type SignalLane } from '#app/analyse/event-plot.ts';
import { compareWithNorms, comparisonLines, steadyCycles } from '#app/analyse/norm-comparison.ts';
import { normCurveOf } from '#app/analyse/norm-files.ts';
import { fixed, strideCsv, strideTable } from '#app/analyse/stride-table.ts';

/** A plot of the signal is of the first so many seconds: longer ones show nothing. */
const PLOTTED_S = 40;

interface MetricRow {
  readonly metric: Metric;
  readonly values: ReadonlyMap<Side | null, MetricValue>;
}

function rowsOf(result: AnalysisResult): MetricRow[] {
  const rows = new Map<string, { metric: Metric; values: Map<Side | null, MetricValue> }>();
  for (const value of result.metrics) {
    const metric = metricOf(value.metric, value.sensors);
    if (metric === null) continue;
    const row = rows.get(value.metric) ?? { metric, values: new Map<Side | null, MetricValue>() };
    rows.set(value.metric, row);
    row.values.set(value.side, value);
  }
  return [...rows.values()].sort(
    (a, b) => metricGroups.indexOf(a.metric.group) - metricGroups.indexOf(b.metric.group),
  );
}

/** For people: a line a figure, left, right and both, the known error beside it. */
export function analysisText(input: AnalysisInput, result: AnalysisResult): string {
  const worn = result.model.placements.map(({ segment }) => segment.replace('-', ' ')).join(', ');
  const seconds = (result.toUs - result.fromUs) / 1e6;
  const bouts = new Set(result.strides.map(({ bout }) => bout)).size;
  const lines = [
    `${input.name}${input.synthetic ? ' (synthetic)' : ''}: ${worn}, ${seconds.toFixed(1)} s`,
    `${result.strides.length} strides in ${bouts} ${bouts === 1 ? 'bout' : 'bouts'}, ${result.turns.length} ${result.turns.length === 1 ? 'turn' : 'turns'}, ${result.gaps} ${result.gaps === 1 ? 'gap' : 'gaps'}`,
    '',
  ];
  const known = rowsOf(result).filter(({ values }) =>
    [...values.values()].some(({ value }) => value !== null),
  );
  if (known.length > 0) {
    const cells = known.map(({ metric, values }) => [
      metric.label,
      ...(['left', 'right', null] as const).map((side) => shown(metric, values.get(side))),
      metric.unit === '1' ? '' : metric.unit,
      metric.error === null ? 'not measured' : `± ${metric.error.value}`,
    ]);
    const heading = ['', 'left', 'right', 'both', '', 'known error'];
    const widths = heading.map((_, c) => Math.max(...[heading, ...cells].map((row) => row[c]!.length)));
    for (const row of [heading, ...cells])
      lines.push(
        row
          .map((cell, c) => (c === 0 || c > 3 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!)))
          .join('  ')
          .trimEnd(),
      );
  }
  lines.push(...comparisonLines(compareWithNorms(result)));
  const reasons = new Set(
    result.metrics.flatMap(({ value, reason }) => (value === null && reason !== null ? [reason] : [])),
  );
  for (const reason of reasons) lines.push('', `Not given: ${reason}.`);
  for (const { timeUs, text } of result.notices.slice(0, 20))
    lines.push('', `${((timeUs - result.fromUs) / 1e6).toFixed(1)} s: ${text}`);
  if (result.notices.length > 20) lines.push('', `and ${result.notices.length - 20} more notices`);
  return lines.join('\n');
}

function shown(metric: Metric, value: MetricValue | undefined): string {
  if (value === undefined || value.value === null) return value === undefined ? '' : '–';
  const mean = fixed(value.value, metric.digits);
  return value.spread === null || metric.spread === 'none'
    ? mean
    : `${mean} (${value.spread.toFixed(metric.digits)})`;
}

/** By name: analysis.json, metrics.csv, strides.csv, cycles.csv and the plots. */
export function analysisFiles(input: AnalysisInput, result: AnalysisResult): Record<string, string> {
  const files: Record<string, string> = {
    'analysis.json': analysisJson(input, result),
    'metrics.csv': metricCsv(result),
    'strides.csv': strideCsv(result.strides),
    'cycles.csv': cycleCsv(result),
    'strides.svg': strideTable(result.strides, `Strides, ${input.name}`),
  };
  const lanes = lanesOf(input, result);
  if (lanes.length > 0)
    files['events.svg'] = eventPlot(lanes, {
      ...result,
      toUs: Math.min(result.toUs, result.fromUs + PLOTTED_S * 1e6),
      title: `Contacts on the signal, ${input.name}`,
    });
  const cycles = steadyCycles(result);
  const curves = new Set(cycles.flatMap(({ curves: own }) => Object.keys(own)));
  for (const curve of curves) {
    const words = curve.replaceAll('-', ' ');
    files[`angles-${curve}.svg`] = curvePlot(cycles, {
      curve,
      title: `${words[0]!.toUpperCase()}${words.slice(1)}, ${input.name}${input.synthetic ? ' (synthetic)' : ''}`,
      // Of what is in the middle the norm is over the stride of one side.
      norm: normCurveOf(curve, 'left'),
    });
  }
  return files;
}

function analysisJson(input: AnalysisInput, result: AnalysisResult): string {
  const { cycles, metrics, ...rest } = result;
  return JSON.stringify(
    {
      name: input.name,
      synthetic: input.synthetic,
      algorithm: 'motion',
      version: motionVersion,
      ...rest,
      metrics: metrics.map((value) => {
        const metric = metricOf(value.metric, value.sensors);
        return { ...value, unit: metric?.unit ?? null, error: metric?.error ?? null };
      }),
      norms: compareWithNorms(result),
      cycles: cycles.map((cycle) => ({
        ...cycle,
        curves: Object.fromEntries(
          Object.entries(cycle.curves).map(([name, curve]) => [name, [...curve].map(orNull)]),
        ),
      })),
    },
    null,
    1,
  );
}

function metricCsv(result: AnalysisResult): string {
  const rows = result.metrics.map((value) => {
    const metric = metricOf(value.metric, value.sensors);
    return [
      value.metric,
      value.side ?? '',
      value.value ?? '',
      value.spread ?? '',
      value.count,
      metric?.unit ?? '',
      metric?.error?.value ?? '',
    ].join(',');
  });
  return ['metric,side,value,spread,count,unit,known_error', ...rows].map((line) => `${line}\r\n`).join('');
}

function cycleCsv(result: AnalysisResult): string {
  const heading = ['side', 'start_us', 'end_us', 'curve'];
  for (let i = 0; i < CYCLE_POINTS; i++) heading.push(`p${i} [deg]`);
  const rows = result.cycles.flatMap(({ side, startUs, endUs, curves }) =>
    Object.entries(curves).map(([name, curve]) =>
      [side, startUs, endUs, name, ...[...curve].map((value) => orNull(value) ?? '')].join(','),
    ),
  );
  return [heading.join(','), ...rows].map((line) => `${line}\r\n`).join('');
}

/** The gyroscope of each foot across the direction of walking, or the acceleration of the trunk: what shows steps best. */
function lanesOf(input: AnalysisInput, result: AnalysisResult): SignalLane[] {
  return result.model.placements.flatMap(({ stream: id, segment, acc, gyr }) => {
    const stream = input.streams.find((one) => one.id === id);
    const isFoot = segment.endsWith('-foot');
    if (stream === undefined || !(isFoot || segment === 'lower-back' || segment === 'pelvis')) return [];
    if (!isFoot && result.model.placements.some((other) => other.segment.endsWith('-foot'))) return [];
    const { axes, timesUs, values } = stream;
    const triple = isFoot ? gyr : acc;
    const size = new Float64Array(timesUs.length);
    for (let i = 0; i < size.length; i++) {
      const at = i * axes.length;
      const [x, y, z] = triple.axes.map((axis) => values[at + axis]! * triple.scale) as [
        number,
        number,
        number,
      ];
      size[i] = Math.hypot(x, y, z) * (isFoot ? 180 / Math.PI : 1);
    }
    return [
      {
        name: `${segment.replace('-', ' ')}, ${isFoot ? 'rate of turn' : 'acceleration'}`,
        side: segment.startsWith('left') ? 'left' : segment.startsWith('right') ? 'right' : null,
        unit: isFoot ? 'deg/s' : 'm/s2',
        timesUs,
        values: size,
      } as const,
    ];
  });
}

function orNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
