/** Owns the patterns that traces and gaps are drawn with. They are fixed to the canvas, so redrawing changes nothing. */

type PatternContext = Pick<CanvasRenderingContext2D, 'createPattern'>;

/** How strong the faint part of a dash is: seen as a line, told from the full part at a glance. */
const FAINT_ALPHA = 0.42;
/** Distance of hatch lines in CSS pixels, and their strength. */
const HATCH_PX = 8;
const HATCH_ALPHA = 0.45;

/** A colour that is full and faint in turn along x; columns keep their shade however often they are drawn anew. */
export function dashPattern(
  context: PatternContext,
  colour: string,
  lengths: readonly number[],
): string | CanvasPattern {
  const period = lengths.reduce((sum, length) => sum + length, 0);
  if (period === 0) return colour;
  const tile = new OffscreenCanvas(period, 1).getContext('2d');
  if (tile === null) return colour;
  tile.fillStyle = colour;
  let x = 0;
  lengths.forEach((length, i) => {
    tile.globalAlpha = i % 2 === 0 ? 1 : FAINT_ALPHA;
    tile.fillRect(x, 0, length, 1);
    x += length;
  });
  return context.createPattern(tile.canvas, 'repeat') ?? colour;
}

export function hatchPattern(context: PatternContext, colour: string, scale: number): string | CanvasPattern {
  const size = Math.round(HATCH_PX * scale);
  const tile = new OffscreenCanvas(size, size).getContext('2d');
  if (tile === null) return colour;
  tile.strokeStyle = colour;
  tile.globalAlpha = HATCH_ALPHA;
  tile.lineWidth = scale;
  tile.beginPath();
  // The diagonal, and its continuation in the neighbouring tiles' corners.
  for (const shift of [-size, 0, size]) {
    tile.moveTo(shift - 1, size + 1);
    tile.lineTo(shift + size + 1, -1);
  }
  tile.stroke();
  return context.createPattern(tile.canvas, 'repeat') ?? colour;
}
