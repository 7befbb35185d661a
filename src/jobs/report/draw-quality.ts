/** Owns the end of a report: what every sensor gave and did not give, what became doubtful, and how the figures were made. */

import { intendedUse, type ReportNotice, type ReportSensor, type SessionReport } from '#contract/report.ts';
import { drawTable, type Column } from '#jobs/report/draw-table.ts';
import { countText, durationText, fixed, momentText, shareText } from '#jobs/report/report-numbers.ts';
import { ink, paper, sizes, type Sheet } from '#jobs/report/sheet.ts';

export function drawQuality(sheet: Sheet, report: SessionReport): void {
  const { quality } = report;
  sheet.heading('Quality of the recording', qualityText(report), 80);
  const narrow = 50;
  const missing = ({ lostReadings, pendingReadings }: ReportSensor): number => lostReadings + pendingReadings;
  const columns: readonly Column<ReportSensor>[] = [
    { title: 'Segment', width: 76, text: ({ segment }) => segment.replaceAll('-', ' ') },
    numbers('Rate', narrow - 6, ({ rateHz }) => `${Number(rateHz.toFixed(1))} Hz`),
    numbers('Readings', narrow + 6, ({ storedReadings }) => countText(storedReadings)),
    numbers('Lost', narrow - 6, ({ lostReadings }) => countText(lostReadings)),
    numbers('May come', narrow, ({ pendingReadings }) => countText(pendingReadings)),
    numbers('Missing', narrow - 4, (sensor) =>
      shareText(missing(sensor), missing(sensor) + sensor.storedReadings),
    ),
    numbers('Gaps', narrow - 14, ({ gaps }) => countText(gaps)),
    {
      title: 'How it sits',
      width: paper.contentWidth - 76 - 44 - 56 - 44 - 50 - 46 - 36,
      text: ({ alignment }) => alignment,
      style: () => ({ size: sizes.small }),
    },
  ];
  drawTable(sheet, columns, [{ title: null, rows: quality.sensors }]);
  if (quality.tailLost)
    sheet.paragraph(
      'A device lost its memory: how much it had recorded after its last stored reading is not known.',
    );
  if (quality.notices.length === 0) {
    sheet.paragraph('Nothing in the recording was marked as doubtful.', { color: ink.muted });
    return;
  }
  drawNotices(sheet, quality.notices);
}

function numbers(title: string, width: number, text: (sensor: ReportSensor) => string): Column<ReportSensor> {
  return { title, width, align: 'right', text };
}

function qualityText({ quality }: SessionReport): string {
  const { storedReadings, lostReadings, pendingReadings } = quality;
  const whole = storedReadings + lostReadings + pendingReadings;
  return `${countText(storedReadings)} of ${countText(whole)} readings are stored (${shareText(storedReadings, whole)})`;
}

function drawNotices(sheet: Sheet, notices: readonly ReportNotice[]): void {
  const columns: readonly Column<ReportNotice>[] = [
    { title: 'First at', width: 56, text: ({ firstS }) => durationText(firstS) },
    { title: 'Where', width: 76, text: ({ segment }) => segment?.replaceAll('-', ' ') ?? 'whole body' },
    {
      title: 'What became doubtful',
      width: paper.contentWidth - 56 - 76 - 44,
      text: ({ text }) => text,
    },
    { title: 'Times', width: 44, align: 'right', text: ({ count }) => countText(count) },
  ];
  drawTable(sheet, columns, [{ title: null, rows: notices }]);
}

export function drawMethod(sheet: Sheet, report: SessionReport): void {
  const { method, session, madeAt, timeZone, patient, gait } = report;
  sheet.heading('How this was made', '', 110);
  const style = { size: sizes.small, color: ink.muted };
  const height =
    patient === null || patient.heightM === null ? '' : `; height ${fixed(patient.heightM, 2)} m`;
  sheet.paragraph(
    `Algorithm ${method.algorithm}, version ${method.algorithmVersion}; body model revision ${method.bodyModelRevision}; ` +
      `readings at revision ${method.inputRevision}; ${method.sensors}${height}. ` +
      `Computed from committed readings only. Made ${momentText(madeAt, timeZone)} by ${method.program}.`,
    style,
  );
  sheet.paragraph(
    'Strides that turn by more than 20 degrees, or go up or down, are counted but are not in the means. Symmetry indices ' +
      'compare right and left; trunk and foot angles are of the sensor’s segment. Formulas and references: docs/gait-metrics.md.',
    style,
  );
  if (method.norms.length > 0 && gait.length > 0)
    sheet.paragraph(`Usual ranges (CC BY-SA 4.0): ${method.norms.join('; ')}.`, style);
  sheet.paragraph(
    `Session ${session.id}${session.revision > 1 ? `, revision ${session.revision}` : ''}.`,
    style,
  );
  sheet.paragraph(intendedUse, { size: sizes.body, bold: true });
}
