/**
 * Owns the tables of figures: gait by side with the usual range, where on it the values lie, and the known error; symmetry as
 * bars to the larger side; variation from stride to stride.
 */

import type { ReportFigure, ReportRow, SessionReport } from '#contract/report.ts';
import { DASH, errorText, figureText, fixed, unitText } from '#jobs/report/report-numbers.ts';
import { drawMarker, drawTable, type Column } from '#jobs/report/draw-table.ts';
import { ink, paper, sizes, type Sheet } from '#jobs/report/sheet.ts';

const STRIP = 86;
const NUMBER = 65;

const sectionTitles: Readonly<Record<string, string>> = {
  pace: 'Pace',
  time: 'Timing',
  distance: 'Foot in the air',
  angles: 'Range of motion in a stride',
  variability: 'Coefficient of variation',
  regularity: 'Regularity of the trunk',
};

export function drawGait(sheet: Sheet, report: SessionReport): void {
  const rows = report.gait.filter(({ group }) => group !== 'amount');
  sheet.heading('Gait', 'mean ± standard deviation over strides straight ahead on the level', 90);
  if (rows.length === 0) {
    sheet.paragraph(`No figures of gait: ${report.provisional ?? 'nobody walked'}.`, { color: ink.muted });
    return;
  }
  const label = paper.contentWidth - 3 * NUMBER - 58 - STRIP - 44;
  const columns: readonly Column<ReportRow>[] = [
    { title: 'Measure', width: label, text: ({ label: name, unit }) => withUnit(shortLabel(name), unit) },
    sideColumn('left'),
    sideColumn('right'),
    number('Both', ({ both }) => both),
    {
      title: 'Usual range',
      width: 58,
      align: 'right',
      text: ({ norm, digits }) =>
        norm === null ? DASH : `${fixed(norm.low, digits)} to ${fixed(norm.high, digits)}`,
      style: () => ({ color: ink.muted, size: sizes.small + 0.4 }),
    },
    {
      title: '   where it lies',
      width: STRIP,
      text: () => '',
      draw: (row, x, y) => drawStrip(sheet, row, { x: x + 6, y: y + 6.6, width: STRIP - 14 }),
    },
    {
      title: 'Error',
      width: 44,
      align: 'right',
      text: ({ error, digits }) => (error === null ? DASH : errorText(error.value, digits)),
      style: () => ({ color: ink.muted, size: sizes.small + 0.4 }),
    },
  ];
  drawTable(sheet, columns, sectionsOf(rows));
  for (const note of notesOf(rows)) sheet.paragraph(note, { size: sizes.tiny, color: ink.muted });
}

/** The heading of the section says the rest. */
function shortLabel(label: string): string {
  return label.replace(', range of motion', '').replace(', variation', '');
}

function withUnit(label: string, unit: string): string {
  const words = unitText(unit);
  return words === '' ? label : `${label}, ${words}`;
}

function sideColumn(side: 'left' | 'right'): Column<ReportRow> {
  return { ...number(side === 'left' ? 'Left' : 'Right', (row) => row[side]), side };
}

function number(title: string, of: (row: ReportRow) => ReportFigure | null): Column<ReportRow> {
  return {
    title,
    width: NUMBER,
    align: 'right',
    text: (row) => figureText(of(row), row.digits),
    style: (row) => ((of(row)?.value ?? null) === null ? { color: ink.muted } : {}),
  };
}

function sectionsOf(rows: readonly ReportRow[]) {
  const groups = [...new Set(rows.map(({ group }) => group))];
  return groups.map((group) => ({
    title: sectionTitles[group] ?? group,
    rows: rows.filter((row) => row.group === group),
  }));
}

function isKnown(figure: ReportFigure | null): figure is ReportFigure & { readonly value: number } {
  return figure !== null && figure.value !== null;
}

/** Whose ranges and errors stand in the table, and why figures are missing. */
function notesOf(rows: readonly ReportRow[]): string[] {
  const populations = [...new Set(rows.flatMap(({ norm }) => norm?.population ?? []))];
  const sources = [
    ...new Set(rows.flatMap(({ error }) => (error === null ? [] : `${error.kind} error, ${error.source}`))),
  ];
  const reasons = [
    ...new Set(
      rows.flatMap(({ label, left, right, both }) =>
        [left, right, both].flatMap((figure) =>
          figure === null || figure.reason === null ? [] : `${label}: ${figure.reason}`,
        ),
      ),
    ),
  ];
  return [
    ...(populations.length === 0
      ? []
      : [`Usual range, grey: mean ± one standard deviation of healthy ${populations.join('; ')}.`]),
    ...(sources.length === 0
      ? []
      : [
          `Error: measured against a reference: ${sources.join('; ')}. A dash: never measured with these sensors.`,
        ]),
    ...(reasons.length === 0 ? [] : [`Not known. ${reasons.join('; ')}.`]),
  ];
}

interface Place {
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

/** Equal sides stand one above the other, not one on the other. */
const lifts = { left: -1.7, right: 1.7, both: 0 } as const;

/** The usual range in the middle third; values beyond three times its width stand at the edge. */
function drawStrip(sheet: Sheet, { norm, left, right, both }: ReportRow, { x, y, width }: Place): void {
  if (norm === null) return;
  const { doc } = sheet;
  const span = norm.high - norm.low;
  const at = (value: number): number =>
    x + Math.min(width, Math.max(0, ((value - norm.low + span) / (3 * span)) * width));
  doc.rect(at(norm.low), y - 4, at(norm.high) - at(norm.low), 8).fill(ink.band);
  doc
    .moveTo(x, y)
    .lineTo(x + width, y)
    .lineWidth(0.4)
    .stroke(ink.line);
  const sides = isKnown(left) || isKnown(right) ? { left, right } : { both };
  for (const [side, figure] of Object.entries(sides))
    if (isKnown(figure))
      drawMarker(sheet, {
        side: side as keyof typeof lifts,
        x: at(figure.value),
        y: y + lifts[side as keyof typeof lifts],
      });
}

const measures = [
  ['ratio', 'Right to left'],
  ['robinson-index', 'Robinson index'],
  ['symmetry-angle', 'Symmetry angle'],
  ['asymmetry', 'Asymmetry'],
  ['normalised-index', 'Normalised'],
] as const;

interface SymmetryRow {
  readonly quantity: string;
  readonly label: string;
  readonly measures: Readonly<Record<string, ReportRow>>;
}

/** Of Robinson's index, percent: a plain limp; longer bars end there, and the number says how much it is. */
const WIDEST = 20;

export function drawSymmetry(sheet: Sheet, report: SessionReport): void {
  const rows = symmetryRows(report.symmetry);
  if (rows.length === 0) return;
  sheet.heading(
    'Symmetry',
    '0 % is symmetric; bars, Robinson’s index, point to the larger side and end at 20 %',
    90,
  );
  const measureWidth = 56;
  const bar = 92;
  const columns: readonly Column<SymmetryRow>[] = [
    {
      title: 'Quantity',
      width: paper.contentWidth - measures.length * measureWidth - bar,
      text: ({ label }) => label,
    },
    ...measures.map(([name, title]): Column<SymmetryRow> => ({
      title,
      width: measureWidth,
      align: 'right',
      text: ({ measures: of }) => {
        const row = of[name];
        if (row === undefined || !isKnown(row.both)) return DASH;
        return `${fixed(row.both.value, row.digits)}${row.unit === '%' ? ' %' : ''}`;
      },
    })),
    {
      title: '',
      width: bar,
      text: () => '',
      draw: ({ measures: of }, x, y) =>
        drawBalance(sheet, of['robinson-index']?.both?.value ?? null, {
          x: x + 12,
          y: y + 6.6,
          width: bar - 14,
        }),
    },
  ];
  drawTable(sheet, columns, [{ title: null, rows }]);
}

function symmetryRows(rows: readonly ReportRow[]): SymmetryRow[] {
  const found = new Map<string, { quantity: string; label: string; measures: Record<string, ReportRow> }>();
  for (const row of rows) {
    const measure = measures.find(([name]) => row.metric.endsWith(`-${name}`));
    if (measure === undefined) continue;
    const quantity = row.metric.slice(0, -measure[0].length - 1);
    const label = row.label.slice(0, row.label.lastIndexOf(',')).replace('range of motion', 'range');
    const known = found.get(quantity) ?? { quantity, label, measures: {} };
    known.measures[measure[0]] = row;
    found.set(quantity, known);
  }
  return [...found.values()];
}

function drawBalance(sheet: Sheet, percent: number | null, { x, y, width }: Place): void {
  const { doc } = sheet;
  const middle = x + width / 2;
  doc
    .moveTo(middle, y - 5)
    .lineTo(middle, y + 5)
    .lineWidth(0.6)
    .stroke(ink.muted);
  if (percent === null) return;
  const length = (Math.min(WIDEST, Math.abs(percent)) / WIDEST) * (width / 2);
  const side = percent < 0 ? 'left' : 'right';
  doc.rect(side === 'left' ? middle - length : middle, y - 2.6, length, 5.2).fill(ink[side]);
}

export function drawVariability(sheet: Sheet, report: SessionReport): void {
  const rows = report.variability.filter(({ left, right, both }) => [left, right, both].some(isKnown));
  if (rows.length === 0) return;
  sheet.heading(
    'Variation',
    'standard deviation as a share of the mean, over strides straight ahead on the level',
    90,
  );
  const columns: readonly Column<ReportRow>[] = [
    {
      title: 'Measure',
      width: paper.contentWidth - 3 * NUMBER,
      text: ({ label, unit }) => withUnit(shortLabel(label), unit),
    },
    sideColumn('left'),
    sideColumn('right'),
    number('Both', ({ both }) => both),
  ];
  drawTable(sheet, columns, sectionsOf(rows));
}
