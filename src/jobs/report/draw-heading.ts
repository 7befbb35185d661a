/** Owns the beginning of a report: whom and what it is about, what was recorded, and what a reader must know first. */

import type { ReportRow, SessionReport } from '#contract/report.ts';
import { durationText, fixed, momentText } from '#jobs/report/report-numbers.ts';
import { ink, paper, sizes, type Sheet } from '#jobs/report/sheet.ts';

const COLUMNS = 4;
const FACT_HEIGHT = 25;
const TOP = 40;

export function drawHeading(sheet: Sheet, report: SessionReport): void {
  sheet.ensure(200);
  sheet.y = TOP;
  sheet.element('H1', {}, () =>
    sheet.text('Gait report', paper.left, sheet.y, { size: sizes.title, bold: true }),
  );
  const who = report.patient?.code ?? 'No patient';
  sheet.element('P', {}, () =>
    sheet.text(who, paper.left, sheet.y, { ...rightAligned, size: sizes.title, bold: true }),
  );
  sheet.y += 25;
  sheet.element('P', {}, () =>
    sheet.text(report.organisation, paper.left, sheet.y, { size: sizes.body, color: ink.muted }),
  );
  sheet.element('P', {}, () =>
    sheet.text(momentText(report.session.startedAt, report.timeZone), paper.left, sheet.y, {
      ...rightAligned,
      color: ink.muted,
    }),
  );
  sheet.y += 15;
  rule(sheet);
  sheet.y += 8;
  drawFacts(sheet, [...patientFacts(report), ...sessionFacts(report)]);
  drawWarnings(sheet, report);
}

const rightAligned = { width: paper.contentWidth, align: 'right' } as const;

function rule(sheet: Sheet): void {
  sheet.ornament(() => {
    sheet.doc.moveTo(paper.left, sheet.y).lineTo(paper.right, sheet.y).lineWidth(0.7).stroke(ink.line);
  });
}

interface Fact {
  readonly name: string;
  readonly value: string;
}

function patientFacts({ patient }: SessionReport): Fact[] {
  if (patient === null) return [];
  const { ageYears, sex, heightM, massKg, affectedSide, diagnosis } = patient;
  return [
    ...(ageYears === null ? [] : [{ name: 'Age', value: `about ${ageYears} years` }]),
    ...(sex === null ? [] : [{ name: 'Sex', value: sex }]),
    ...(heightM === null ? [] : [{ name: 'Height', value: `${fixed(heightM, 2)} m` }]),
    ...(massKg === null ? [] : [{ name: 'Mass', value: `${fixed(massKg, 0)} kg` }]),
    ...(affectedSide === null ? [] : [{ name: 'Affected side', value: affectedSide }]),
    ...(diagnosis === '' ? [] : [{ name: 'Diagnosis', value: diagnosis }]),
  ];
}

function sessionFacts({ session, gait, quality }: SessionReport): Fact[] {
  const amount = (metric: string): string | null => amountOf(gait, metric);
  const [strides, steady] = [amount('strides'), amount('steady-strides')];
  const [metres, seconds, bouts] = [amount('walking-distance'), amount('walking-time'), amount('bouts')];
  return [
    { name: 'Recorded', value: durationText(session.durationS) },
    ...(seconds === null || seconds === '0'
      ? []
      : [{ name: 'Walked', value: `${metres ?? '–'} m in ${seconds} s` }]),
    ...(bouts === null || bouts === '0' ? [] : [{ name: 'Bouts of walking', value: bouts }]),
    ...(strides === null
      ? []
      : [{ name: 'Strides', value: `${strides}, ${steady ?? '–'} straight on the level` }]),
    { name: 'Sensors', value: String(quality.sensors.length) },
  ];
}

function amountOf(rows: readonly ReportRow[], metric: string): string | null {
  const row = rows.find((one) => one.metric === metric);
  const value = row?.both?.value ?? null;
  return row === undefined || value === null ? null : fixed(value, row.digits);
}

/** A diagnosis is as long as it is: each fact takes as many columns as it needs. */
function drawFacts(sheet: Sheet, facts: readonly Fact[]): void {
  const width = paper.contentWidth / COLUMNS;
  let column = 0;
  for (const { name, value } of facts) {
    const needed = Math.max(sheet.widthOf(value), sheet.widthOf(name, { size: sizes.small })) + 8;
    const span = Math.min(COLUMNS, Math.ceil(needed / width));
    if (column + span > COLUMNS) {
      column = 0;
      sheet.y += FACT_HEIGHT;
    }
    const x = paper.left + column * width;
    const shown = shortened(sheet, value, span * width - 8);
    sheet.element('P', {}, () => {
      sheet.text(name, x, sheet.y, { size: sizes.small, color: ink.muted });
      sheet.text(shown, x, sheet.y + 9.5);
    });
    column += span;
  }
  sheet.y += FACT_HEIGHT + 2;
}

function shortened(sheet: Sheet, text: string, width: number): string {
  if (sheet.widthOf(text) <= width) return text;
  let shown = text;
  while (shown.length > 1 && sheet.widthOf(`${shown}…`) > width) shown = shown.slice(0, -1);
  return `${shown}…`;
}

function drawWarnings(sheet: Sheet, report: SessionReport): void {
  for (const warning of warningsOf(report)) {
    const style = { size: sizes.body, width: paper.contentWidth - 22 };
    sheet.doc.font('Helvetica').fontSize(style.size);
    const height = sheet.doc.heightOfString(warning, { width: style.width, lineGap: 1.6 }) + 9;
    sheet.ensure(height);
    sheet.ornament(() => {
      sheet.doc.rect(paper.left, sheet.y, paper.contentWidth, height).fill(ink.attentionTint);
      sheet.doc.rect(paper.left, sheet.y, 3, height).fill(ink.attention);
    });
    sheet.element('P', {}, () => {
      sheet.doc.font('Helvetica').fontSize(style.size).fillColor(ink.text);
      sheet.doc.text(warning, paper.left + 12, sheet.y + 5.5, { width: style.width, lineGap: 1.6 });
    });
    sheet.y += height + 5;
  }
}

function warningsOf({ provisional, session, patient, quality }: SessionReport): string[] {
  const missing = quality.lostReadings + quality.pendingReadings;
  const share = missing / Math.max(1, missing + quality.storedReadings);
  return [
    ...(session.isSynthetic ? ['Synthetic: these readings were made by a computer, nobody walked.'] : []),
    ...(provisional === null ? [] : [`Provisional: figures may still change. Why: ${provisional}.`]),
    ...(session.isAmended
      ? [
          'Amended: readings came after this session was signed off; figures may differ from those that were signed.',
        ]
      : []),
    ...(share > 0.01
      ? [`${(100 * share).toFixed(1)} % of the readings are missing; see quality of the recording.`]
      : []),
    ...(patient === null
      ? ['This session is bound to no patient, so usual ranges are those of adults.']
      : []),
  ];
}
