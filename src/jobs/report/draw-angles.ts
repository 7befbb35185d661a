/** Owns the pictures of joint angles over a stride: mean and standard deviation of each side over the usual band. */

import type {
  ReportAngle,
  ReportCurve,
  ReportSide,
  ReportSideCurve,
  SessionReport,
} from '#contract/report.ts';
import {
  drawBand,
  drawGrid,
  drawLine,
  placeY,
  scaleOf,
  type Box,
  type Scale,
} from '#jobs/report/draw-chart.ts';
import { fixed } from '#jobs/report/report-numbers.ts';
import { ink, paper, sizes, type Sheet } from '#jobs/report/sheet.ts';

const COLUMNS = 3;
const GAP = 14;
const AXIS = 24;
const TITLE = 25;
const PLOT = 84;
const FOOT = 15;

export function drawAngles(sheet: Sheet, report: SessionReport): void {
  const { angles } = report;
  if (angles.length === 0) return;
  sheet.heading(
    'Joint angles over a stride',
    'degrees, from one initial contact of the foot (0 %) to its next (100 %)',
    15 + TITLE + PLOT + FOOT,
  );
  drawLegend(sheet, angles);
  const width = (paper.contentWidth - (COLUMNS - 1) * GAP) / COLUMNS;
  const height = TITLE + PLOT + FOOT;
  for (let first = 0; first < angles.length; first += COLUMNS) {
    sheet.ensure(height + 6);
    for (const [i, angle] of angles.slice(first, first + COLUMNS).entries()) {
      const x = paper.left + i * (width + GAP);
      const { y } = sheet;
      sheet.element('Figure', { alt: describe(angle) }, () =>
        drawAngle(sheet, angle, { x, y, width, height }),
      );
    }
    sheet.y += height + 6;
  }
}

/** A line of each kind, with its words. */
export function drawLegend(sheet: Sheet, angles: readonly ReportAngle[]): void {
  const { doc } = sheet;
  const populations = [...new Set(angles.flatMap(({ norm }) => norm?.population ?? []))];
  const entries = [
    { text: 'Left, mean ± SD', color: ink.left, tint: ink.leftTint, isDashed: false },
    { text: 'Right, mean ± SD', color: ink.right, tint: ink.rightTint, isDashed: true },
    ...(populations.length === 0
      ? []
      : [
          {
            text: `Usual: ${populations.join('; ')}`,
            color: null,
            tint: ink.band,
            isDashed: false,
          },
        ]),
  ];
  let x: number = paper.left;
  const y = sheet.y + 4;
  for (const { text, color, tint, isDashed } of entries) {
    sheet.ornament(() => {
      doc.rect(x, y - 3.5, 22, 7).fill(tint);
      if (color !== null)
        drawLine(
          sheet,
          [
            [x, y],
            [x + 22, y],
          ],
          { color, width: 1.3, isDashed },
        );
    });
    const at = x + 27;
    sheet.element('P', {}, () => sheet.text(text, at, y - 3.7, { size: sizes.small, color: ink.muted }));
    x = at + sheet.widthOf(text, { size: sizes.small }) + 16;
  }
  sheet.element('P', {}, () =>
    sheet.text('Upright mark: foot off; ° off: distance from usual', x, y - 3.7, {
      size: sizes.small,
      color: ink.muted,
    }),
  );
  sheet.y += 15;
}

const styles: Readonly<Record<ReportSide, { color: string; isDashed: boolean }>> = {
  left: { color: ink.left, isDashed: false },
  right: { color: ink.right, isDashed: true },
};

function drawAngle(sheet: Sheet, angle: ReportAngle, { x, y, width }: Box): void {
  const { doc } = sheet;
  sheet.text(angle.label, x, y, { size: sizes.body, bold: true });
  sheet.text(scoreText(angle), x, y + 11, { size: sizes.tiny, color: ink.muted });
  const box: Box = { x: x + AXIS, y: y + TITLE, width: width - AXIS, height: PLOT };
  const scale = scaleOf(valuesOf(angle));
  if (angle.norm !== null)
    drawBand(sheet, bandPoints(angle.norm.low, angle.norm.high, { box, scale }), {
      color: ink.band,
      opacity: 1,
    });
  drawGrid(sheet, box, scale);
  for (const side of ['left', 'right'] as const) {
    const curve = shownCurve(angle, side);
    if (curve === null) continue;
    const edges = (sign: number): ReportCurve =>
      curve.mean.map((value, i) => (value === null ? null : value + sign * (curve.spread[i] ?? 0)));
    const points = bandPoints(edges(-1), edges(1), { box, scale });
    drawBand(sheet, points, { color: styles[side].color, opacity: 0.18 });
  }
  for (const side of ['left', 'right'] as const) {
    const curve = shownCurve(angle, side);
    if (curve === null) continue;
    drawLine(sheet, curvePoints(curve.mean, { box, scale }), { ...styles[side], width: 1.3 });
    if (curve.footOffPercent === null) continue;
    const at = box.x + (box.width * curve.footOffPercent) / 100;
    const height = side === 'left' ? 10 : 6;
    drawLine(
      sheet,
      [
        [at, box.y + PLOT - height],
        [at, box.y + PLOT],
      ],
      { color: styles[side].color, width: 1, isDashed: false },
    );
  }
  doc
    .moveTo(box.x, box.y + PLOT)
    .lineTo(box.x + box.width, box.y + PLOT)
    .lineWidth(0.6)
    .stroke(ink.muted);
  for (const percent of [0, 25, 50, 75, 100]) {
    const at = box.x + (box.width * percent) / 100;
    doc
      .moveTo(at, box.y + PLOT)
      .lineTo(at, box.y + PLOT + 2)
      .lineWidth(0.5)
      .stroke(ink.muted);
    const style = { size: sizes.tiny, color: ink.muted, width: 20, align: 'center' } as const;
    sheet.text(
      percent === 100 ? '100 %' : String(percent),
      at - 10 - (percent === 100 ? 4 : 0),
      box.y + PLOT + 4,
      style,
    );
  }
}

/** An angle of neither side, as the pelvis's, changes its sign with the side of the stride: the right's is turned over. */
function shownCurve(angle: ReportAngle, side: ReportSide): ReportSideCurve | null {
  const curve = angle[side];
  if (curve === null || side === 'left' || !angle.isMirrored) return curve;
  return { ...curve, mean: curve.mean.map((value) => (value === null ? null : -value)) };
}

function valuesOf(angle: ReportAngle): number[] {
  const { norm } = angle;
  const sides = [shownCurve(angle, 'left'), shownCurve(angle, 'right')].flatMap((curve) =>
    curve === null
      ? []
      : curve.mean.flatMap((value, i) => {
          const spread = curve.spread[i] ?? 0;
          return value === null ? [] : [value - spread, value + spread];
        }),
  );
  return [...sides, ...(norm === null ? [] : [...norm.low, ...norm.high].flatMap((value) => value ?? []))];
}

interface Frame {
  readonly box: Box;
  readonly scale: Scale;
}

function curvePoints(curve: ReportCurve, { box, scale }: Frame): ([number, number] | null)[] {
  return curve.map((value, i) =>
    value === null ? null : [box.x + (box.width * i) / (curve.length - 1), placeY(box, scale, value)],
  );
}

function bandPoints(
  low: ReportCurve,
  high: ReportCurve,
  { box, scale }: Frame,
): ([number, number, number] | null)[] {
  return low.map((value, i) => {
    const top = high[i] ?? null;
    if (value === null || top === null) return null;
    return [box.x + (box.width * i) / (low.length - 1), placeY(box, scale, value), placeY(box, scale, top)];
  });
}

/** Strides behind each mean, and how far it is from the usual one. */
function scoreText({ left, right, isMirrored }: ReportAngle): string {
  const of = (name: string, curve: ReportSideCurve | null): string[] =>
    curve === null
      ? []
      : [`${name} n ${curve.strides}${curve.score === null ? '' : `, ${fixed(curve.score, 1)}° off`}`];
  return [...of('left', left), ...of(isMirrored ? 'right (turned over)' : 'right', right)].join('; ');
}

function describe(angle: ReportAngle): string {
  const of = (name: string, curve: ReportSideCurve | null): string => {
    const known = curve?.mean.filter((value) => value !== null) ?? [];
    if (known.length === 0) return `${name}: not known`;
    return `${name}: from ${fixed(Math.min(...known), 0)} to ${fixed(Math.max(...known), 0)} degrees over ${curve!.strides} strides`;
  };
  return `${angle.label} over a stride. ${of('Left', angle.left)}; ${of('right', angle.right)}.`;
}
