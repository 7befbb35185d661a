/** Owns the strides as a table: CSV (RFC 4180), and an SVG for people who print it. Units stand in the headings. */

import type { Stride } from '#motion/results.ts';
import { plotColours, svgDocument, svgText } from '#app/analyse/svg.ts';

interface Column {
  readonly key: keyof Stride;
  readonly heading: string;
  readonly unit: string;
  readonly digits: number;
}

const columns: readonly Column[] = [
  { key: 'strideTimeS', heading: 'time', unit: 's', digits: 2 },
  { key: 'stanceTimeS', heading: 'stance', unit: 's', digits: 2 },
  { key: 'swingTimeS', heading: 'swing', unit: 's', digits: 2 },
  { key: 'doubleSupportPercent', heading: 'both feet', unit: '%', digits: 0 },
  { key: 'strideLengthM', heading: 'length', unit: 'm', digits: 2 },
  { key: 'speedMS', heading: 'speed', unit: 'm/s', digits: 2 },
  { key: 'cadenceStepsPerMin', heading: 'cadence', unit: 'steps/min', digits: 0 },
  { key: 'clearanceM', heading: 'clearance', unit: 'm', digits: 2 },
  { key: 'turnDeg', heading: 'turn', unit: 'deg', digits: 0 },
  { key: 'heightChangeM', heading: 'height', unit: 'm', digits: 2 },
];

/** As `toFixed`, without a zero below zero. */
export function fixed(value: number, digits: number): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace('-', '') : text;
}

/** All digits, for programs. */
export function strideCsv(strides: readonly Stride[]): string {
  const keys = [
    'side',
    'bout',
    'startUs',
    'finalContactUs',
    'endUs',
    'terrain',
    ...columns.map(({ key }) => key),
  ] as const;
  const heading = keys.map((key) => {
    const unit = columns.find((column) => column.key === key)?.unit;
    return unit === undefined ? key : `${key} [${unit}]`;
  });
  const rows = strides.map((stride) => keys.map((key) => stride[key] ?? '').join(','));
  return [heading.join(','), ...rows].map((line) => `${line}\r\n`).join('');
}

/** One page of a table; the rest is in the CSV. */
const SHOWN_ROWS = 60;
const ROW_HEIGHT = 18;

export function strideTable(strides: readonly Stride[], title: string): string {
  const shown = strides.slice(0, SHOWN_ROWS);
  const firstUs = strides[0]?.startUs ?? 0;
  const right = (column: number): number => 210 + column * 82;
  const head = (text: string, unit: string, x: number): string[] => [
    svgText(text, { x, y: 56, anchor: 'end', size: 11, weight: 600 }),
    svgText(unit, { x, y: 70, anchor: 'end', size: 10, fill: plotColours.middle }),
  ];
  const body = [
    svgText(title, { x: 24, y: 26, size: 15, weight: 600 }),
    svgText('side', { x: 24, y: 56, size: 11, weight: 600 }),
    ...head('from', 's', 130),
    ...columns.flatMap(({ heading, unit }, i) => head(heading, unit, right(i))),
  ];
  for (const [i, stride] of shown.entries()) {
    const y = 90 + i * ROW_HEIGHT;
    const fill = plotColours[stride.side];
    body.push(
      svgText(stride.side, { x: 24, y, fill, weight: 600 }),
      svgText(((stride.startUs - firstUs) / 1e6).toFixed(2), { x: 130, y, anchor: 'end' }),
      ...columns.map(({ key, digits }, c) => {
        const value = stride[key];
        return svgText(typeof value === 'number' ? fixed(value, digits) : '–', {
          x: right(c),
          y,
          anchor: 'end',
        });
      }),
    );
  }
  const rest = strides.length - shown.length;
  if (rest > 0)
    body.push(
      svgText(`and ${rest} more, in strides.csv`, { x: 24, y: 96 + shown.length * ROW_HEIGHT, size: 11 }),
    );
  return svgDocument(
    {
      width: right(columns.length - 1) + 30,
      height: 120 + shown.length * ROW_HEIGHT,
      title,
      description: `${strides.length} strides, one a row.`,
    },
    body,
  );
}
