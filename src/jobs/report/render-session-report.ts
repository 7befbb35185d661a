/**
 * Owns a SessionReport as a PDF: heading, gait, symmetry, angles, sessions, quality, method, and on every page what it is not
 * for and which page it is. The same report gives the same bytes. Bound: `reportBounds` keep it to a few pages.
 */

import { intendedUse, type SessionReport } from '#contract/report.ts';
import { drawAngles } from '#jobs/report/draw-angles.ts';
import { drawGait, drawSymmetry, drawVariability } from '#jobs/report/draw-figures.ts';
import { drawHeading } from '#jobs/report/draw-heading.ts';
import { drawMethod, drawQuality } from '#jobs/report/draw-quality.ts';
import { drawTrends } from '#jobs/report/draw-trends.ts';
import { dateText } from '#jobs/report/report-numbers.ts';
import { createSheet, finishSheet, ink, paper, sizes } from '#jobs/report/sheet.ts';

/** A PDF 1.7, tagged, with text that can be searched and copied. */
export async function renderSessionReport(report: SessionReport): Promise<Uint8Array> {
  const who = report.patient?.code ?? 'no patient';
  const day = dateText(report.session.startedAt, report.timeZone);
  const sheet = createSheet({
    title: `Gait report, ${who}, ${day}`,
    subject: `Session ${report.session.id}. ${intendedUse}`,
    keywords: `gait, ${report.method.algorithm} ${report.method.algorithmVersion}`,
    program: report.method.program,
    madeAt: new Date(report.madeAt),
  });
  drawHeading(sheet, report);
  drawGait(sheet, report);
  drawAngles(sheet, report);
  drawSymmetry(sheet, report);
  drawVariability(sheet, report);
  drawTrends(sheet, report);
  drawQuality(sheet, report);
  drawMethod(sheet, report);
  return finishSheet(sheet, (page, pages) => {
    const { doc } = sheet;
    const style = { size: sizes.small, color: ink.muted };
    if (page > 1) {
      sheet.text(`Gait report, ${who}`, paper.left, 44, style);
      sheet.text(day, paper.left, 44, { ...style, width: paper.contentWidth, align: 'right' });
      doc.moveTo(paper.left, 58).lineTo(paper.right, 58).lineWidth(0.5).stroke(ink.line);
    }
    const y = paper.bottom + 14;
    doc
      .moveTo(paper.left, y - 6)
      .lineTo(paper.right, y - 6)
      .lineWidth(0.5)
      .stroke(ink.line);
    sheet.text(intendedUse, paper.left, y, style);
    const pageText = `Page ${page} of ${pages}`;
    sheet.text(pageText, paper.left, y, { ...style, width: paper.contentWidth, align: 'right' });
    sheet.text(`Session ${report.session.id}; ${report.method.program}`, paper.left, y + 10, {
      size: sizes.tiny,
      color: ink.muted,
    });
  });
}
