/** Owns how a gap looks: hatched over its whole width, with its cause in words where there is room for them. */

import type { GapCause } from '#web/live/gap-spans.ts';
import { canvasFont, gapWords, isWorrying, type Palette } from '#web/live/palette.ts';

export interface GapBrush {
  readonly context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;
  /** Device pixels a CSS pixel. */
  readonly scale: number;
  readonly palette: Palette;
  readonly hatches: {
    readonly calm: string | CanvasPattern;
    readonly worrying: string | CanvasPattern;
  };
}

/** Device pixels. */
export interface GapPlace {
  readonly cause: GapCause;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Sizes in CSS pixels, on the 4 px grid. */
const WORDS_INSET_PX = 4;
const WORDS_PAD_PX = 4;
const WORDS_HEIGHT_PX = 18;

/** A gap that still grows has its shortest words from the start: what is drawn already is not drawn again. */
export function hatchGap(brush: GapBrush, place: GapPlace, isGrowing: boolean): void {
  const { context, scale, palette, hatches } = brush;
  const { cause, left, top, width, height } = place;
  context.fillStyle = isWorrying(cause) ? hatches.worrying : hatches.calm;
  context.fillRect(left, top, width, height);
  context.font = canvasFont(scale);
  context.textAlign = 'left';
  context.textBaseline = 'middle';
  const boxWidth = (words: string): number => context.measureText(words).width + 2 * WORDS_PAD_PX * scale;
  const room = width - 2 * WORDS_INSET_PX * scale;
  const choices = gapWords[cause];
  const words = isGrowing ? choices.at(-1) : choices.find((choice) => boxWidth(choice) <= room);
  if (words === undefined) return;
  const at = left + WORDS_INSET_PX * scale;
  const middle = top + height / 2;
  const wordsHeight = WORDS_HEIGHT_PX * scale;
  context.save();
  context.beginPath();
  context.rect(left, middle - wordsHeight, width, wordsHeight * 2);
  context.clip();
  context.fillStyle = palette.surface;
  context.fillRect(at, middle - wordsHeight / 2, boxWidth(words), wordsHeight);
  context.fillStyle = isWorrying(cause) ? palette.attention : palette.label;
  context.fillText(words, at + WORDS_PAD_PX * scale, middle);
  context.restore();
}
