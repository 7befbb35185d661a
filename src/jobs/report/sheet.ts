/**
 * Owns the paper that a report is drawn on: A4, its margins, colours and sizes, where the next thing goes, and the structure
 * (tagged PDF) that lets a screen reader read headings, tables and pictures in order. Text is set in the Helvetica of every
 * reader, so no font travels: what is not in Windows-1252 is written without its accents, or as a question mark.
 */

import PDFDocument from 'pdfkit';

/** Points: 1/72 inch. */
export const paper = {
  width: 595.28,
  height: 841.89,
  left: 42,
  right: 553.28,
  top: 74,
  /** Below it is the foot of the page. */
  bottom: 782,
  contentWidth: 511.28,
} as const;

/** LOOK: left is vermilion, right is blue, norms grey; amber needs attention. */
export const ink = {
  text: '#16191d',
  muted: '#565c64',
  line: '#d3d7dc',
  band: '#e2e5e9',
  left: '#D55E00',
  right: '#0072B2',
  both: '#3f454d',
  leftTint: '#f7dcc8',
  rightTint: '#c9e0f0',
  attention: '#8a4b00',
  attentionTint: '#fdf1dc',
} as const;

export const sizes = { title: 20, heading: 11.5, body: 8.6, small: 7.4, tiny: 6.6 } as const;

export interface TextStyle {
  readonly size?: number;
  readonly bold?: boolean;
  readonly color?: string;
  readonly align?: 'left' | 'right' | 'center';
  readonly width?: number;
}

type Doc = InstanceType<typeof PDFDocument>;
type Structure = PDFKit.PDFStructureElement;

export interface Sheet {
  readonly doc: Doc;
  /** Where the next thing goes, from the top. */
  y: number;
  /** A new page when less than `height` is left. */
  ensure(height: number): void;
  /** One line at (x, y), not wrapped. */
  text(text: string, x: number, y: number, style?: TextStyle): void;
  widthOf(text: string, style?: TextStyle): number;
  /** Wrapped over the width of the page or `style.width`, from y on, which moves. */
  paragraph(text: string, style?: TextStyle): void;
  /** With `about` beside it, on one page with the `following` points below it. */
  heading(text: string, about?: string, following?: number): void;
  /** What follows belongs to this element until `work` returns; `options.alt` says what a picture shows. */
  element(
    type: string,
    options: { readonly alt?: string; readonly scope?: 'Column' | 'Row' },
    work: () => void,
  ): void;
  /** Elements within an element. */
  group(type: string, work: () => void): void;
  /** Lines and colours that say nothing. */
  ornament(work: () => void): void;
}

export interface SheetInfo {
  readonly title: string;
  readonly subject: string;
  readonly keywords: string;
  readonly program: string;
  readonly madeAt: Date;
}

/** With no page yet: `ensure` makes them, and calls `onPage` for each. */
export function createSheet(info: SheetInfo): Sheet {
  const doc = new PDFDocument({
    size: 'A4',
    margin: 0,
    bufferPages: true,
    autoFirstPage: false,
    tagged: true,
    displayTitle: true,
    lang: 'en-GB',
    pdfVersion: '1.7',
    info: {
      Title: info.title,
      Subject: info.subject,
      Keywords: info.keywords,
      Author: info.program,
      Creator: info.program,
      Producer: 'pdfkit',
      CreationDate: info.madeAt,
      ModDate: info.madeAt,
    },
  });
  const root = doc.struct('Document');
  doc.addStructure(root);
  let parent: Structure = root;

  const set = ({ size = sizes.body, bold = false, color = ink.text }: TextStyle): void => {
    doc
      .font(bold ? 'Helvetica-Bold' : 'Helvetica')
      .fontSize(size)
      .fillColor(color);
  };
  const sheet: Sheet = {
    doc,
    y: paper.bottom,
    ensure(height) {
      if (doc.bufferedPageRange().count > 0 && sheet.y + height <= paper.bottom) return;
      doc.addPage();
      sheet.y = paper.top;
    },
    text(text, x, y, style = {}) {
      set(style);
      const shown = printable(text);
      const width = doc.widthOfString(shown);
      const room = style.width ?? width;
      const shift =
        style.align === 'right' ? room - width : style.align === 'center' ? (room - width) / 2 : 0;
      doc.text(shown, x + shift, y, { lineBreak: false });
    },
    widthOf(text, style = {}) {
      set(style);
      return doc.widthOfString(printable(text));
    },
    paragraph(text, style = {}) {
      const shown = printable(text);
      const width = style.width ?? paper.contentWidth;
      set(style);
      const height = doc.heightOfString(shown, { width, lineGap: 1.6 });
      sheet.ensure(height);
      sheet.element('P', {}, () => {
        set(style);
        doc.text(shown, paper.left, sheet.y, { width, lineGap: 1.6 });
      });
      sheet.y += height + 2;
    },
    heading(text, about = '', following = 60) {
      sheet.ensure(27 + following);
      sheet.y += 8;
      sheet.element('H2', {}, () =>
        sheet.text(text, paper.left, sheet.y, { size: sizes.heading, bold: true }),
      );
      if (about !== '') {
        const x = paper.left + sheet.widthOf(text, { size: sizes.heading, bold: true }) + 8;
        const style = { size: sizes.small, color: ink.muted };
        sheet.element('P', {}, () => sheet.text(about, x, sheet.y + 3.6, style));
      }
      sheet.y += 19;
    },
    element(type, options, work) {
      const element = doc.struct(type, options, [work]);
      parent.add(element);
    },
    group(type, work) {
      const outer = parent;
      const element = doc.struct(type);
      outer.add(element);
      parent = element;
      try {
        work();
      } finally {
        element.end();
        parent = outer;
      }
    },
    ornament(work) {
      doc.markContent('Artifact', { type: 'Layout' });
      work();
      doc.endMarkedContent();
    },
  };
  return sheet;
}

/** Every page's head and foot, and the end of the document. Resolves to the file. */
export async function finishSheet(
  { doc }: Sheet,
  drawFrame: (page: number, pages: number) => void,
): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  const whole = new Promise<Uint8Array>((resolve, reject) => {
    doc.on('data', (piece: Buffer) => void pieces.push(piece));
    doc.on('end', () => resolve(Buffer.concat(pieces)));
    doc.on('error', reject);
  });
  const { count } = doc.bufferedPageRange();
  for (let page = 0; page < count; page++) {
    doc.switchToPage(page);
    doc.markContent('Artifact', { type: 'Pagination' });
    drawFrame(page + 1, count);
    doc.endMarkedContent();
  }
  doc.end();
  return whole;
}

/** Beyond Latin-1 what Windows-1252 has of it. */
const beyondLatin1 = '€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ';

/** As the standard fonts can show it: a real minus becomes a dash, other letters lose their accents or become `?`. */
export function printable(text: string): string {
  return Array.from(
    text
      .normalize('NFC')
      .replaceAll('\u2212', '–')
      .replaceAll(/[\u2009\u202f]/g, '\u00a0'),
  )
    .map((character) => {
      if (isShown(character)) return character;
      const plain = character.normalize('NFD')[0]!;
      return isShown(plain) ? plain : '?';
    })
    .join('');
}

function isShown(character: string): boolean {
  const code = character.codePointAt(0)!;
  return (code >= 0x20 && code < 0x7f) || (code >= 0xa0 && code <= 0xff) || beyondLatin1.includes(character);
}
