/** Owns the pictures of how metrics changed over a patient's sessions, with the usual range and the spread of each session. */

import type { ReportTrend, ReportTrendPoint, SessionReport } from '#contract/report.ts';
import { drawGrid, drawLine, placeY, scaleOf, type Box, type Scale } from '#jobs/report/draw-chart.ts';
import { drawMarker } from '#jobs/report/draw-table.ts';
import { dateText, errorText, figureText, monthText, unitText } from '#jobs/report/report-numbers.ts';
import { ink, paper, sizes, type Sheet } from '#jobs/report/sheet.ts';

const COLUMNS = 2;
const GAP = 18;
const AXIS = 28;
const TITLE = 24;
const PLOT = 70;
const FOOT = 14;

type SideName = 'left' | 'right' | 'both';
const colors: Readonly<Record<SideName, string>> = { left: ink.left, right: ink.right, both: ink.both };

export function drawTrends(sheet: Sheet, report: SessionReport): void {
  const { trends, timeZone } = report;
  if (trends.length === 0) return;
  const sessions = new Set(
    trends.flatMap(({ left, right, both }) => [...left, ...right, ...both].map(({ at }) => at)),
  );
  const width = (paper.contentWidth - (COLUMNS - 1) * GAP) / COLUMNS;
  const height = TITLE + PLOT + FOOT;
  const about = `${sessions.size} sessions of this patient; bars are standard deviations within a session, grey the usual range`;
  sheet.heading('Over sessions', about, height);
  for (let first = 0; first < trends.length; first += COLUMNS) {
    sheet.ensure(height + 8);
    for (const [i, trend] of trends.slice(first, first + COLUMNS).entries()) {
      const x = paper.left + i * (width + GAP);
      const { y } = sheet;
      sheet.element('Figure', { alt: describe(trend, timeZone) }, () =>
        drawTrend(sheet, trend, { box: { x, y, width, height }, timeZone }),
      );
    }
    sheet.y += height + 8;
  }
}

function drawTrend(
  sheet: Sheet,
  trend: ReportTrend,
  { box: { x, y, width }, timeZone }: { readonly box: Box; readonly timeZone: string },
): void {
  const { doc } = sheet;
  const unit = unitText(trend.unit);
  sheet.text(`${trend.label}${unit === '' ? '' : `, ${unit}`}`, x, y, { size: sizes.body, bold: true });
  if (trend.error !== null)
    sheet.text(
      `known error ${errorText(trend.error, trend.digits)}: smaller changes may be of the measurement`,
      x,
      y + 11,
      {
        size: sizes.tiny,
        color: ink.muted,
      },
    );
  const box: Box = { x: x + AXIS, y: y + TITLE, width: width - AXIS - 8, height: PLOT };
  const sides = sidesOf(trend);
  const all = sides.flatMap(({ points }) => points);
  const scale = scaleOf([
    ...all.flatMap(({ value, spread }) => [value - (spread ?? 0), value + (spread ?? 0)]),
    ...(trend.norm === null ? [] : [trend.norm.low, trend.norm.high]),
  ]);
  if (trend.norm !== null) {
    const [top, bottom] = [placeY(box, scale, trend.norm.high), placeY(box, scale, trend.norm.low)];
    doc.rect(box.x, top, box.width, bottom - top).fill(ink.band);
  }
  drawGrid(sheet, box, scale);
  const times = all.map(({ at }) => Date.parse(at));
  const [fromMs, toMs] = [Math.min(...times), Math.max(...times)];
  const placeX = (at: string): number =>
    box.x + 5 + ((box.width - 10) * (Date.parse(at) - fromMs)) / Math.max(1, toMs - fromMs);
  for (const side of sides) drawSide(sheet, side, { box, scale, placeX });
  const style = { size: sizes.tiny, color: ink.muted } as const;
  const label = (ms: number) => monthText(new Date(ms).toISOString(), timeZone);
  const labelY = box.y + PLOT + 4;
  sheet.text(dateText(new Date(fromMs).toISOString(), timeZone), box.x, labelY, style);
  if (toMs - fromMs > 0)
    sheet.text(
      new Date(fromMs).getUTCFullYear() === new Date(toMs).getUTCFullYear()
        ? label(toMs)
        : dateText(new Date(toMs).toISOString(), timeZone),
      box.x,
      labelY,
      { ...style, width: box.width, align: 'right' },
    );
}

interface TrendSide {
  readonly side: SideName;
  readonly points: readonly ReportTrendPoint[];
}

/** Both sides where they are known apart, else the walk as a whole. */
function sidesOf({ left, right, both }: ReportTrend): TrendSide[] {
  const apart: TrendSide[] = [
    { side: 'left', points: left },
    { side: 'right', points: right },
  ];
  return left.length + right.length > 0 ? apart : [{ side: 'both', points: both }];
}

interface Frame {
  readonly box: Box;
  readonly scale: Scale;
  readonly placeX: (at: string) => number;
}

function drawSide(sheet: Sheet, { side, points }: TrendSide, { box, scale, placeX }: Frame): void {
  const { doc } = sheet;
  // Sides stand beside each other where they are of one session.
  const shift = side === 'left' ? -1.6 : side === 'right' ? 1.6 : 0;
  const places = points.map(({ at, value }) => [placeX(at) + shift, placeY(box, scale, value)] as const);
  drawLine(sheet, places, { color: colors[side], width: 0.9, isDashed: side === 'right' });
  for (const [i, { spread, value }] of points.entries()) {
    const [x, y] = places[i]!;
    if (spread !== null) {
      const [top, bottom] = [placeY(box, scale, value + spread), placeY(box, scale, value - spread)];
      doc.save().opacity(0.45).moveTo(x, top).lineTo(x, bottom).lineWidth(0.8).stroke(colors[side]).restore();
    }
    drawMarker(sheet, { side, x, y });
  }
}

function describe(trend: ReportTrend, timeZone: string): string {
  const of = ({ side, points }: TrendSide): string => {
    const [first, last] = [points[0], points.at(-1)];
    if (first === undefined || last === undefined) return `${side}: not known`;
    const text = (point: ReportTrendPoint): string =>
      `${figureText({ ...point, count: 0, reason: null }, trend.digits)} on ${dateText(point.at, timeZone)}`;
    return `${side}: ${text(first)}, ${text(last)}`;
  };
  return `${trend.label} over sessions. ${sidesOf(trend).map(of).join('; ')}.`;
}
