/** Owns the sample of a line style in a legend, drawn as the traces are. */

import type { BodySide, LineStyle } from '#web/live/axis-groups.ts';
import { dashes, palettes } from '#web/live/palette.ts';

export function LineSample({
  side,
  style,
  scheme,
}: {
  side: BodySide;
  style: LineStyle;
  scheme: 'dark' | 'light';
}) {
  const colour = palettes[scheme].sides[side][style];
  return (
    <svg width="26" height="8" viewBox="0 0 26 8" aria-hidden="true">
      <path d="M0 4h26" stroke={colour} strokeWidth="2" opacity="0.42" />
      <path d="M0 4h26" stroke={colour} strokeWidth="2" strokeDasharray={dashes[style].join(' ')} />
    </svg>
  );
}
