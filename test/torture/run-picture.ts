/**
 * Owns the picture of a torture run: faults as bars by what they hit, and below on the same time axis what was stored, how
 * long devices waited for an acknowledgement, and how old live readings were. Plain SVG, light, no script.
 */

import type { FaultRecord } from '#test/torture/recorder.ts';
import type { Figures } from '#test/torture/run-report.ts';
import type { TortureOutcome } from '#test/torture/torture-run.ts';

const WIDTH = 1200;
const LEFT = 132;
const RIGHT = 24;
const ROW = 18;
const PANEL = 132;
const GAP = 40;
const TOP = 72;
/** Width of a letter of a bar's name, on the wide side. */
const LETTER = 5.6;

const groups = ['server', 'database', 'device', 'network', 'disk', 'clock'] as const;

interface Series {
  readonly name: string;
  readonly style: string;
  readonly values: readonly (number | null)[];
}

interface Panel {
  readonly title: string;
  readonly top: number;
  readonly series: readonly Series[];
  readonly scale: (value: number) => number;
  readonly ticks: readonly (readonly [number, string])[];
}

export function drawRun(outcome: TortureOutcome, figures: Figures): string {
  const { points, faults } = outcome.recorder;
  const endS = Math.max(points.at(-1)?.atS ?? 1, ...faults.map(({ healedS }) => healedS));
  const startS = points[0]?.atS ?? 0;
  const x = (atS: number): number => LEFT + ((atS - startS) / (endS - startS)) * (WIDTH - LEFT - RIGHT);
  const panelsTop = TOP + groups.length * ROW + GAP;
  const panels = panelsOf(outcome, panelsTop);
  const bottom = panelsTop + panels.length * (PANEL + GAP) - GAP;
  const bands = faults
    .filter(({ group }) => group === 'server' || group === 'database')
    .map(
      ({ struckS, healedS }) =>
        `<rect class="band" x="${n(x(struckS))}" y="${panelsTop}" width="${n(Math.max(1, x(healedS) - x(struckS)))}" height="${bottom - panelsTop}"/>`,
    );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + 56}" font-family="system-ui, sans-serif" font-size="12">`,
    STYLE,
    `<rect class="ground" width="${WIDTH}" height="${bottom + 56}"/>`,
    `<text class="title" x="24" y="30">${text(titleOf(figures))}</text>`,
    `<text class="quiet" x="24" y="50">${text(subtitleOf(figures))}</text>`,
    ...groups.map((group, row) => {
      const y = TOP + row * ROW;
      return `<text class="quiet" x="24" y="${y + 13}">${group}</text><line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y + ROW / 2}" y2="${y + ROW / 2}"/>`;
    }),
    ...timeTicks(startS, endS).map(
      (atS) =>
        `<line class="grid" x1="${n(x(atS))}" x2="${n(x(atS))}" y1="${TOP}" y2="${bottom}"/><text class="quiet" text-anchor="middle" x="${n(x(atS))}" y="${bottom + 18}">${clockText(atS)}</text>`,
    ),
    ...bands,
    ...groups.map((group, row) =>
      drawRow(
        faults.filter((fault) => fault.group === group),
        TOP + row * ROW,
        x,
      ),
    ),
    ...panels.map((panel) =>
      drawPanel(
        panel,
        points.map(({ atS }) => x(atS)),
      ),
    ),
    `<text class="quiet" text-anchor="end" x="${WIDTH - RIGHT}" y="${bottom + 40}">minutes:seconds since the run began</text>`,
    '</svg>\n',
  ].join('\n');
}

/** Bars of one group, each with its name where the next one leaves room. */
function drawRow(faults: readonly FaultRecord[], top: number, x: (atS: number) => number): string {
  const sorted = faults.toSorted((a, b) => a.struckS - b.struckS);
  return sorted
    .map((fault, i) => {
      const from = x(fault.struckS);
      const width = Math.max(3, x(fault.healedS) - from);
      const room = (sorted[i + 1] === undefined ? WIDTH - RIGHT : x(sorted[i + 1]!.struckS)) - from - width;
      const { kind, target, firstAckMs, failure } = fault;
      const says = `${kind}: ${target}, first acknowledgement ${firstAckMs ?? 'never'} ms after its end`;
      const label =
        room < kind.length * LETTER + 12
          ? ''
          : `<text class="name" x="${n(from + width + 5)}" y="${top + ROW / 2 + 4}">${text(kind)}</text>`;
      return `<rect class="${failure === null ? 'fault' : 'failure'}" x="${n(from)}" y="${top + 4}" width="${n(width)}" height="${ROW - 8}"><title>${text(says)}</title></rect>${label}`;
    })
    .join('\n');
}

const STYLE = `<style>
  .ground { fill: #ffffff } .title { font-size: 16px; font-weight: 600; fill: #16191d } text { fill: #16191d }
  .quiet { fill: #5b636d } .grid { stroke: #e3e6ea; stroke-width: 1 } .band { fill: #16191d; opacity: 0.07 }
  .name { fill: #5b636d; font-size: 10px } .fault { fill: #b26a00 } .failure { fill: #c62828 }
  .all { stroke: #8a929c } .calm { stroke: #16191d } path { fill: none; stroke-width: 1.4; stroke-linejoin: round }
  .dashed { stroke: #5b636d; stroke-dasharray: 4 3 } .area { stroke: none; fill: #8a929c; opacity: 0.35 }
</style>`;

function panelsOf({ recorder: { points } }: TortureOutcome, top: number): Panel[] {
  const peak = Math.max(1, ...points.map(({ acknowledgedPerS }) => acknowledgedPerS));
  const milliseconds = [10, 100, 1_000, 10_000, 60_000].map((ms): [number, string] => [
    ms,
    ms < 1000 ? `${ms} ms` : `${ms / 1000} s`,
  ]);
  const logarithmic = (value: number): number =>
    Math.log(Math.min(60_000, Math.max(10, value)) / 10) / Math.log(6_000);
  const at = (row: number): number => top + row * (PANEL + GAP);
  return [
    {
      title: 'Readings acknowledged per second',
      top: at(0),
      series: [{ name: '', style: 'calm', values: points.map((p) => p.acknowledgedPerS) }],
      scale: (value) => value / peak,
      ticks: [0, peak / 2, peak].map((v): [number, string] => [v, Math.round(v).toLocaleString('en-US')]),
    },
    {
      title: 'Longest wait for an acknowledgement',
      top: at(1),
      series: [
        { name: 'any device', style: 'all', values: points.map((p) => p.waitMs) },
        {
          name: 'devices hit only through server or database',
          style: 'calm',
          values: points.map((p) => p.calmWaitMs),
        },
      ],
      scale: logarithmic,
      ticks: milliseconds,
    },
    {
      title: 'Age of live readings, sessions hit only through server or database',
      top: at(2),
      series: [
        { name: 'p99', style: 'calm', values: points.map((p) => p.liveP99Ms) },
        { name: 'p50', style: 'dashed', values: points.map((p) => p.liveP50Ms) },
      ],
      scale: logarithmic,
      ticks: milliseconds,
    },
  ];
}

function drawPanel({ title, top, series, scale, ticks }: Panel, xs: readonly number[]): string {
  const y = (value: number): number => top + PANEL - scale(value) * PANEL;
  const legend = series
    .filter(({ name }) => name !== '')
    .map(
      ({ name, style }, i) =>
        `<path class="${style}" d="M${LEFT + 480 + i * 160} ${top - 11}h24"/><text class="quiet" x="${LEFT + 510 + i * 160}" y="${top - 7}">${text(name)}</text>`,
    );
  return [
    `<text x="${LEFT}" y="${top - 7}">${text(title)}</text>`,
    ...ticks.map(
      ([value, label]) =>
        `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${n(y(value))}" y2="${n(y(value))}"/><text class="quiet" text-anchor="end" x="${LEFT - 8}" y="${n(y(value) + 4)}">${label}</text>`,
    ),
    ...series.map(({ style, values }) => `<path class="${style}" d="${pathOf(values, xs, y)}"/>`),
    ...legend,
  ].join('\n');
}

/** A gap where nothing was measured: never a line across. */
function pathOf(
  values: readonly (number | null)[],
  xs: readonly number[],
  y: (value: number) => number,
): string {
  let path = '';
  let isDown = false;
  values.forEach((value, i) => {
    if (value !== null) path += `${isDown ? 'L' : 'M'}${n(xs[i]!)} ${n(y(value))}`;
    isDown = value !== null;
  });
  return path;
}

function titleOf({ verdict, minutes, faults, torture }: Figures): string {
  const stored = verdict.stored.toLocaleString('en-US');
  return `${torture === 'passed' ? 'Passed' : 'Failed'}: ${stored} readings, ${minutes} min, ${faults} faults; lost ${verdict.lost}, doubled ${verdict.doubled}, different ${verdict.different}`;
}

function subtitleOf({ devices, streams, servers, seed, database, machine }: Figures): string {
  return `${devices} devices of ${streams} streams at 200 Hz, ${servers} servers, PostgreSQL on ${database}; ${machine.cores} cores; seed ${seed}`;
}

function timeTicks(startS: number, endS: number): number[] {
  const step = [5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((s) => (endS - startS) / s <= 14) ?? 7200;
  const ticks: number[] = [];
  for (let atS = Math.ceil(startS / step) * step; atS <= endS; atS += step) ticks.push(atS);
  return ticks;
}

function clockText(atS: number): string {
  return `${Math.floor(atS / 60)}:${String(Math.round(atS % 60)).padStart(2, '0')}`;
}

function n(value: number): string {
  return value.toFixed(1);
}

function text(plain: string): string {
  return plain.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
