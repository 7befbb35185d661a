/** Owns QR codes (ISO/IEC 18004) on a page: dark on white with its quiet zone, in both colour schemes, or none reads it. */

import qrcode from 'qrcode-generator';
import { useMemo } from 'react';

export interface QrCodeProps {
  readonly text: string;
  /** What scanning it gives, for who does not see it. */
  readonly label: string;
}

/** Modules of white around it that the standard asks for. */
const QUIET = 4;

export function QrCode({ text, label }: QrCodeProps) {
  const { size, path } = useMemo(() => modulesOf(text), [text]);
  const side = size + 2 * QUIET;
  return (
    <svg
      className="qr-code"
      viewBox={`${-QUIET} ${-QUIET} ${side} ${side}`}
      role="img"
      aria-label={label}
      shapeRendering="crispEdges"
    >
      <rect x={-QUIET} y={-QUIET} width={side} height={side} fill="#ffffff" />
      <path d={path} fill="#000000" />
    </svg>
  );
}

/** Each run of dark modules of a row is one rectangle. */
function modulesOf(text: string): { size: number; path: string } {
  // The smallest version that holds it, at 15 % of repair: enough for a screen.
  const code = qrcode(0, 'M');
  code.addData(text);
  code.make();
  const size = code.getModuleCount();
  let path = '';
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      const from = column;
      while (column < size && code.isDark(row, column)) column++;
      if (column > from) path += `M${from} ${row}h${column - from}v1h${from - column}z`;
    }
  return { size, path };
}
