/**
 * Owns tables of a report: a head that comes again on every page, rows, headings between them, and cells that are drawn by
 * whoever gives them. As structure: Table, TR, TH and TD, so that a screen reader says which column a number is in.
 */

import { ink, paper, sizes, type Sheet, type TextStyle } from '#jobs/report/sheet.ts';

export interface Column<Row> {
  readonly title: string;
  readonly width: number;
  readonly align?: 'left' | 'right';
  /** Of a side: a swatch stands before the title. */
  readonly side?: 'left' | 'right';
  readonly text: (row: Row) => string;
  readonly style?: (row: Row) => TextStyle;
  /** Drawn beside the text, which then says the same for those who do not see it. */
  readonly draw?: (row: Row, x: number, y: number) => void;
}

export interface TableSection<Row> {
  readonly title: string | null;
  readonly rows: readonly Row[];
}

const ROW = 13.2;
const HEAD = 15;
const PAD = 4;

export function drawTable<Row>(
  sheet: Sheet,
  columns: readonly Column<Row>[],
  sections: readonly TableSection<Row>[],
): void {
  const filled = sections.filter(({ rows }) => rows.length > 0);
  if (filled.length === 0) return;
  sheet.ensure(HEAD + 3 * ROW);
  sheet.group('Table', () => {
    drawHead(sheet, columns);
    for (const { title, rows } of filled) {
      if (title !== null) {
        room(sheet, columns, 2 * ROW);
        drawSectionTitle(sheet, title);
      }
      for (const row of rows) {
        room(sheet, columns, ROW);
        drawRow(sheet, columns, row);
      }
    }
  });
  sheet.y += 6;
}

/** The head again on a new page. */
function room<Row>(sheet: Sheet, columns: readonly Column<Row>[], height: number): void {
  if (sheet.y + height <= paper.bottom) return;
  sheet.ensure(height);
  drawHead(sheet, columns);
}

function drawHead<Row>(sheet: Sheet, columns: readonly Column<Row>[]): void {
  sheet.group('TR', () => {
    let x: number = paper.left;
    for (const column of columns) {
      const style = { size: sizes.small, color: ink.muted, width: column.width - PAD };
      const align = column.align ?? 'left';
      const at = x;
      if (column.side !== undefined) {
        const { side } = column;
        const textWidth = sheet.widthOf(column.title, style);
        const swatchX = align === 'right' ? at + column.width - PAD - textWidth - 9 : at + textWidth + 4;
        sheet.ornament(() => drawMarker(sheet, { side, x: swatchX + 2.5, y: sheet.y + 6.6 }));
      }
      sheet.element('TH', { scope: 'Column' }, () =>
        sheet.text(column.title, at, sheet.y + 3, { ...style, align }),
      );
      x += column.width;
    }
  });
  sheet.y += HEAD;
  line(sheet, ink.muted);
}

function drawSectionTitle(sheet: Sheet, title: string): void {
  sheet.group('TR', () =>
    sheet.element('TH', { scope: 'Row' }, () =>
      sheet.text(title, paper.left, sheet.y + 3.6, { size: sizes.small, bold: true, color: ink.muted }),
    ),
  );
  sheet.y += ROW;
  line(sheet, ink.line);
}

function drawRow<Row>(sheet: Sheet, columns: readonly Column<Row>[], row: Row): void {
  sheet.group('TR', () => {
    let x: number = paper.left;
    for (const [i, column] of columns.entries()) {
      const at = x;
      const options = i === 0 ? ({ scope: 'Row' } as const) : {};
      sheet.element(i === 0 ? 'TH' : 'TD', options, () => {
        const shown = column.text(row);
        const style = column.style?.(row) ?? {};
        if (shown !== '')
          sheet.text(fitted(sheet, shown, { ...style, width: column.width - PAD }), at, sheet.y + 2.2, {
            ...style,
            align: column.align ?? 'left',
            width: column.width - PAD,
          });
        column.draw?.(row, at, sheet.y);
      });
      x += column.width;
    }
  });
  sheet.y += ROW;
  line(sheet, ink.line);
}

function fitted(sheet: Sheet, text: string, style: TextStyle & { readonly width: number }): string {
  if (sheet.widthOf(text, style) <= style.width) return text;
  let shown = text;
  while (shown.length > 1 && sheet.widthOf(`${shown}…`, style) > style.width) shown = shown.slice(0, -1);
  return `${shown}…`;
}

function line(sheet: Sheet, color: string): void {
  sheet.ornament(() => {
    sheet.doc.moveTo(paper.left, sheet.y).lineTo(paper.right, sheet.y).lineWidth(0.4).stroke(color);
  });
}

export interface MarkerPlace {
  readonly side: 'left' | 'right' | 'both';
  readonly x: number;
  readonly y: number;
}

/** Left is a vermilion disc, right a blue square, the walk as a whole a grey diamond: told apart without colour too. */
export function drawMarker({ doc }: Sheet, { side, x, y }: MarkerPlace): void {
  if (side === 'left') doc.circle(x, y, 2.5).fill(ink.left);
  else if (side === 'right') doc.rect(x - 2.2, y - 2.2, 4.4, 4.4).fill(ink.right);
  else doc.polygon([x, y - 3], [x + 3, y], [x, y + 3], [x - 3, y]).fill(ink.both);
}
